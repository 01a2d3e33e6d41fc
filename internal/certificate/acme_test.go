package certificate

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/servertest"
)

const domain = "a.example.com"

func newACME(t *testing.T, d *database.Database, ca *servertest.Pebble) *ACME {
	t.Helper()
	a, err := NewACME(ACMEOptions{
		Database: d, SealKey: bytes.Repeat([]byte{1}, 32), Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now,
		Domains: []string{domain}, Directory: ca.Directory, renewalCheck: time.Second, roots: ca.CA,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// listen answers handshakes at the port where a CA asks, until the test ends.
func listen(t *testing.T, a *ACME, port int) net.Listener {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port), a.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	servertest.Answer(t, l, func(conn net.Conn) {
		_ = conn.(*tls.Conn).Handshake() // the client sees what is wrong
	})
	return l
}

// await waits until the certificates expire after a time, and returns when.
func await(t *testing.T, a *ACME, after time.Time) time.Time {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if until, ok := a.ExpiresAt(); ok && until.After(after) {
			return until
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate that expires after %s", after)
		}
	}
}

// TestCertificateIsRenewed gets a certificate that is renewed after seconds. A second node, to which the CA
// doesn't come, serves the new one too.
func TestCertificateIsRenewed(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for certificates to expire; make test-all runs this")
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		ca := servertest.NewPebble(t, servertest.PebbleOptions{Lifetime: 20 * time.Second})
		one, two := newACME(t, d, ca), newACME(t, d, ca)
		if until, ok := one.ExpiresAt(); ok {
			t.Errorf("before the first certificate one expires at %s", until)
		}
		l := listen(t, one, ca.TLSPort)
		one.AnswerOn(Listening{HTTPS: l.Addr()})
		one.Run(t.Context())
		first := await(t, one, time.Time{})
		if err := two.Load(t.Context()); err != nil || len(two.Missing()) > 0 {
			t.Fatalf("the second node: %v, and lacks %v", err, two.Missing())
		}
		await(t, one, first)
		await(t, two, first)
	})
}

// TestWhereTheCAAsks says which questions the CA may ask, since certmagic listens itself where nobody does.
func TestWhereTheCAAsks(t *testing.T) {
	tcp := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	tests := []struct {
		name     string
		on       Listening
		wantHost string
		wantHTTP bool
	}{
		{"everywhere", Listening{HTTPS: tcp("::", 443), HTTP: tcp("::", 80)}, "", true},
		{"one address", Listening{HTTPS: tcp("10.0.0.1", 443), HTTP: tcp("10.0.0.1", 80)}, "10.0.0.1", true},
		{"plain HTTP everywhere", Listening{HTTPS: tcp("10.0.0.1", 443), HTTP: tcp("0.0.0.0", 80)}, "10.0.0.1", true},
		{"HTTPS everywhere", Listening{HTTPS: tcp("0.0.0.0", 443), HTTP: tcp("10.0.0.1", 80)}, "10.0.0.1", true},
		{"two addresses", Listening{HTTPS: tcp("10.0.0.1", 443), HTTP: tcp("10.0.0.2", 80)}, "10.0.0.1", false},
		{"no plain HTTP", Listening{HTTPS: tcp("::", 443)}, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := &ACME{issuer: &certmagic.ACMEIssuer{}}
			a.AnswerOn(test.on)
			if got := a.issuer; got.ListenHost != test.wantHost || got.DisableHTTPChallenge == test.wantHTTP || got.AltTLSALPNPort != 443 {
				t.Errorf("listens on %q port %d, over HTTP too: %v; want %q port 443, %v",
					got.ListenHost, got.AltTLSALPNPort, !got.DisableHTTPChallenge, test.wantHost, test.wantHTTP)
			}
		})
	}
}

// TestStrangersCauseNoErrors asks as a CA does, while nothing is fetched from one.
func TestStrangersCauseNoErrors(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		log := new(bytes.Buffer)
		a, err := NewACME(ACMEOptions{
			Database: d, SealKey: bytes.Repeat([]byte{1}, 32), Now: time.Now, Domains: []string{domain}, Directory: "https://127.0.0.1:1",
			Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{domain, "b.example.com"} {
			stranger, server := net.Pipe()
			go func() {
				_ = tls.Client(stranger, &tls.Config{ServerName: name, NextProtos: []string{"acme-tls/1"}}).Handshake()
				stranger.Close()
			}()
			if err := tls.Server(server, a.TLSConfig()).Handshake(); err == nil {
				t.Errorf("a stranger was shown a certificate of %s", name)
			}
			server.Close()
		}
		a.Close() // it logs in the background too
		if text := log.String(); strings.Count(text, provoked) != 2 || strings.Contains(text, "level=ERROR") {
			t.Errorf("want two lines for debugging; log:\n%s", text)
		}
	})
}
