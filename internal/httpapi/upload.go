package httpapi

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/image"
)

const (
	imageField      = "image"
	maxOtherFields  = 100      // an upload has no use for more, and each costs time
	formOverhead    = 1 << 20  // bytes that an upload may have besides its pictures
	partOverhead    = 64 << 10 // of them, before a picture; multipart holds headers in memory
	uploadTimeout   = 30 * time.Second
	slowestTransfer = 16 << 10 // bytes a second below which a client is given up
)

var errNoImageField = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "/" + imageField, Reason: apperr.Text{Chinese: "必填", English: "is required"},
})

// limitUpload bounds the size of an upload, what it may have besides its pictures, and how slowly it may come.
func (s *server) limitUpload(w http.ResponseWriter, r *http.Request) {
	c := callFrom(r.Context())
	limited := http.MaxBytesReader(w, r.Body, s.UploadLimit+formOverhead)
	c.upload = &uploadBody{ReadCloser: limited, connection: http.NewResponseController(w), start: time.Now(), inPicture: true}
	if c.operation.isForm {
		c.upload.ReadCloser = endless{io.MultiReader(limited, strings.NewReader("\r\n"), cutOff{}), limited}
		c.upload.inPicture, c.upload.overhead = false, partOverhead
	}
	r.Body = c.upload
}

// endless is a body that ends a form only by its last boundary, whose line break may be missing:
// package multipart takes some bodies that are cut off for whole ones.
type endless struct {
	io.Reader
	io.Closer
}

type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// uploadBody gives a client time in proportion to what it has sent, so that one that
// drips bytes does not hold its connection for long and a large upload is not cut off.
type uploadBody struct {
	io.ReadCloser
	connection *http.ResponseController
	start      time.Time
	received   int64

	mu          sync.Mutex // of the deadline
	granted     time.Duration
	interrupted bool

	inPicture bool
	overhead  int64 // bytes that may still come before the next picture
}

var errTooMuchOverhead = errors.New("the form has too much besides its pictures")

func (b *uploadBody) Read(p []byte) (int, error) {
	if err := b.grantTime(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.received += int64(n)
	if !b.inPicture {
		if b.overhead -= int64(n); b.overhead < 0 {
			return 0, errTooMuchOverhead
		}
	}
	return n, err
}

// drain reads what comes of an upload that was answered before, since a client that still sends may not hear its answer.
func (b *uploadBody) drain() {
	b.inPicture = true
	_, _ = io.Copy(io.Discard, b) // the answer stands, whatever comes
}

func (b *uploadBody) grantTime() error {
	earned := uploadTimeout + time.Duration(b.received/slowestTransfer)*time.Second
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.interrupted {
		return errInterrupted
	}
	if earned <= b.granted {
		return nil
	}
	b.granted = earned
	deadline := b.start.Add(earned)
	return errors.Join(b.connection.SetReadDeadline(deadline), b.connection.SetWriteDeadline(deadline.Add(answerTimeout)))
}

var errInterrupted = errors.New("the client has begun anew")

// Interrupt makes Read fail, also one that waits. It may be called while the request is served.
func (b *uploadBody) Interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupted = true
	_ = b.connection.SetReadDeadline(time.Unix(1, 0)) // where there are no deadlines, Read fails at the next byte
}

// uploadForm finds the pictures in a multipart form as it streams in. Other fields are ignored.
type uploadForm struct {
	parts  *multipart.Reader
	body   *uploadBody // that the parts are read from
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
		name, err := fieldName(part)
		if err != nil {
			return nil, err
		}
		if name == imageField {
			f.images++
			f.body.overhead = partOverhead
			return &image.Upload{Name: part.FileName(), Content: formContent{part, f.body}}, nil
		}
		if f.others++; f.others > maxOtherFields {
			return nil, errTooManyFields
		}
	}
}

// fieldName returns InvalidInput for a part that names no field in a way that can be read:
// it might be a picture.
func fieldName(part *multipart.Part) (string, error) {
	disposition, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || disposition != "form-data" || params["name"] == "" {
		return "", errNamelessField
	}
	return params["name"], nil
}

var errNamelessField = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "", Reason: apperr.Text{Chinese: "有一个字段的 Content-Disposition 无法解析", English: "has a field whose Content-Disposition cannot be read"},
})

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
type formContent struct {
	part *multipart.Part
	body *uploadBody
}

func (c formContent) Read(p []byte) (int, error) {
	c.body.inPicture = true
	n, err := c.part.Read(p)
	c.body.inPicture = false
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
