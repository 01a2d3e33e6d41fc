package certificate

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

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
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answering.Go(func() {
				_ = conn.(*tls.Conn).Handshake() // the client sees what is wrong
				conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		answering.Wait()
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
		one.Run(t.Context(), Listening{HTTPS: l.Addr()})
		first := await(t, one, time.Time{})
		if err := two.Load(t.Context()); err != nil || len(two.Missing()) > 0 {
			t.Fatalf("the second node: %v, and lacks %v", err, two.Missing())
		}
		await(t, one, first)
		await(t, two, first)
	})
}
