package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/dbtest"
	"gatehouse/internal/servertest"
)

const publicName = "app.example.com"

// httpsArgs are the options of a production server that speaks HTTPS itself.
func httpsArgs(t *testing.T, args ...string) []string {
	t.Helper()
	return slices.Concat([]string{"--mode", "production", "--public-url", publicURL, "--sms", "none",
		"--secret-file", newSecret(t, strings.Repeat("s3cret-", 6)), "--redirect-addr", "127.0.0.1:0"}, args)
}

// liveCertificate is a certificate in files that a test replaces.
type liveCertificate struct{ file, keyFile string }

func newLiveCertificate(t *testing.T, c *servertest.Certificate) liveCertificate {
	t.Helper()
	dir := t.TempDir()
	live := liveCertificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	live.replaceBy(t, c)
	return live
}

func (l liveCertificate) args() []string {
	return []string{"--tls-cert", l.file, "--tls-key", l.keyFile}
}

func (l liveCertificate) replaceBy(t *testing.T, c *servertest.Certificate) {
	t.Helper()
	for from, to := range map[string]string{c.File: l.file, c.KeyFile: l.keyFile} {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to+".new", content, 0o600)
		}
		if err == nil {
			err = os.Rename(to+".new", to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// poolOf trusts certificates.
func poolOf(certificates ...*servertest.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c.X509)
	}
	return pool
}

// newHTTPSClient returns a client that reaches a server at its public URL, over HTTP/2 or only HTTP/1.1.
func newHTTPSClient(t *testing.T, p *process, roots *x509.CertPool, version2 bool) *client {
	t.Helper()
	transport := newTransport(t)
	transport.TLSClientConfig, transport.ForceAttemptHTTP2 = &tls.Config{RootCAs: roots}, version2
	var dialer net.Dialer
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, p.address)
	}
	return &client{t, http.Client{Jar: newJar(t), Transport: transport, Timeout: patience}, publicURL}
}

func TestStoryOverHTTPS(t *testing.T) {
	c := servertest.NewCertificate(t, publicName)
	dbtest.RunURL(t, func(t *testing.T, database string) {
		args, dataDir := databaseArgs(t, database)
		p := start(t, slices.Concat(args, httpsArgs(t, "--tls-cert", c.File, "--tls-key", c.KeyFile))...)
		secrets := playStory(t, newHTTPSClient(t, p, poolOf(c), true))
		p.stop(t)
		checkLogs(t, p, dataDir, "127.0.0.1", secrets)
	})
}

var certificateExpiry = regexp.MustCompile(`(?m)^gatehouse_certificate_expiry_timestamp_seconds (\S+)$`)

func TestHTTPSIsWhatItShouldBe(t *testing.T) {
	c := servertest.NewCertificate(t, publicName)
	p := start(t, httpsArgs(t, "--hsts", "24h", "--tls-cert", c.File, "--tls-key", c.KeyFile)...)
	registerAndLogIn(t, newHTTPSClient(t, p, poolOf(c), true))
	for name, version2 := range map[string]bool{"HTTP/2.0": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			app := newHTTPSClient(t, p, poolOf(c), version2)
			response, err := app.http.Get(publicURL + "/h5/login")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.Proto != name || response.StatusCode != http.StatusOK {
				t.Errorf("%s, status %d", response.Proto, response.StatusCode)
			}
			if got := response.Header.Get("Strict-Transport-Security"); got != "max-age=86400" {
				t.Errorf("Strict-Transport-Security is %q", got)
			}
			uploadInPieces(t, app)
		})
	}
	t.Run("secure cookie", func(t *testing.T) {
		app := newHTTPSClient(t, p, poolOf(c), true)
		app.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		opened := app.get(messageOf[login](t, app.postJSON("/users/login", credentials)).HomeURL)
		if cookie := opened.header.Get("Set-Cookie"); !strings.Contains(cookie, "; Secure") {
			t.Errorf("the cookie is %q, want it secure", cookie)
		}
	})
	t.Run("metric", func(t *testing.T) {
		match := certificateExpiry.FindStringSubmatch(newAdmin(t, p).get("/metrics").body)
		if match == nil {
			t.Fatal("no metric says when the certificate expires")
		}
		if got, err := strconv.ParseFloat(match[1], 64); err != nil || int64(got) != c.X509.NotAfter.Unix() {
			t.Errorf("the certificate expires at %s, want %d", match[1], c.X509.NotAfter.Unix())
		}
	})
	t.Run("plain HTTP", func(t *testing.T) {
		if got := newClient(t, p).get("/healthz"); got.status != http.StatusBadRequest {
			t.Errorf("status %d, want 400", got.status)
		}
	})
}

// uploadInPieces sends a picture of several windows of HTTP/2 whose length nobody knows before, and loads it.
func uploadInPieces(t *testing.T, app *client) {
	t.Helper()
	picture := noisePicture(t)
	contentType, body := form(t, "image", []file{{"a.png", picture}})
	token := messageOf[login](t, app.postJSON("/users/login", credentials)).AccessToken
	got := app.do(http.MethodPost, "/upload/file", io.NopCloser(body), "Content-Type", contentType, "Authorization", "Bearer "+token)
	if got.status != http.StatusOK {
		t.Fatalf("upload: %d %s", got.status, got.body)
	}
	loaded := app.get(messageOf[uploaded](t, got).ImageURL[0])
	if loaded.status != http.StatusOK || !bytes.Equal([]byte(loaded.body), picture) {
		t.Errorf("loaded: status %d and %d bytes, want the %d that were sent", loaded.status, len(loaded.body), len(picture))
	}
}

// noisePicture is a PNG of some megabytes.
func noisePicture(t *testing.T) []byte {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, 1000, 1000))
	for i := range picture.Pix {
		picture.Pix[i] = byte(rand.Uint32())
		if i%4 == 3 {
			picture.Pix[i] = 0xff
		}
	}
	var content bytes.Buffer
	if err := png.Encode(&content, picture); err != nil {
		t.Fatal(err)
	}
	return content.Bytes()
}

func TestTLSVersions(t *testing.T) {
	c := servertest.NewCertificate(t, publicName)
	p := start(t, "--tls-cert", c.File, "--tls-key", c.KeyFile) // development mode has it too
	if base := "https://" + p.address; !strings.Contains(p.stdout.String(), "home page  "+base) {
		t.Errorf("it does not say %s:\n%s", base, p.stdout.String())
	}
	tests := []struct {
		version uint16
		wantOK  bool
	}{{tls.VersionTLS10, false}, {tls.VersionTLS11, false}, {tls.VersionTLS12, true}, {tls.VersionTLS13, true}}
	for _, test := range tests {
		t.Run(tls.VersionName(test.version), func(t *testing.T) {
			conn, err := tls.Dial("tcp", p.address, &tls.Config{
				RootCAs: poolOf(c), ServerName: publicName, MinVersion: test.version, MaxVersion: test.version,
			})
			if err == nil {
				conn.Close()
			}
			if ok := err == nil; ok != test.wantOK {
				t.Errorf("the handshake: %v, want success %v", err, test.wantOK)
			}
		})
	}
}

var bannerRedirect = regexp.MustCompile(`(?m)^  redirect   plain HTTP on (\S+)$`)

// redirectAddress is where a process listens for plain HTTP.
func (p *process) redirectAddress(t *testing.T) string {
	t.Helper()
	match := bannerRedirect.FindStringSubmatch(p.stdout.String())
	if match == nil {
		t.Fatalf("it does not say where it redirects:\n%s", p.stdout.String())
	}
	return match[1]
}

func TestPlainHTTPIsRedirected(t *testing.T) {
	c := servertest.NewCertificate(t, publicName)
	p := start(t, httpsArgs(t, "--hsts", "24h", "--tls-cert", c.File, "--tls-key", c.KeyFile)...)
	tests := []struct{ request, want string }{
		{"GET /h5/home?ticket=x%20y HTTP/1.1\r\nHost: app.example.com\r\n", publicURL + "/h5/home?ticket=x%20y"},
		{"POST /users/regist HTTP/1.1\r\nHost: app.example.com:80\r\nContent-Length: 0\r\n", publicURL + "/users/regist"},
		{"GET / HTTP/1.1\r\nHost: evil.example.com\r\n", publicURL + "/"},
		{"GET http://evil.example.com/path HTTP/1.1\r\nHost: evil.example.com\r\n", publicURL + "/path"},
		{"GET //evil.example.com HTTP/1.1\r\nHost: app.example.com\r\n", publicURL + "//evil.example.com"},
		{"CONNECT evil.example.com:443 HTTP/1.1\r\nHost: evil.example.com:443\r\n", publicURL + "/"},
		{"GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: app.example.com\r\n", publicURL + "/.well-known/acme-challenge/x"},
	}
	for _, test := range tests {
		line, _, _ := strings.Cut(test.request, "\r\n")
		t.Run(line, func(t *testing.T) {
			conn, err := net.Dial("tcp", p.redirectAddress(t))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, test.request+"Connection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if got := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || got != test.want {
				t.Errorf("status %d to %s, want 308 to %s", response.StatusCode, got, test.want)
			}
			if response.Header.Get("Strict-Transport-Security") != "" {
				t.Error("it says Strict-Transport-Security over plain HTTP")
			}
		})
	}
}

// TestCertificateIsReplacedUnderLoad replaces the files again and again. No request may fail, and an open
// connection stays open.
func TestCertificateIsReplacedUnderLoad(t *testing.T) {
	all := []*servertest.Certificate{servertest.NewCertificate(t, publicName), servertest.NewCertificate(t, publicName), servertest.NewCertificate(t, publicName)}
	live, roots := newLiveCertificate(t, all[0]), poolOf(all...)
	p := start(t, httpsArgs(t, append(live.args(), "--limits", "off", "--log-level", "warn,server=info")...)...)
	l := newLoad(t, map[string]func() *client{
		"http1": func() *client { return newHTTPSClient(t, p, roots, false) },
		"http2": func() *client { return newHTTPSClient(t, p, roots, true) },
	})
	kept := newHTTPSClient(t, p, roots, false)
	wantShown(t, kept, all[0], false)
	for _, next := range all[1:] {
		l.awaitMore(t, 100)
		live.replaceBy(t, next)
		eventually(t, "a new connection is shown the new certificate", func() bool {
			return shownTo(t, newHTTPSClient(t, p, roots, true)).Equal(next.X509)
		})
		l.awaitMore(t, 100)
		wantShown(t, kept, all[0], true)
	}
	l.end()
	for id, what := range l.failed {
		t.Errorf("%s: %s", id, what)
	}
	if strings.Contains(p.stderr.String(), " ERROR ") {
		t.Errorf("it logged errors:\n%s", p.stderr.String())
	}
}

// shownTo is the certificate of the connection that a client has or makes.
func shownTo(t *testing.T, app *client) *x509.Certificate {
	t.Helper()
	certificate, _ := connectionOf(t, app)
	return certificate
}

func connectionOf(t *testing.T, app *client) (shown *x509.Certificate, reused bool) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, app.base+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := app.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
	return response.TLS.PeerCertificates[0], reused
}

func wantShown(t *testing.T, app *client, want *servertest.Certificate, wantReused bool) {
	t.Helper()
	shown, reused := connectionOf(t, app)
	if !shown.Equal(want.X509) || reused != wantReused {
		t.Errorf("the certificate has serial %s, on a connection used before: %v; want %s, %v",
			shown.SerialNumber, reused, want.X509.SerialNumber, wantReused)
	}
}

func TestUnusableCertificateFiles(t *testing.T) {
	one, two := servertest.NewCertificate(t, publicName), servertest.NewCertificate(t, publicName)
	_, stderr, code := call(t, "--addr", "127.0.0.1:0", "--tls-cert", one.File, "--tls-key", two.KeyFile)
	if want := "private key does not match public key"; code != 1 || !strings.Contains(stderr, want) || !strings.Contains(stderr, one.File) {
		t.Errorf("code %d, want 1 and an error that names the file:\n%s", code, stderr)
	}
}

func TestPortThatIsNotAllowed(t *testing.T) {
	const advice = "CAP_NET_BIND_SERVICE"
	for _, test := range []struct {
		errno syscall.Errno
		want  bool
	}{{syscall.EACCES, true}, {syscall.EADDRINUSE, false}} {
		err := adviseOnPort(&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", test.errno)})
		if !errors.Is(err, test.errno) || strings.Contains(err.Error(), advice) != test.want {
			t.Errorf("%v: it says %q, with %s: want %v", test.errno, err, advice, test.want)
		}
	}
}
