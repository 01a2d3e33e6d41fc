package main

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
	"gatehouse/internal/servertest"
)

// secondTry is when a node has tried a second time, on a machine that was too busy for the first.
const secondTry = 3 * time.Minute

// acmeHouse is several nodes of one name, and a CA that makes its certificate. What the CA asks them comes
// to the house, which asks all of them.
type acmeHouse struct {
	ca   *servertest.Pebble
	args []string // of every node

	mu    sync.Mutex
	nodes []*process
	asked int // by the CA
}

func newACMEHouse(t *testing.T, databaseURL string) *acmeHouse {
	t.Helper()
	h := &acmeHouse{ca: servertest.NewPebble(t, servertest.PebbleOptions{})}
	h.args = httpsArgs(t, "--acme-domain", publicName, "--acme-email", "ops@example.com", "--acme-directory", h.ca.Directory,
		"--log-level", "warn,server=info")
	if databaseURL != "" {
		h.args = append(h.args, "--database", databaseURL)
	}
	h.listen(t, h.ca.HTTPPort, h.askOverHTTP)
	h.listen(t, h.ca.TLSPort, h.askOverTLS)
	return h
}

// listen answers connections to a port until the test ends.
func (h *acmeHouse) listen(t *testing.T, port int, answer func(t *testing.T, conn net.Conn) error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	servertest.Answer(t, l, func(conn net.Conn) {
		if err := answer(t, conn); err != nil {
			t.Errorf("the CA asked, and got no answer: %v", err)
		}
	})
}

// count returns all nodes, which the CA asks.
func (h *acmeHouse) count() []*process {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	return slices.Clone(h.nodes)
}

// askOverHTTP asks all nodes. Since one of them fetches the certificate, the others answer for it.
func (h *acmeHouse) askOverHTTP(t *testing.T, conn net.Conn) error {
	question, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	var answers []string
	for _, node := range h.count() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+node.redirectAddress(t)+question.URL.Path, nil)
		if err != nil {
			return err
		}
		request.Host = question.Host
		response, err := newTransport(t).RoundTrip(request)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %s, %w", node.address, response.Status, err)
		}
		answers = append(answers, string(body))
	}
	if len(slices.Compact(slices.Clone(answers))) != 1 {
		return fmt.Errorf("the nodes answer differently: %q", answers)
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(answers[0]), answers[0])
	return err
}

// askOverTLS lets all nodes but the last one show what they have for the CA, and the CA see that of the last one.
func (h *acmeHouse) askOverTLS(t *testing.T, conn net.Conn) error {
	nodes := h.count()
	for _, node := range nodes {
		shown, err := tls.Dial("tcp", node.address, &tls.Config{
			ServerName: publicName, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true, // it is signed by nobody
		})
		if err != nil {
			return fmt.Errorf("%s: %w", node.address, err)
		}
		shown.Close()
	}
	last, err := net.Dial("tcp", nodes[len(nodes)-1].address)
	if err != nil {
		return err
	}
	defer last.Close()
	go func() {
		_, _ = io.Copy(last, conn) // either end may close
		last.Close()
	}()
	_, _ = io.Copy(conn, last)
	return nil
}

// launch starts a node.
func (h *acmeHouse) launch(t *testing.T, dataDir string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, slices.Concat(h.args, []string{"--addr", "127.0.0.1:0", "--data-dir", dataDir})...)
	cmd.Env = []string{"SSL_CERT_FILE=" + h.ca.CAFile}
	p := launchCommand(t, cmd)
	p.awaitBanner(t)
	h.mu.Lock()
	h.nodes = append(h.nodes, p)
	h.mu.Unlock()
	return p
}

// TestCertificatesAreFetched starts nodes while the CA is away. When it is back, one of them gets the
// certificate, and all serve it.
func TestCertificatesAreFetched(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute; make test-all runs this")
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		h := newACMEHouse(t, url)
		roots := h.ca.Roots(t)
		if err := h.ca.Suspend(); err != nil {
			t.Fatal(err)
		}
		dirs := []string{t.TempDir()}
		if url != "" {
			dirs = append(dirs, t.TempDir())
		}
		for _, dir := range dirs {
			wantNoCertificate(t, h.launch(t, dir), roots)
		}
		if err := h.ca.Resume(); err != nil {
			t.Fatal(err)
		}
		var first *x509.Certificate
		for _, node := range h.nodes {
			got := awaitCertificate(t, node, roots)
			if first = cmp.Or(first, got); !got.Equal(first) {
				t.Errorf("%s has another certificate than %s", node.address, h.nodes[0].address)
			}
		}
		h.wantAskedAndFetchedOnce(t)

		h.ca.Stop() // nobody needs it now
		h.nodes[0].stop(t)
		restarted := h.launch(t, dirs[0])
		if got := awaitCertificate(t, restarted, roots); !got.Equal(first) {
			t.Error("a restarted node has another certificate")
		}
		if strings.Contains(restarted.stdout.String(), "NOTE: nobody can connect") {
			t.Errorf("a restarted node has to wait:\n%s", restarted.stdout.String())
		}
	})
}

func (h *acmeHouse) wantAskedAndFetchedOnce(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked == 0 {
		t.Error("the CA asked nothing")
	}
	fetched := func() (count int) {
		for _, node := range h.nodes {
			count += strings.Count(node.stderr.String(), "got a certificate")
		}
		return count
	}
	eventually(t, "the log says that there is a certificate", func() bool { return fetched() > 0 })
	if got := fetched(); got != 1 {
		t.Errorf("%d certificates were fetched, want 1", got)
	}
	for _, node := range h.nodes {
		if strings.Contains(node.stderr.String(), " ERROR ") {
			t.Errorf("a node logged errors:\n%s", node.stderr.String())
		}
	}
}

// wantNoCertificate checks that a node without a certificate serves what it can and says what it waits for.
func wantNoCertificate(t *testing.T, p *process, roots *x509.CertPool) {
	t.Helper()
	if !strings.Contains(p.stdout.String(), "nobody can connect before the CA has made the certificate of "+publicName) {
		t.Errorf("it does not say what it waits for:\n%s", p.stdout.String())
	}
	if _, err := newHTTPSClient(t, p, roots, true).try(http.MethodGet, "/healthz", nil); err == nil {
		t.Error("it has a certificate already")
	}
	eventually(t, "the log says why nobody can connect", func() bool {
		return strings.Contains(p.stderr.String(), "there is no certificate of ["+publicName+"] yet; it is being fetched from")
	})
	browser := &client{t, http.Client{Transport: newTransport(t), CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}, "http://" + p.redirectAddress(t)}
	if got := browser.get("/h5/login"); got.status != http.StatusPermanentRedirect || got.header.Get("Location") != publicURL+"/h5/login" {
		t.Errorf("plain HTTP: status %d to %q", got.status, got.header.Get("Location"))
	}
}

// awaitCertificate waits until a node serves, with a certificate of the CA.
func awaitCertificate(t *testing.T, p *process, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	app := newHTTPSClient(t, p, roots, true)
	for deadline := time.Now().Add(secondTry); ; time.Sleep(50 * time.Millisecond) {
		_, err := app.try(http.MethodGet, "/healthz", nil)
		if err == nil {
			return shownTo(t, app)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s serves with no certificate: %v", p.address, err)
		}
	}
}
