package httpapi

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gatehouse/internal/apperr"
)

// FuzzUploadForm sends any bytes as a form: to uploadForm, which must come to an end within them,
// and to the whole server, which must answer as the contract says, and without a failure of its own.
func FuzzUploadForm(f *testing.F) {
	s := newServer(f, "", func(s *setup) {
		silent := slog.New(slog.DiscardHandler)
		s.api.Logger, s.images.Logger = silent, silent
	})
	token := bearer(s.newUser(f).token)
	const named = `Content-Disposition: form-data; name="image"; filename="a.png"`
	picture := string(tinyPNG(f))
	for _, body := range []string{
		"", formEnd, part(named, picture) + formEnd, part(named, picture), part(named, "") + formEnd,
		part(`Content-Disposition: form-data; name="x"`, "y") + part(named, picture) + part(named, string(tinyJPEG(f))) + formEnd,
		part(named+"\r\nContent-Transfer-Encoding: quoted-printable", "=89PNG=0D=0A") + formEnd,
	} {
		f.Add("limit", []byte(body))
	}
	f.Fuzz(func(t *testing.T, boundary string, body []byte) {
		checkForm(t, boundary, body)
		r := post("/upload/file", `multipart/form-data; boundary="`+boundary+`"`, string(body), token)
		a := s.serve(t, r)
		if a.status >= http.StatusInternalServerError {
			t.Fatalf("answer is %d: %s", a.status, a.body)
		}
		checkEverywhere(t, a)
		checkAgainst(t, operationOf(r), r, a)
	})
}

// checkForm reads a form to its end.
func checkForm(t *testing.T, boundary string, body []byte) {
	t.Helper()
	limited := &uploadBody{
		ReadCloser: io.NopCloser(bytes.NewReader(body)), connection: http.NewResponseController(&deadlines{}),
		start: time.Now(), overhead: partOverhead,
	}
	form := uploadForm{parts: multipart.NewReader(limited, boundary), body: limited}
	content := 0
	for {
		upload, err := form.next()
		if errors.Is(err, io.EOF) && form.images > 0 || apperr.Is(err, apperr.InvalidInput) {
			break
		}
		if err != nil {
			t.Fatalf("neither the end nor a refusal: %v", err)
		}
		read, err := io.Copy(io.Discard, upload.Content)
		if err != nil && !apperr.Is(err, apperr.InvalidInput) {
			t.Fatalf("a picture cannot be read: %v", err)
		}
		content += int(read)
	}
	if content > len(body) || form.images > len(body) || form.others > maxOtherFields+1 {
		t.Fatalf("%d bytes of %d pictures and %d other fields from %d bytes", content, form.images, form.others, len(body))
	}
}

// serve answers a request without a connection.
func (s *testServer) serve(t *testing.T, r *http.Request) answer {
	t.Helper()
	r.Host = s.base.Host
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(patientRecorder{recorder}, r)
	a := answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
	a.readEnvelope()
	return a
}

// patientRecorder takes the deadlines that a connection would.
type patientRecorder struct{ *httptest.ResponseRecorder }

func (patientRecorder) SetReadDeadline(time.Time) error  { return nil }
func (patientRecorder) SetWriteDeadline(time.Time) error { return nil }
