package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/browsertest"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/servertest"
)

// publicHost is the name in deploy/nginx/gatehouse.conf, and in publicURL.
const publicHost = "app.example.com"

// house is three servers on one MariaDB, behind an nginx with the configuration that is shipped.
type house struct {
	args        []string // of all servers
	servers     []*process
	dataDir     string // of all of them
	dir         string // of nginx
	http, https string // addresses of nginx
	certificate *servertest.Certificate
}

func startHouse(t *testing.T, args ...string) *house {
	t.Helper()
	h := &house{dataDir: filepath.Join(t.TempDir(), "data")}
	h.args = append(productionArgs(t), "--addr", "127.0.0.1:0", "--data-dir", h.dataDir, "--database", dbtest.MySQL(t),
		"--limits", "off", "--password-memory", "64", "--password-iterations", "1")
	h.start(t, args)
	return h
}

// beside starts three servers more, on the same database and folder, behind an nginx of their own.
func (h *house) beside(t *testing.T, args ...string) *house {
	t.Helper()
	other := &house{dataDir: h.dataDir, args: h.args}
	other.start(t, args)
	return other
}

func (h *house) start(t *testing.T, args []string) {
	t.Helper()
	for range 3 {
		h.servers = append(h.servers, launch(t, slices.Concat(h.args, args)...))
	}
	for _, server := range h.servers {
		server.awaitBanner(t)
	}
	h.startNginx(t)
}

// startNginx starts nginx in front of the servers.
func (h *house) startNginx(t *testing.T) {
	t.Helper()
	h.dir, h.http, h.https = t.TempDir(), freeAddress(t), freeAddress(t)
	h.certificate = servertest.NewCertificate(t, publicHost)
	servertest.NewNginx(t, h.dir, h.https, h.site(t))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := servertest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strconv.Itoa(port)
}

// site is the configuration that is shipped, with other addresses and files.
func (h *house) site(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("deploy/nginx/gatehouse.conf")
	if err != nil {
		t.Fatal(err)
	}
	site := string(content)
	for _, replace := range [][2]string{
		{"server 127.0.0.1:8000 ", "server " + h.servers[0].address + " "},
		{"server 127.0.0.1:8001 ", "server " + h.servers[1].address + " "},
		{"server 127.0.0.1:8002 ", "server " + h.servers[2].address + " "},
		{"listen 80;", "listen " + h.http + ";"},
		{"listen [::]:80; ", ""},
		{"listen 443 ssl http2;", "listen " + h.https + " ssl http2;"},
		{"listen [::]:443 ssl http2;", ""},
		{"/var/log/nginx/", h.dir + "/"},
		{"/var/lib/gatehouse/", h.dataDir + "/"},
		{"/etc/gatehouse/tls/app.pem", h.certificate.File},
		{"/etc/gatehouse/tls/app.key", h.certificate.KeyFile},
	} {
		if !strings.Contains(site, replace[0]) {
			t.Fatalf("deploy/nginx/gatehouse.conf has no %q", replace[0])
		}
		site = strings.ReplaceAll(site, replace[0], replace[1])
	}
	return site
}

// client returns a client of nginx at another address of this machine, as a phone elsewhere has.
func (h *house) client(t *testing.T, from string) *client {
	t.Helper()
	transport := newTransport(t)
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return dialerOf(from).DialContext(ctx, network, map[string]string{"80": h.http, "443": h.https}[port])
	}
	roots := x509.NewCertPool()
	roots.AddCert(h.certificate.X509)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return &client{t, http.Client{Jar: newJar(t), Transport: transport, Timeout: patience}, publicURL}
}

// dialerOf connects from an address of this machine.
func dialerOf(from string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
}

// overHTTP2 makes a client speak HTTP/2.
func (c *client) overHTTP2() *client {
	c.http.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	return c
}

// phone is the address of a client that is not nginx's own.
const phone = "127.0.0.7"

// TestNginxStory pastes the README's story into a shell whose curl reaches three servers through nginx.
func TestNginxStory(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		browsertest.Missing(t, "curl is not installed")
	}
	h := startHouse(t)
	settings := fmt.Sprintf("connect-to = \"%s:443:%s\"\ncacert = \"%s\"\n", publicHost, h.https, h.certificate.File)
	if err := os.WriteFile(filepath.Join(h.dir, ".curlrc"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	paste(t, readReadme(t, "README.md").steps, publicURL, "CURL_HOME="+h.dir)
	h.wantNoQueries(t)
}

// wantNoQueries looks for what only queries have in everything that nginx wrote.
func (h *house) wantNoQueries(t *testing.T) {
	t.Helper()
	written := h.read(t, "gatehouse.log") + h.read(t, "gatehouse-error.log")
	if !strings.Contains(written, "GET /h5/home ") {
		t.Errorf("the log lacks the home page:\n%s", written)
	}
	for _, secret := range []string{"ticket", "signature", "preset", "?"} {
		if strings.Contains(written, secret) {
			t.Errorf("nginx logs %q:\n%s", secret, written)
		}
	}
}

func (h *house) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestNginx(t *testing.T) {
	h := startHouse(t)
	app := h.client(t, phone).overHTTP2()
	token := registerAndLogIn(t, app)
	bearer := []string{"Authorization", "Bearer " + token}

	t.Run("addresses", func(t *testing.T) { h.wantRealAddress(t, app, bearer) })
	t.Run("spread", func(t *testing.T) { h.wantEvenSpread(t, app) })
	t.Run("redirect", func(t *testing.T) {
		app.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		defer func() { app.http.CheckRedirect = nil }()
		got := app.do(http.MethodPost, "http://"+publicHost+"/users/login?a=b", strings.NewReader("{}"))
		if want := publicURL + "/users/login?a=b"; got.status != http.StatusPermanentRedirect || got.header.Get("Location") != want {
			t.Errorf("status %d to %q, want 308 to %q", got.status, got.header.Get("Location"), want)
		}
	})
	t.Run("headers", func(t *testing.T) {
		got := app.get("/healthz", "X-Request-ID", "from-the-app.1")
		if got.header.Get("X-Request-ID") != "from-the-app.1" || got.header.Get("Strict-Transport-Security") == "" {
			t.Errorf("headers %v, want the client's request id and HSTS", got.header)
		}
	})
	t.Run("old TLS", func(t *testing.T) {
		conn, err := tls.Dial("tcp", h.https, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
		if err == nil {
			conn.Close()
			t.Error("nginx speaks TLS 1.1")
		}
	})
	t.Run("large upload", func(t *testing.T) { h.wantStreaming(t, token) })
	t.Run("too large upload", func(t *testing.T) { wantTooLarge(t, app, bearer) })
	t.Run("range", func(t *testing.T) { wantRange(t, app, bearer) })
	t.Run("tus", func(t *testing.T) { wantTus(t, app, bearer) })
	t.Run("nobody there", func(t *testing.T) { h.wantEnvelopeOfNobody(t, app) })
}

// wantRealAddress sends the headers with which a client might choose an address.
func (h *house) wantRealAddress(t *testing.T, app *client, bearer []string) {
	t.Helper()
	spoof := []string{"X-Real-IP", "203.0.113.1", "X-Forwarded-For", "203.0.113.2", "X-Scheme", "http", "X-Request-ID", "spoof"}
	sessions := messageOf[struct {
		Sessions []struct{ Address string }
	}](t, app.get("/users/sessions", append(spoof, bearer...)...))
	if len(sessions.Sessions) != 1 || sessions.Sessions[0].Address != phone {
		t.Errorf("sessions %+v, want one from %s", sessions, phone)
	}
	line := regexp.MustCompile(`client=` + regexp.QuoteMeta(phone) + ` request_id=spoof\b`)
	eventually(t, "the servers log the client's address", func() bool {
		content, err := os.ReadFile(filepath.Join(h.dataDir, "log/http/http.log"))
		return err == nil && line.Match(content)
	})
}

// logged is what nginx says of a request.
type logged struct {
	method, path, status string
	servers, statuses    []string // of each attempt
}

var logLine = regexp.MustCompile(`(?m)^\S+ \[\S+\] (\S+) (\S+) (\d+) \d+ [0-9.]+ request_id=(\S+) server=(.+) status=(.+) time=.+$`)

// requests are the requests in nginx's log, by their ids.
func (h *house) requests(t *testing.T) map[string]logged {
	t.Helper()
	requests := make(map[string]logged)
	for _, match := range logLine.FindAllStringSubmatch(h.read(t, "gatehouse.log"), -1) {
		requests[match[4]] = logged{match[1], match[2], match[3], strings.Split(match[5], ", "), strings.Split(match[6], ", ")}
	}
	return requests
}

func (h *house) wantEvenSpread(t *testing.T, app *client) {
	t.Helper()
	const each = 50
	for i := range 3 * each {
		app.get("/healthz", "X-Request-ID", fmt.Sprintf("spread-%d", i))
	}
	var counts map[string]int
	eventually(t, "all requests are in nginx's log, as many of each server", func() bool {
		counts = make(map[string]int)
		for id, request := range h.requests(t) {
			if strings.HasPrefix(id, "spread-") {
				counts[request.servers[0]]++
			}
		}
		return len(counts) == 3 && slices.Max(slices.Collect(maps.Values(counts))) == each && slices.Min(slices.Collect(maps.Values(counts))) == each
	})
}

// largePicture is a PNG of 50 MB.
func largePicture(t *testing.T) []byte {
	t.Helper()
	var data bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.NoCompression}
	if err := encoder.Encode(&data, image.NewNRGBA(image.Rect(0, 0, 3600, 3480))); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

// wantStreaming sends a part of an upload, and sees it on the server's disk before it sends the rest. nginx could
// not write it anywhere.
func (h *house) wantStreaming(t *testing.T, token string) {
	t.Helper()
	picture := largePicture(t)
	contentType, body := form(t, "image", []file{{"large.png", picture}})
	conn, err := tls.Dial("tcp", h.https, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /upload/file HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		publicHost, token, contentType, body.Len())
	first := int64(20_000_000)
	if _, err := io.CopyN(conn, body, first); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was sent of the upload is on the server's disk", func() bool { return h.incoming(t) > first-1_000_000 })
	if _, err := io.Copy(conn, body); err != nil {
		t.Fatal(err)
	}
	stored := messageOf[uploaded](t, readAnswer(t, bufio.NewReader(conn)))
	if len(stored.Images) != 1 || stored.Images[0].Bytes != len(picture) {
		t.Errorf("stored %+v, want %d bytes", stored.Images, len(picture))
	}
	loaded := h.client(t, phone).get(stored.ImageURL[0])
	if loaded.status != http.StatusOK || loaded.body != string(picture) {
		t.Errorf("load it: status %d, %d bytes; want 200, %d", loaded.status, len(loaded.body), len(picture))
	}
}

// incoming is how many bytes lie in uploads that are not decided yet.
func (h *house) incoming(t *testing.T) (size int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(h.dataDir, "image/incoming"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func wantTooLarge(t *testing.T, app *client, bearer []string) {
	t.Helper()
	headers := append([]string{"Content-Type", "image/png"}, bearer...)
	got := app.do(http.MethodPost, "/upload/file", bytes.NewReader(make([]byte, 52<<20)), headers...)
	got.wantEnvelope(t, apperr.UploadTooLarge, apperr.Chinese)
}

// wantEnvelope checks an answer of nginx against the one that the servers would give.
func (a answer) wantEnvelope(t *testing.T, code apperr.Code, language apperr.Language) {
	t.Helper()
	want := fmt.Sprintf(`{"data":{"msg":"%s","code":%d}}`+"\n", code.Text().In(language), code)
	if a.status != code.Status() || a.body != want || a.header.Get("Content-Type") != "application/json" ||
		a.header.Get("Cache-Control") != "no-store" || a.header.Get("Strict-Transport-Security") == "" {
		t.Errorf("status %d, %q, headers %v; want %d, %q", a.status, a.body, a.header, code.Status(), want)
	}
}

func wantRange(t *testing.T, app *client, bearer []string) {
	t.Helper()
	picture := pngPicture(t)
	stored := messageOf[uploaded](t, app.upload([]file{{"a.png", picture}}, bearer...))
	got := app.get(stored.ImageURL[0], "Range", "bytes=8-15")
	if got.status != http.StatusPartialContent || got.body != string(picture[8:16]) {
		t.Errorf("status %d, %q, want 206 and %q", got.status, got.body, picture[8:16])
	}
}

// wantTus uploads in two pieces, with a look at the offset between them.
func wantTus(t *testing.T, app *client, bearer []string) {
	t.Helper()
	picture := gifPicture(t)
	tus := append([]string{"Tus-Resumable", "1.0.0"}, bearer...)
	created := app.do(http.MethodPost, "/upload/session", nil, append(tus, "Upload-Length", strconv.Itoa(len(picture)))...)
	location := created.header.Get("Location")
	if created.status != http.StatusCreated || !strings.HasPrefix(location, publicURL) {
		t.Fatalf("create: status %d, Location %q", created.status, location)
	}
	for offset, half := 0, len(picture)/2; offset < len(picture); offset += half {
		piece := append(tus, "Upload-Offset", strconv.Itoa(offset), "Content-Type", "application/offset+octet-stream")
		end := min(offset+half, len(picture))
		sent := app.do(http.MethodPatch, location, bytes.NewReader(picture[offset:end]), piece...)
		seen := app.do(http.MethodHead, location, nil, tus...)
		if want := strconv.Itoa(end); sent.status != http.StatusNoContent || seen.header.Get("Upload-Offset") != want {
			t.Fatalf("piece at %d: status %d, then offset %s, want %s\n%s", offset, sent.status, seen.header.Get("Upload-Offset"), want, sent.body)
		}
	}
}

// wantEnvelopeOfNobody kills all servers.
func (h *house) wantEnvelopeOfNobody(t *testing.T, app *client) {
	t.Helper()
	for _, server := range h.servers {
		kill(t, server)
	}
	app.get("/static/image/aaa.gif", "X-Request-ID", "nobody-1").wantEnvelope(t, apperr.ServerBusy, apperr.Chinese)
	got := app.postJSON("/users/login", credentials, "Accept-Language", "en-GB, en;q=0.8", "X-Request-ID", "nobody-2")
	got.wantEnvelope(t, apperr.ServerBusy, apperr.English)
	if got.header.Get("Retry-After") == "" || got.header.Get("X-Request-ID") != "nobody-2" {
		t.Errorf("headers %v, want Retry-After and the request's id", got.header)
	}
	page := app.get("/h5/home?ticket=secret", "Accept", "text/html,*/*")
	if page.status != http.StatusServiceUnavailable || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") ||
		!strings.Contains(page.body, apperr.ServerBusy.Text().Chinese) {
		t.Errorf("status %d, %s, want a page\n%s", page.status, page.header.Get("Content-Type"), page.body)
	}
	h.wantNoQueries(t)
}

// TestNginxUnderLoad kills one server and stops another one while clients load, register and upload.
func TestNginxUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute; make test-all runs this")
	}
	h := startHouse(t, "--log-level", "warn,server=info")
	l := h.newLoad(t)
	l.awaitMore(t, 300)
	killed := h.servers[0]
	kill(t, killed)
	l.awaitMore(t, 300)
	time.Sleep(6 * time.Second) // nginx tries it again after its fail_timeout
	l.awaitMore(t, 300)
	h.servers[1].stop(t)
	l.awaitMore(t, 300)
	l.end()

	requests := h.requests(t)
	l.wantOnlyLostOn(t, killed.address, requests)
	for i, server := range h.servers {
		if answeredBy(requests, server.address) < 50 {
			t.Errorf("server %d answered nearly nothing", i)
		}
	}
	h.wantNoErrors(t)
}

// wantNoErrors looks into the log of the servers.
func (h *house) wantNoErrors(t *testing.T) {
	t.Helper()
	for _, server := range h.servers {
		if strings.Contains(server.stderr.String(), " ERROR ") {
			t.Errorf("a server logged errors:\n%s", server.stderr.String())
		}
	}
}

// newLoad is clients on HTTP/1.1 and on HTTP/2.
func (h *house) newLoad(t *testing.T) *load {
	t.Helper()
	return newLoad(t, map[string]func() *client{
		"http1": func() *client { return h.client(t, phone) },
		"http2": func() *client { return h.client(t, phone).overHTTP2() },
	})
}

func answeredBy(requests map[string]logged, address string) (count int) {
	for _, request := range requests {
		if request.status == "200" && request.servers[len(request.servers)-1] == address {
			count++
		}
	}
	return count
}

// wantOnlyLostOn checks that requests failed only at one server, and only such as must not be sent to another one.
func (l *load) wantOnlyLostOn(t *testing.T, killed string, requests map[string]logged) {
	t.Helper()
	for id, what := range l.failed {
		request, found := requests[id]
		if !found || request.servers[len(request.servers)-1] != killed || request.method != http.MethodPost || request.status != "503" {
			t.Errorf("%s failed: %s\nnginx says %+v; the server at %s was killed", id, what, request, killed)
		}
	}
	t.Logf("%d requests answered, %d lost on the server that was killed", l.answered.Load(), len(l.failed))
	if most := 6 * loadClients; len(l.failed) > most {
		t.Errorf("%d requests failed, more than %d clients had under way", len(l.failed), most)
	}
}
