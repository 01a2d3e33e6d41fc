package httpapi

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/image"
)

const (
	imageField      = "image"
	maxOtherFields  = 100      // an upload has no use for more, and each costs time
	formOverhead    = 64 << 10 // bytes of boundaries and headers that an upload may have besides its pictures
	uploadPatience  = 30 * time.Second
	slowestTransfer = 16 << 10 // bytes a second below which a client is given up
)

var errNoImageField = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "/" + imageField, Reason: apperr.Text{Chinese: "必填", English: "is required"},
})

// limitUpload bounds the size of an upload, and how slowly it may come.
func (s *server) limitUpload(w http.ResponseWriter, r *http.Request) {
	limited := http.MaxBytesReader(w, r.Body, s.UploadLimit+formOverhead)
	r.Body = &pacedBody{ReadCloser: limited, connection: http.NewResponseController(w), start: time.Now()}
}

// pacedBody gives a client time in proportion to what it has sent, so that one that
// drips bytes does not hold its connection for long and a large upload is not cut off.
type pacedBody struct {
	io.ReadCloser
	connection *http.ResponseController
	start      time.Time
	received   int64
	granted    time.Duration
}

func (b *pacedBody) Read(p []byte) (int, error) {
	earned := uploadPatience + time.Duration(b.received/slowestTransfer)*time.Second
	if earned > b.granted {
		b.granted = earned
		deadline := b.start.Add(earned)
		if err := errors.Join(b.connection.SetReadDeadline(deadline), b.connection.SetWriteDeadline(deadline.Add(answerPatience))); err != nil {
			return 0, err
		}
	}
	n, err := b.ReadCloser.Read(p)
	b.received += int64(n)
	return n, err
}

// answerPatience is how long a client may take over an answer of no great size.
const answerPatience = 60 * time.Second

// allowSlowReader gives the client of a large file time in proportion to its size.
func allowSlowReader(w http.ResponseWriter, size int64) {
	extra := time.Duration(size/slowestTransfer) * time.Second
	if extra < answerPatience {
		return // the server's own limit is enough
	}
	// A connection that knows no deadlines has none to extend.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerPatience + extra))
}

// uploadForm finds the pictures in a multipart form as it streams in. Other fields are ignored.
type uploadForm struct {
	parts  *multipart.Reader
	images int
	others int
}

// next returns the next picture, or io.EOF. It returns InvalidInput for a broken form and for
// one without pictures, and UploadTooLarge.
func (f *uploadForm) next() (*image.Upload, error) {
	for {
		part, err := f.parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil, f.end()
		}
		if err != nil {
			return nil, refusalFromForm(err)
		}
		if part.FormName() == imageField {
			f.images++
			return &image.Upload{Name: part.FileName(), Content: formContent{part}}, nil
		}
		if f.others++; f.others > maxOtherFields {
			return nil, errTooManyFields
		}
	}
}

var errTooManyFields = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "", Reason: apperr.Text{Chinese: "表单字段过多", English: "has too many fields"},
})

func (f *uploadForm) end() error {
	if f.images == 0 {
		return errNoImageField
	}
	return io.EOF
}

// formContent is the content of a part. What goes wrong while it is read is the client's doing, and is told so.
type formContent struct{ part *multipart.Part }

func (c formContent) Read(p []byte) (int, error) {
	n, err := c.part.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = refusalFromForm(err)
	}
	return n, err
}

var reasonBrokenForm = apperr.Text{Chinese: "表单不完整或格式不正确", English: "is cut off or is no multipart form"}

var errBadPartHeader = errors.New("malformed header of a part")

func refusalFromForm(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return apperr.Wrap(apperr.UploadTooLarge, err)
	}
	var badHeader textproto.ProtocolError
	if errors.As(err, &badHeader) { // whose text repeats what was sent, at any length
		err = errBadPartHeader
	}
	return apperr.Wrap(apperr.InvalidInput, err, apperr.Detail{Field: "", Reason: reasonBrokenForm})
}
