package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

func TestUploadAndLoad(t *testing.T) {
	files := []file{
		{"a.jpg", tinyJPEG(t)}, {"b.png", tinyPNG(t)}, {"c.gif", tinyGIF(t)}, {"d.webp", tinyWebP(t)},
		{"我的照片.jpg", tinyJPEG(t)}, {"not a.png", tinyJPEG(t)}, {"", tinyPNG(t)}, {"a.jpg", tinyJPEG(t)}, {"noextension", tinyGIF(t)},
	}
	wantTypes := []string{"jpeg", "png", "gif", "webp", "jpeg", "jpeg", "png", "jpeg", "gif"}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		stored := decoded[api.UploadResult](t, s.send(t, uploadOf(files, bearer(s.newUser(t).token)))).Data.Msg
		if len(stored.Images) != len(files) || len(stored.ImageURL) != len(files) {
			t.Fatalf("stored %d images with %d URLs, want %d", len(stored.Images), len(stored.ImageURL), len(files))
		}
		for i, f := range files {
			image := stored.Images[i]
			if image.Name != f.name || image.Bytes != int64(len(f.content)) || image.ContentType != "image/"+wantTypes[i] {
				t.Errorf("picture %d is %+v", i, image)
			}
			if image.URL != stored.ImageURL[i] || !strings.HasPrefix(image.URL, s.base.String()+"/static/image/") {
				t.Errorf("picture %d is at %s and %s", i, image.URL, stored.ImageURL[i])
			}
			loaded := s.send(t, get(pathOf(t, image.URL))).wantStatus(t, http.StatusOK).wantHeader(t, "Content-Type", image.ContentType)
			if !slices.Equal(loaded.body, f.content) {
				t.Errorf("picture %d came back with other bytes", i)
			}
		}
		if names := slices.Compact(slices.Sorted(slices.Values(stored.ImageURL))); len(names) != len(files) {
			t.Errorf("two pictures share a name: %v", stored.ImageURL)
		}
	})
}

func TestRefusedUploadsLeaveNothing(t *testing.T) {
	jpg, png := tinyJPEG(t), tinyPNG(t)
	good := file{"good.png", png}
	tests := []struct {
		name     string
		files    []file
		wantCode apperr.Code
	}{
		{"no file", nil, apperr.InvalidInput},
		{"empty file", []file{{"a.jpg", nil}}, apperr.EmptyUpload},
		{"cut-off jpeg", []file{{"a.jpg", jpg[:len(jpg)-2]}}, apperr.ImageDamaged},
		{"cut-off png", []file{{"a.png", png[:len(png)-5]}}, apperr.ImageDamaged},
		{"head only", []file{{"a.jpg", jpg[:4]}}, apperr.ImageDamaged},
		{"gif of 60,000 × 60,000", []file{{"a.gif", hugeGIF(t)}}, apperr.TooManyPixels},
		{"svg called jpg", []file{{"a.jpg", []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`)}}, apperr.NotAnImage},
		{"html called jpg", []file{{"a.jpg", []byte(`<!doctype html><script>alert(1)</script>`)}}, apperr.NotAnImage},
		{"html before a jpeg", []file{{"a.jpg", append([]byte("<script>"), jpg...)}}, apperr.NotAnImage},
		{"text", []file{{"a.png", []byte(marker)}}, apperr.NotAnImage},
		{"nuls", []file{{"a.png", make([]byte, 10_000)}}, apperr.NotAnImage},
		{"too large", []file{{"a.jpg", jpegOf(t, 1<<20+1)}}, apperr.UploadTooLarge},
		{"too large together", []file{{"a.jpg", jpegOf(t, 700_000)}, {"b.jpg", jpegOf(t, 400_000)}}, apperr.UploadTooLarge},
		{"far too large", []file{{"a.jpg", jpegOf(t, 3<<20)}}, apperr.UploadTooLarge},
		{"ten files", slices.Repeat([]file{good}, 10), apperr.TooManyImages},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		token := bearer(s.newUser(t).token)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s.send(t, uploadOf(test.files, token)).want(t, test.wantCode)
				if len(test.files) > 0 {
					s.send(t, uploadOf(append([]file{good}, test.files...), token)).want(t, test.wantCode) // all or none
				}
				s.wantNoPictures(t)
			})
		}
		s.send(t, uploadOf([]file{{"a.jpg", jpegOf(t, 1<<20)}}, token)).want(t, apperr.OK) // the limit itself
	})
}

// part writes a part of a form by hand. Its headers are given without the last line end.
func part(headers, content string) string {
	return "--limit\r\n" + headers + "\r\n\r\n" + content + "\r\n"
}

const formEnd = "--limit--\r\n"

func TestOddUploads(t *testing.T) {
	const named = `Content-Disposition: form-data; name="image"; filename="a.png"`
	png := string(tinyPNG(t))
	whole := part(named, png) + formEnd
	const plain = "multipart/form-data; boundary=limit"
	tests := []struct {
		name, contentType, body string
		wantCode                apperr.Code
	}{
		{"right", plain, whole, apperr.OK},
		{"boundary in quotes", `Multipart/Form-Data; boundary="limit"`, whole, apperr.OK},
		{"text before and behind", plain, "before\r\n" + whole + "behind", apperr.OK},
		{"other fields", plain, part(`Content-Disposition: form-data; name="x"`, marker) + whole, apperr.OK},
		{"one hundred other fields", plain, strings.Repeat(part(`Content-Disposition: form-data; name="x"`, ""), 100) + whole, apperr.OK},
		{"field without a file name", plain, part(`Content-Disposition: form-data; name="image"`, png) + formEnd, apperr.OK},
		{"line ends of unix", plain, strings.ReplaceAll(part(named, "X")+formEnd, "\r\n", "\n"), apperr.NotAnImage},
		{"10,000 fields", plain, strings.Repeat(part(`Content-Disposition: form-data; name="x"`, ""), 10_000) + whole, apperr.InvalidInput},
		{"10,000 fields behind", plain, part(named, png) + strings.Repeat(part(`Content-Disposition: form-data; name="x"`, ""), 10_000) + formEnd, apperr.InvalidInput},
		{"10,000 pictures without a byte", plain, strings.Repeat(part(named, ""), 10_000) + formEnd, apperr.EmptyUpload},
		{"10,000 headers", plain, part(named+strings.Repeat("\r\nX: y", 10_000), png) + formEnd, apperr.InvalidInput},
		{"header of 2 MB", plain, part(named+"\r\nX: "+strings.Repeat("y", 2<<20), png) + formEnd, apperr.InvalidInput},
		{"header without colon", plain, part(named+"\r\n"+marker, png) + formEnd, apperr.InvalidInput},
		{"no end", plain, part(named, png), apperr.InvalidInput},
		{"cut off in a picture", plain, whole[:len(whole)-30], apperr.InvalidInput},
		{"no line break at the end", plain, strings.TrimSuffix(whole, "\r\n"), apperr.OK},
		{"cut off behind a picture", plain, part(named, png) + "--limit", apperr.InvalidInput},
		{"cut off behind a boundary", plain, part(named, png) + "--limit\r\n", apperr.InvalidInput},
		{"cut off in the second headers", plain, part(named, png) + "--limit\r\n" + named, apperr.InvalidInput},
		{"cut off in the headers", plain, "--limit\r\n" + named, apperr.InvalidInput},
		{"cut off in the boundary", plain, part(named, png) + "--lim", apperr.InvalidInput},
		{"empty", plain, "", apperr.InvalidInput},
		{"only the end", plain, formEnd, apperr.InvalidInput},
		{"no form at all", plain, strings.Repeat(marker, 1000), apperr.InvalidInput},
		{"another boundary", "multipart/form-data; boundary=other", whole, apperr.InvalidInput},
		{"no boundary", "multipart/form-data", whole, apperr.InvalidInput},
		{"empty boundary", `multipart/form-data; boundary=""`, whole, apperr.InvalidInput},
		{"boundary of 10,000 characters", "multipart/form-data; boundary=" + strings.Repeat("x", 10_000), whole, apperr.InvalidInput},
		{"boundary of another alphabet", `multipart/form-data; boundary="界"`, whole, apperr.InvalidInput},
		{"two boundaries", "multipart/form-data; boundary=limit; boundary=other", whole, apperr.UnsupportedMediaType},
		{"another field", plain, part(`Content-Disposition: form-data; name="file"; filename="a.png"`, png) + formEnd, apperr.InvalidInput},
		{"field in upper case", plain, part(`Content-Disposition: form-data; name="IMAGE"; filename="a.png"`, png) + formEnd, apperr.InvalidInput},
		{"quotes in a file name", plain, part(named, png) + part(`Content-Disposition: form-data; name="image"; filename="b "x".gif"`, png) + formEnd, apperr.InvalidInput},
		{"two file names", plain, part(`Content-Disposition: form-data; name="image"; filename="a"; filename="b"`, png) + formEnd, apperr.InvalidInput},
		{"no name", plain, part(named, png) + part(`Content-Disposition: form-data; filename="a.png"`, png) + formEnd, apperr.InvalidInput},
		{"no disposition", plain, part("Content-Type: image/png", png) + formEnd, apperr.InvalidInput},
		{"attachment", plain, part(`Content-Disposition: attachment; name="image"; filename="a.png"`, png) + formEnd, apperr.InvalidInput},
		{"encoded in base64", plain, part(named+"\r\nContent-Transfer-Encoding: base64", "iVBORw0KGgo=") + formEnd, apperr.NotAnImage},
		{"form in a form", plain, part(`Content-Disposition: form-data; name="image"`+"\r\nContent-Type: multipart/mixed; boundary=inner", "--inner\r\n\r\n"+png+"\r\n--inner--") + formEnd, apperr.NotAnImage},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		token, kept := bearer(s.newUser(t).token), 0
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s.send(t, post("/upload/file", test.contentType, test.body, token)).want(t, test.wantCode)
				if test.wantCode == apperr.OK {
					kept++
				}
				if rows := s.count(t, "images"); rows != kept {
					t.Errorf("%d pictures are kept, want %d", rows, kept)
				}
			})
		}
	})
}

func TestFileNamesAreForDisplayOnly(t *testing.T) {
	tests := []struct{ name, parameter, want string }{
		{"plain", `filename="a.png"`, "a.png"},
		{"Chinese", `filename="我的照片.png"`, "我的照片.png"},
		{"Chinese, encoded", `filename*=UTF-8''%E6%88%91.png`, "我.png"},
		{"up two folders", `filename="../../evil.png"`, "evil.png"},
		{"absolute", `filename="/etc/passwd"`, "passwd"},
		{"of Windows", `filename="C:\\Users\\a.png"`, "a.png"},
		{"only dots", `filename=".."`, ""},
		{"encoded way up", `filename*=UTF-8''..%2F..%2Fevil.png`, "evil.png"},
		{"300 characters", `filename="` + strings.Repeat("长", 296) + `.png"`, strings.Repeat("长", 251) + ".png"},
		{"encoded nul", `filename*=UTF-8''a%00b.png`, "ab.png"},
		{"line end", `filename*=UTF-8''a%0D%0Ab.png`, "ab.png"},
		{"markup", `filename="<script>.png"`, "<script>.png"},
		{"right to left", "filename=\"a\u202egnp.exe\"", "agnp.exe"},
		{"no UTF-8", "filename=\"\xff\xfe.png\"", ".png"},
		{"empty", `filename=""`, ""},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		token := bearer(s.newUser(t).token)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				body := part(`Content-Disposition: form-data; name="image"; `+test.parameter, string(tinyPNG(t))) + formEnd
				stored := decoded[api.UploadResult](t, s.send(t, post("/upload/file", "multipart/form-data; boundary=limit", body, token)))
				image := stored.Data.Msg.Images[0]
				if image.Name != test.want {
					t.Errorf("the name is %q, want %q", image.Name, test.want)
				}
				s.send(t, get(pathOf(t, image.URL))).wantStatus(t, http.StatusOK)
			})
		}
	})
}

func TestNulInAFileNameIsHarmless(t *testing.T) {
	s := newServer(t, "")
	body := part("Content-Disposition: form-data; name=\"image\"; filename=\"a\x00.png\"", string(tinyPNG(t))) + formEnd
	s.send(t, post("/upload/file", "multipart/form-data; boundary=limit", body, bearer(s.newUser(t).token))).want(t, apperr.InvalidInput)
	s.wantNoPictures(t)
}

// TestClientsThatGoAway cuts connections in the middle of a request, and waits for the line that
// the server logs when it has given up.
func TestClientsThatGoAway(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		token := s.newUser(t).token
		body := part(`Content-Disposition: form-data; name="image"; filename="a.png"`, string(tinyPNG(t))) +
			part(`Content-Disposition: form-data; name="image"; filename="b.jpg"`, string(jpegOf(t, 500_000))) + formEnd
		json := registrationBody("18866668888", "phone", `"18866668888"`)
		for i, test := range []struct{ path, headers, body string }{
			{"/upload/file", "Authorization: Bearer " + token + "\r\nContent-Type: multipart/form-data; boundary=limit\r\n", body},
			{"/users/regist", "Content-Type: application/json\r\n", json},
		} {
			for j, sent := range []int{0, 1, 60, len(test.body) / 2, len(test.body) - 1} {
				id := fmt.Sprintf("gone-%d-%d", i, j)
				s.sendAndGo(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nX-Request-ID: %s\r\n%sContent-Length: %d\r\n\r\n%s",
					test.path, s.base.Host, id, test.headers, len(test.body), test.body[:min(sent, len(test.body))]))
				s.logs.await("msg=request method=POST", "request_id="+id)
			}
		}
		s.wantNoPictures(t)
		if users := s.count(t, "users"); users != 1 {
			t.Errorf("%d users are registered, want 1", users)
		}
		s.send(t, registration("18866668888")).want(t, apperr.OK)
	})
}

// sendAndGo writes to a connection of its own and closes it.
func (s *testServer) sendAndGo(t testing.TB, text string) {
	t.Helper()
	connection, err := net.Dial("tcp", s.base.Host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	if err := connection.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBodyIsNotReadBeforeTheCallerIsKnown offers an upload of 40 MB, and sends none of it.
func TestBodyIsNotReadBeforeTheCallerIsKnown(t *testing.T) {
	s := newServer(t, "")
	connection, err := net.Dial("tcp", s.base.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, err = fmt.Fprintf(connection, "POST /upload/file HTTP/1.1\r\nHost: %s\r\nContent-Type: multipart/form-data; boundary=limit\r\n"+
		"Content-Length: 40000000\r\nExpect: 100-continue\r\n\r\n", s.base.Host)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("answer is %d, want 401 instead of 100", response.StatusCode)
	}
}

// deadlines stands for the connection of a response, and remembers what it is told.
type deadlines struct {
	http.ResponseWriter
	read, write   time.Time
	calls, writes int
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; d.calls++; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; d.writes++; return nil }

func TestUploadBodyGrantsTimeForWhatHasCome(t *testing.T) {
	start := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	connection := &deadlines{}
	body := &uploadBody{
		ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", 10*slowestTransfer))),
		connection: http.NewResponseController(connection), start: start, overhead: 1 << 20,
	}
	for i, test := range []struct {
		read         int
		wantDeadline time.Duration // after the start, when the bytes are asked for
		wantCalls    int
	}{
		{1, uploadTimeout, 1},
		{slowestTransfer - 2, uploadTimeout, 1}, // a byte is missing for a second more
		{1, uploadTimeout, 1},
		{9 * slowestTransfer, uploadTimeout + time.Second, 2},
		{1, uploadTimeout + 10*time.Second, 3},
	} {
		if n, err := body.Read(make([]byte, test.read)); n != test.read && err != io.EOF {
			t.Fatalf("read %d: %d, %v", i, n, err)
		}
		if got := connection.read.Sub(start); got != test.wantDeadline || connection.calls != test.wantCalls {
			t.Errorf("read %d: deadline %s after %d calls, want %s after %d", i, got, connection.calls, test.wantDeadline, test.wantCalls)
		}
		if got := connection.write.Sub(connection.read); got != answerTimeout {
			t.Errorf("read %d: %s are left to answer, want %s", i, got, answerTimeout)
		}
	}
}

// TestClientThatDripsIsGivenUp lets the deadline pass on a real connection.
func TestClientThatDripsIsGivenUp(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	body := &uploadBody{ReadCloser: server, connection: http.NewResponseController(pipeWriter{Conn: server}), start: time.Now().Add(-uploadTimeout), overhead: 1 << 20}
	if _, err := body.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("error is %v, want a timeout", err)
	}
	form := uploadForm{parts: multipart.NewReader(body, "limit"), body: body}
	if _, err := form.next(); !apperr.Is(err, apperr.InvalidInput) {
		t.Errorf("error is %v, want InvalidInput", err)
	}
}

// pipeWriter is the response on a connection that has nothing but deadlines.
type pipeWriter struct {
	http.ResponseWriter
	net.Conn
}

func (p pipeWriter) Write(b []byte) (int, error) { return p.Conn.Write(b) }
