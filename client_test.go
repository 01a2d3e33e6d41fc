package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// client plays an app or a browser: it keeps cookies and follows redirects.
type client struct {
	t    *testing.T
	http http.Client
	base string // where it reaches the server
}

// newClient returns a client of a server on this machine.
func newClient(t *testing.T, p *process) *client {
	t.Helper()
	return &client{t, http.Client{Jar: newJar(t), Transport: newTransport(t), Timeout: patience}, p.url()}
}

// newPublicClient returns a client that reaches a production server at its public URL.
func newPublicClient(t *testing.T, p *process) *client {
	t.Helper()
	return &client{t, http.Client{Jar: newJar(t), Transport: proxy{newTransport(t), p.address}, Timeout: patience}, publicURL}
}

func newJar(t *testing.T) *cookiejar.Jar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

// newTransport returns a transport whose connections are closed when the test ends, so that no server waits for them.
func newTransport(t *testing.T) *http.Transport {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// proxy stands in front of a production server: it ends TLS and names the client.
type proxy struct {
	next    *http.Transport
	address string
}

const clientIP = "203.0.113.7"

func (p proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	forwarded := r.Clone(r.Context())
	forwarded.Host = r.URL.Host
	forwarded.URL.Scheme, forwarded.URL.Host = "http", p.address
	forwarded.Header.Set("X-Real-IP", cmp.Or(r.Header.Get("X-Real-IP"), clientIP)) // a test may play another client
	forwarded.Header.Set("X-Scheme", "https")
	answer, err := p.next.RoundTrip(forwarded)
	if answer != nil {
		answer.Request = r
	}
	return answer, err
}

// answer is a response with its whole body.
type answer struct {
	status int
	header http.Header
	body   string
	url    *url.URL // after redirects
}

// do sends a request to a path or a URL. Headers are name, value, ….
func (c *client) do(method, target string, body io.Reader, headers ...string) answer {
	c.t.Helper()
	a, err := c.try(method, target, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// try is do for a server that may be killed meanwhile. Its error is that there is no complete answer.
func (c *client) try(method, target string, body io.Reader, headers ...string) (answer, error) {
	if strings.HasPrefix(target, "/") {
		target = c.base + target
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, target, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.http.Do(r)
	if err != nil {
		return answer{}, err // it names the method and the URL
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: read the answer: %w", method, target, err)
	}
	return answer{response.StatusCode, response.Header, string(content), response.Request.URL}, nil
}

func (c *client) get(target string, headers ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, target, nil, headers...)
}

func (c *client) postJSON(path, body string, headers ...string) answer {
	c.t.Helper()
	return c.do(http.MethodPost, path, strings.NewReader(body), append([]string{"Content-Type", "application/json"}, headers...)...)
}

// upload sends files in the field image.
func (c *client) upload(files []file, headers ...string) answer {
	c.t.Helper()
	contentType, body := form(c.t, "image", files)
	return c.do(http.MethodPost, "/upload/file", body, append(headers, "Content-Type", contentType)...)
}

type file struct {
	name    string
	content []byte
}

func form(t *testing.T, field string, files []file) (contentType string, body *bytes.Buffer) {
	t.Helper()
	body = new(bytes.Buffer)
	w := multipart.NewWriter(body)
	for _, f := range files {
		part, err := w.CreateFormFile(field, f.name)
		if err == nil {
			_, err = part.Write(f.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), body
}

// wantError checks that an answer is a refusal with this status and code.
func (a answer) wantError(t *testing.T, status, code int) {
	t.Helper()
	var refusal struct{ Data struct{ Code int } }
	if err := json.Unmarshal([]byte(a.body), &refusal); err != nil {
		t.Fatalf("status %d, want an envelope: %v\n%s", a.status, err, a.body)
	}
	if a.status != status || refusal.Data.Code != code {
		t.Errorf("status %d, code %d; want %d, %d\n%s", a.status, refusal.Data.Code, status, code, a.body)
	}
}

// messageOf returns the msg of a success.
func messageOf[T any](t *testing.T, a answer) T {
	t.Helper()
	var success struct {
		Data struct {
			Msg  T
			Code int
		}
	}
	if a.status != http.StatusOK {
		t.Fatalf("status %d, want 200\n%s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &success); err != nil {
		t.Fatalf("unexpected envelope: %v\n%s", err, a.body)
	}
	if success.Data.Code != 0 {
		t.Errorf("code %d, want 0\n%s", success.Data.Code, a.body)
	}
	return success.Data.Msg
}

func pngPicture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gifPicture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	picture := image.NewPaletted(image.Rect(0, 0, 20, 10), color.Palette{color.Black, color.White})
	if err := gif.Encode(&b, picture, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegPicture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 20, 10)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
