package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	idleConnections   = 10_000
	activeConnections = 1_000
	dialsAtOnce       = 64
	settling          = 3 * time.Second // before memory is read
)

// idleMemory measures the kilobytes that an idle connection costs the server.
func idleMemory(ctx context.Context, s *server) (float64, error) {
	return memoryOfIdle(ctx, s.process, "/users/me", s.token)
}

// bareIdleMemory measures the same of a server that does nothing else.
func bareIdleMemory(ctx context.Context, b *bench, _ string) (kilobytes float64, err error) {
	bare, err := b.startBare(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()
	return memoryOfIdle(ctx, bare, "/", "")
}

// memoryOfIdle opens connections, sends one request on each, and reads how much more is resident than before.
func memoryOfIdle(ctx context.Context, p *process, path, token string) (kilobytes float64, err error) {
	warm, err := holdIdle(ctx, p.address, path, token, dialsAtOnce)
	if err != nil {
		return 0, err
	}
	if err := warm.close(); err != nil {
		return 0, err
	}
	time.Sleep(settling)
	before, err := resident(p.Process.Pid, "VmRSS")
	if err != nil {
		return 0, err
	}
	idle, err := holdIdle(ctx, p.address, path, token, idleConnections)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, idle.close()) }()
	time.Sleep(settling)
	after, err := resident(p.Process.Pid, "VmRSS")
	if err != nil {
		return 0, err
	}
	return (after - before) * 1000 / idleConnections, idle.ask(ctx)
}

// p99OfActive measures the milliseconds within which 99 of 100 requests of many connections are answered.
func p99OfActive(ctx context.Context, s *server) (float64, error) {
	r, err := s.bench.wrkOn(ctx, activeConnections, get(s.url("/users/me"), s.token), s.bench.duration)
	return r.P99, err
}

// p99WithIdle measures the same while other connections are open, of which each is answered before and after it.
func p99WithIdle(ctx context.Context, s *server) (p99 float64, err error) {
	idle, err := holdIdle(ctx, s.address, "/users/me", s.token, idleConnections)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, idle.close()) }()
	if p99, err = p99OfActive(ctx, s); err != nil {
		return 0, err
	}
	return p99, idle.ask(ctx)
}

// p99WithoutIdle measures a server that has no other connections.
func p99WithoutIdle(ctx context.Context, b *bench, database string) (float64, error) {
	return b.measureServer(ctx, database, p99OfActive)
}

// idle is connections that were kept after a request.
type idle struct {
	request     string
	connections []net.Conn
}

// holdIdle opens connections, on each of which a request is answered.
func holdIdle(ctx context.Context, address, path, token string, n int) (*idle, error) {
	held := &idle{
		request:     fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, address, token),
		connections: make([]net.Conn, n),
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(dialsAtOnce)
	for i := range held.connections {
		group.Go(func() (err error) {
			held.connections[i], err = new(net.Dialer).DialContext(groupCtx, "tcp", address)
			return err
		})
	}
	err := group.Wait()
	if err == nil {
		err = held.ask(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hold idle connections: %w", err), held.close())
	}
	return held, nil
}

// ask sends a request on each connection, which must be answered with 200.
func (h *idle) ask(ctx context.Context) error {
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(dialsAtOnce)
	for _, connection := range h.connections {
		group.Go(func() error { return ask(connection, h.request) })
	}
	return group.Wait()
}

func ask(connection net.Conn, request string) error {
	if err := connection.SetDeadline(time.Now().Add(startPatience)); err != nil {
		return err
	}
	if _, err := io.WriteString(connection, request); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("an idle connection was answered %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func (h *idle) close() error {
	var err error
	for _, connection := range h.connections {
		if connection != nil {
			err = errors.Join(err, connection.Close())
		}
	}
	return err
}

// bareCommand makes this program be a bare server, in a process of its own.
const bareCommand = "bare"

// startBare starts a server of net/http that writes the answer of GET /users/me and does nothing else.
func (b *bench) startBare(ctx context.Context) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "bare")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return startProcess(ctx, dir, address, program, bareCommand, address)
}

// serveBare serves until ctx ends.
func serveBare(ctx context.Context, address string) error {
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeUser(w) })}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
