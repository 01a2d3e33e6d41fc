package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/internal/handover"
)

// front is an address at which the process listens, and the server behind it.
type front struct {
	name     string // of its socket, for systemd and for the next process
	address  string
	server   *http.Server // speaks TLS if it has a TLSConfig
	optional bool         // the process can do without it, if another one has the address
	listener *handover.Listener

	draining atomic.Bool
	open     atomic.Int64  // connections
	answered atomic.Int64  // requests, after which the connection was kept
	ended    chan struct{} // closed when no connection is accepted any more
}

// newFront bounds what a slow client can hold; uploads and large pictures extend their time as they go.
func newFront(name, address string, handler http.Handler, logger *slog.Logger) *front {
	f := &front{name: name, address: address, ended: make(chan struct{})}
	f.server = &http.Server{
		Handler:           f.sayClose(handler),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(serverLog{logger}, "", 0),
		ConnState:         f.count,
	}
	return f
}

// front returns the front of a name, or nil.
func (a *app) front(name string) *front {
	for _, f := range a.fronts {
		if f.name == name {
			return f
		}
	}
	return nil
}

// serverLog takes what net/http has to say. A handshake that fails is what its client did wrong, such as a scanner.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error ")) {
		level = slog.LevelInfo
	}
	l.logger.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

// sayClose asks clients of a server that drains to take another connection for their next request. Closing one that
// is idle could cross with a request, which its client may not repeat.
func (f *front) sayClose(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func (f *front) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		f.open.Add(1)
	case http.StateIdle:
		f.answered.Add(1)
	case http.StateClosed, http.StateHijacked:
		f.open.Add(-1)
	}
}

// serve returns nil when the listener was closed.
func (f *front) serve() error {
	defer close(f.ended)
	serve := f.server.Serve
	if f.server.TLSConfig != nil {
		serve = func(l net.Listener) error { return f.server.ServeTLS(l, "", "") }
	}
	if err := serve(f.listener); !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve on %s: %w", f.address, err)
	}
	return nil
}

// drain answers what comes on the connections that are open, and ends each with its answer. Those that are idle stay
// open for a while: the proxy at the other end gives them up first, and loses no request on them. Its error is that
// of ctx if some had to be cut off.
func (f *front) drain(ctx context.Context, idle time.Duration) error {
	f.draining.Store(true)
	<-f.ended
	for deadline := time.Now().Add(idle); f.open.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if err := f.server.Shutdown(ctx); err != nil {
		return errors.Join(err, f.server.Close())
	}
	return nil
}
