package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
)

// newImage uploads a picture of somebody and returns the path that it is loaded from.
func (s *testServer) newImage(t testing.TB, content []byte) string {
	t.Helper()
	return pathOf(t, s.upload(t, s.newUser(t), content).URL)
}

// upload stores a picture of a user.
func (s *testServer) upload(t testing.TB, u user, content []byte, changes ...change) api.StoredImage {
	t.Helper()
	r := uploadOf([]file{{"a", content}}, append(changes, bearer(u.token))...)
	return decoded[api.UploadResult](t, s.send(t, r)).Data.Msg.Images[0]
}

// describe asks for what is known of a picture.
func (s *testServer) describe(t testing.TB, u user, id uuid.UUID) api.StoredImage {
	t.Helper()
	return decoded[api.ImageResult](t, s.send(t, get("/upload/images/"+id.String(), bearer(u.token)))).Data.Msg
}

// decodeAll decodes the pictures that were uploaded, as the server does when nobody else has.
func (s *testServer) decodeAll(t testing.TB) {
	t.Helper()
	s.clock.advance(6 * time.Minute)
	if err := s.options.Images.CheckOverdue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestImageConditionsAndRanges(t *testing.T) {
	s := newServer(t, "")
	content := jpegOf(t, 10_000)
	path := s.newImage(t, content)
	etag := s.send(t, get(path)).header.Get("ETag")
	if len(etag) < 10 || etag[0] != '"' {
		t.Fatalf("ETag is %q", etag)
	}
	const other = `"other"`
	tests := []struct {
		name       string
		headers    []string // keys and values by turns
		wantStatus int
		wantRange  string
		wantBody   []byte
	}{
		{"plain", nil, 200, "", content},
		{"first bytes", []string{"Range", "bytes=0-99"}, 206, "bytes 0-99/10000", content[:100]},
		{"last bytes", []string{"Range", "bytes=-100"}, 206, "bytes 9900-9999/10000", content[9900:]},
		{"from the middle on", []string{"Range", "bytes=5000-"}, 206, "bytes 5000-9999/10000", content[5000:]},
		{"more than there is", []string{"Range", "bytes=9990-20000"}, 206, "bytes 9990-9999/10000", content[9990:]},
		{"range of the same picture", []string{"Range", "bytes=0-0", "If-Range", etag}, 206, "bytes 0-0/10000", content[:1]},
		{"range of another picture", []string{"Range", "bytes=0-0", "If-Range", other}, 200, "", content},
		{"behind the end", []string{"Range", "bytes=10000-"}, 416, "bytes */10000", nil},
		{"garbage range", []string{"Range", "bytes=" + marker}, 416, "", nil},
		{"unknown unit", []string{"Range", "pixels=0-1"}, 416, "", nil},
		{"known already", []string{"If-None-Match", etag}, 304, "", []byte{}},
		{"one of those known", []string{"If-None-Match", other + ", " + etag}, 304, "", []byte{}},
		{"any is known", []string{"If-None-Match", "*"}, 304, "", []byte{}},
		{"weakly known", []string{"If-None-Match", "W/" + etag}, 304, "", []byte{}},
		{"not known", []string{"If-None-Match", other}, 200, "", content},
		{"garbage condition", []string{"If-None-Match", marker}, 200, "", content},
		{"expected", []string{"If-Match", etag}, 200, "", content},
		{"not expected", []string{"If-Match", other}, 412, "", []byte{}},
		{"not changed since", []string{"If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"}, 304, "", []byte{}},
		{"changed since", []string{"If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"}, 412, "", []byte{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var changes []change
			for pair := range slices.Chunk(test.headers, 2) {
				changes = append(changes, with(pair[0], pair[1]))
			}
			loaded := s.send(t, get(path, changes...)).wantStatus(t, test.wantStatus).wantHeader(t, "Content-Range", test.wantRange)
			if test.wantBody != nil && !slices.Equal(loaded.body, test.wantBody) {
				t.Errorf("the body has %d bytes, want %d", len(loaded.body), len(test.wantBody))
			}
			asked := s.send(t, head(path, changes...)).wantStatus(t, test.wantStatus).wantHeader(t, "Content-Range", test.wantRange)
			if test.wantStatus < 300 {
				asked.wantHeader(t, "Content-Length", fmt.Sprint(len(test.wantBody)))
			}
			for _, a := range []answer{loaded, asked} {
				if test.wantStatus < 400 {
					a.wantHeader(t, "ETag", etag).wantHeader(t, "Cache-Control", "public, max-age=31536000, immutable")
				}
				a.wantHeader(t, "Content-Security-Policy", "sandbox; default-src 'none'").wantHeader(t, "Cross-Origin-Resource-Policy", "cross-origin")
			}
		})
	}
}

func TestSeveralRanges(t *testing.T) {
	s := newServer(t, "")
	path := s.newImage(t, jpegOf(t, 10_000))
	a := s.send(t, get(path, with("Range", "bytes=0-9,20-29"))).wantStatus(t, http.StatusPartialContent)
	if contentType := a.header.Get("Content-Type"); !strings.HasPrefix(contentType, "multipart/byteranges; boundary=") {
		t.Errorf("Content-Type is %q", contentType)
	}
	a.wantText(t, "Content-Range: bytes 20-29/10000")
	s.send(t, get(path, with("Range", "bytes="+strings.Repeat("0-,", 1000)+"0-"))).wantStatus(t, http.StatusOK) // more than the file is worth
	s.send(t, get(path, with("Range", "bytes="+strings.Repeat("0-0,", 7)+"0-0"))).wantStatus(t, http.StatusPartialContent)
	s.send(t, get(path, with("Range", "bytes="+strings.Repeat("0-0,", 8)+"0-0"))).wantStatus(t, http.StatusOK) // more than S3 should be asked for
}

func TestNamesThatNoImageHas(t *testing.T) {
	s := newServer(t, "")
	path := s.newImage(t, tinyPNG(t))
	for _, name := range []string{
		"k3vq7w2m5xn4c6t2z3b7d4f5gh.jpg", "a.jpg", ".", "..", "%2e%2e", "%00", "a%00.png", "..%2f..%2fgatehouse.db", `..%5c..%5cgatehouse.db`,
		"incoming", ".lock", "%25zz", "%2525", "%FF", "界.png", strings.Repeat("a", 5000), strings.ToUpper(path[len("/static/image/"):]),
		strings.TrimSuffix(path[len("/static/image/"):], ".png") + ".jpg", path[len("/static/image/"):] + "%20", marker, "a%2Fb%25zz",
	} {
		t.Run(cutAt(name, 30), func(t *testing.T) {
			r := get("/static/image/")
			r.URL.Opaque = "/static/image/" + name // as it is, uncleaned
			r.URL.Path += "x"                      // so that the checks see an image's path
			s.send(t, r).want(t, apperr.ImageNotFound)
			r.Method = http.MethodHead
			s.send(t, r).wantStatus(t, http.StatusNotFound)
		})
	}
	s.send(t, get("/static/image/")).want(t, apperr.PathNotFound)
	s.send(t, get("/static/image/a/b.jpg")).want(t, apperr.PathNotFound)
	s.send(t, post("/static/image/a%2Fb.jpg", jsonType, "{}")).want(t, apperr.MethodNotAllowed).wantHeader(t, "Allow", "GET, HEAD")
	s.send(t, post(path, jsonType, "{}")).want(t, apperr.MethodNotAllowed).wantHeader(t, "Allow", "GET, HEAD")
}
