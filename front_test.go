package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/handover"
)

// startFront starts a front that ends when the test does. Its ended channel tells of the listener.
func startFront(t *testing.T, handler http.HandlerFunc) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newFront("api", l.Addr().String(), handler, slog.New(slog.DiscardHandler))
	f.listener = &handover.Listener{TCPListener: l.(*net.TCPListener)}
	served := make(chan error, 1)
	go func() { served <- f.serve() }()
	t.Cleanup(func() {
		if err := errors.Join(f.listener.Close(), f.server.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return f
}

// drain closes the listener first, as the app does.
func drain(t *testing.T, f *front, ctx context.Context, idle time.Duration) <-chan error {
	t.Helper()
	if err := f.listener.Close(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error, 1)
	go func() { drained <- f.drain(ctx, idle) }()
	return drained
}

// keptConnection is a connection on which a request was answered.
func keptConnection(t *testing.T, f *front) connection {
	t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := connection{conn, bufio.NewReader(conn)}
	if c.saysClose(t) {
		t.Fatal("the server keeps no connection")
	}
	return c
}

// saysClose sends a request, and reports whether its answer says Connection: close.
func (c connection) saysClose(t *testing.T) bool {
	t.Helper()
	if _, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d, want 200", response.StatusCode)
	}
	return response.Close
}

func (c connection) wantClosed(t *testing.T) {
	t.Helper()
	if n, err := c.reader.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes, %v; want the end of the connection", n, err)
	}
}

// TestDrainLetsIdleConnectionsAsk sends a request on a connection that was idle when the server began to drain.
func TestDrainLetsIdleConnectionsAsk(t *testing.T) {
	f := startFront(t, func(http.ResponseWriter, *http.Request) {})
	c := keptConnection(t, f)
	drained := drain(t, f, t.Context(), time.Hour)
	eventually(t, "it drains", f.draining.Load)
	if !c.saysClose(t) {
		t.Error("the answer does not say Connection: close")
	}
	c.wantClosed(t)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestDrainEndsIdleConnections drains a server whose client sends nothing more.
func TestDrainEndsIdleConnections(t *testing.T) {
	f := startFront(t, func(http.ResponseWriter, *http.Request) {})
	c := keptConnection(t, f)
	if err := <-drain(t, f, t.Context(), 50*time.Millisecond); err != nil {
		t.Error(err)
	}
	c.wantClosed(t)
}

// TestFailedHandshakeIsTheClientsFault sends what is no TLS to a server that speaks it.
func TestFailedHandshakeIsTheClientsFault(t *testing.T) {
	var logged output
	f := newFront("api", "", http.NotFoundHandler(), slog.New(slog.NewTextHandler(&logged, nil)))
	server := httptest.NewUnstartedServer(f.server.Handler)
	server.Config = f.server
	server.StartTLS()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "no handshake at all\n\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is logged", func() bool { return strings.Contains(logged.String(), "TLS handshake error") })
	f.server.ErrorLog.Print("http: Accept error: too many open files; retrying in 5ms")
	for _, want := range []string{`level=INFO msg="http: TLS handshake error`, `level=WARN msg="http: Accept error`} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("no line with %s in\n%s", want, logged.String())
		}
	}
}

// TestDrainCutsOff drains a server with a request that does not end in time, which is shorter once the process was
// told to stop.
func TestDrainCutsOff(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	const soon = 50 * time.Millisecond
	for _, test := range []struct {
		name    string
		stop    context.Context
		timeout time.Duration
		want    error
	}{
		{"not in time", t.Context(), soon, context.DeadlineExceeded},
		{"told to stop", stopped, time.Hour, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := untilCutOff(test.stop, test.timeout, soon)
			defer cancel()
			wantCutOff(t, ctx, test.want)
		})
	}
}

func wantCutOff(t *testing.T, ctx context.Context, want error) {
	t.Helper()
	entered := make(chan struct{})
	f := startFront(t, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := <-drain(t, f, ctx, 0); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	connection{conn, bufio.NewReader(conn)}.wantClosed(t)
}
