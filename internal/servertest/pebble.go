package servertest

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const pebbleStartup = 30 * time.Second

var pebbleProgram = Program{
	Package: "github.com/letsencrypt/pebble/v2/cmd/pebble", Version: "v2.10.3", Without: "what fetches certificates",
}

// PebbleOptions are what a test wants of a Pebble.
type PebbleOptions struct {
	Lifetime time.Duration // of certificates; 0 is 90 days
}

// Pebble is a private ACME server, which hands out certificates for any name. It looks for all names on
// 127.0.0.1, and refuses some requests as a busy one does.
type Pebble struct {
	*Process
	Directory string // URL
	CAFile    string // the certificate that the directory shows, and
	CA        *x509.CertPool
	HTTPPort  int // where it asks for answers to HTTP-01
	TLSPort   int // where it asks for answers to TLS-ALPN-01

	roots  string // URL
	client *http.Client
}

// NewPebble starts a Pebble on free ports of 127.0.0.1 that runs until the test ends. It is skipped as
// Program.Need says.
func NewPebble(tb testing.TB, options PebbleOptions) *Pebble {
	tb.Helper()
	pebbleProgram.Need(tb)
	p := &Pebble{}
	ports := map[string]*int{"HTTP-01": &p.HTTPPort, "TLS-ALPN-01": &p.TLSPort, "directory": new(int), "roots": new(int)}
	for what, port := range ports {
		var err error
		if *port, err = FreePort(); err != nil {
			tb.Fatalf("a port for %s: %v", what, err)
		}
	}
	address := func(of string) string { return "127.0.0.1:" + strconv.Itoa(*ports[of]) }
	p.Directory, p.roots = "https://"+address("directory")+"/dir", "https://"+address("roots")+"/roots/0"
	certificate := NewCertificate(tb, "127.0.0.1")
	p.CAFile, p.CA, p.client = certificate.File, certificate.Pool(), certificate.Client()
	config := map[string]any{"pebble": map[string]any{
		"listenAddress": address("directory"), "managementListenAddress": address("roots"),
		"certificate": certificate.File, "privateKey": certificate.KeyFile,
		"httpPort": p.HTTPPort, "tlsPort": p.TLSPort, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]any{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"validityPeriod": int(options.Lifetime.Seconds())}},
	}}
	if err := p.start(filepath.Join(tb.TempDir(), "pebble.json"), config, serveDNS(tb)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Stop)
	return p
}

func (p *Pebble) start(file string, config map[string]any, resolver string) error {
	content, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(pebbleProgram.Path(), "-config", file, "-dnsserver", resolver)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	p.Process, err = Start(cmd, pebbleStartup, func() error {
		_, err := p.get(p.Directory)
		return err
	})
	return err
}

func (p *Pebble) get(url string) ([]byte, error) {
	response, err := p.client.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

// Roots returns what trusts the certificates that it hands out.
func (p *Pebble) Roots(tb testing.TB) *x509.CertPool {
	tb.Helper()
	root, err := p.get(p.roots)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		tb.Fatalf("not a certificate: %s", root)
	}
	return pool
}

// serveDNS answers, until the test ends, that every name is on 127.0.0.1. It returns its address.
func serveDNS(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // Pebble asks over TCP
	if err != nil {
		tb.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		if name := question.Question[0]; name.Qtype == dns.TypeA {
			header := dns.RR_Header{Name: name.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}
			answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
		}
		_ = w.WriteMsg(answer) // Pebble says what it lacks
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	tb.Cleanup(func() {
		listener.Close()
		<-ended
	})
	return listener.Addr().String()
}
