package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/logging"
)

const (
	cleanInterval   = time.Minute
	shutdownTimeout = 30 * time.Second // for requests under way when the server is told to stop
)

// serve runs the server until ctx ends, and then lets the requests under way finish.
func serve(ctx context.Context, options config.Options, stdout, stderr io.Writer) (err error) {
	if err := os.MkdirAll(options.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	logs, err := logging.New(logging.Options{
		Levels: options.LogLevel, JSON: options.LogFormat == config.LogJSON,
		Dir: filepath.Join(options.DataDir, "log"), Console: stderr,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	a, err := newApp(ctx, options, logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()

	a.sweep(ctx) // before anybody asks for what a killed process left behind
	listener, err := net.Listen("tcp", string(options.Addr))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", options.Addr, err)
	}
	if err := announce(stdout, options, listener.Addr().(*net.TCPAddr)); err != nil {
		return err
	}
	return a.serve(ctx, listener)
}

func (a *app) serve(ctx context.Context, listener net.Listener) error {
	a.log.Info("serving", "address", listener.Addr().String(), "version", version)
	cleaning, stopCleaning := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { a.clean(cleaning) })
	defer func() { stopCleaning(); background.Wait() }()

	ended := make(chan error, 1)
	go func() { ended <- a.server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return a.stop()
	}
}

// stop lets load balancers see that the server is going, and then the requests under way finish.
func (a *app) stop() error {
	a.log.Info("stopping: letting the requests under way finish", "delay", a.options.ShutdownDelay)
	a.stopping.Store(true)
	time.Sleep(a.options.ShutdownDelay)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("some requests were cut off after %s: %w", shutdownTimeout, err), a.server.Close())
	}
	return nil
}

// clean removes what has expired and what killed processes left behind, until ctx ends.
func (a *app) clean(ctx context.Context) {
	tick := time.NewTicker(cleanInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.sweep(ctx)
			a.deleteExpired(ctx)
		}
	}
}

// sweep is worth no failed start: what it leaves is taken up by the next one.
func (a *app) sweep(ctx context.Context) {
	if err := a.images.Sweep(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("sweep unfinished uploads", "error", err)
	}
}

func (a *app) deleteExpired(ctx context.Context) {
	deleted, err := a.sessions.DeleteExpired(ctx)
	if err != nil && ctx.Err() == nil {
		a.log.Error("delete what has expired", "error", err)
	}
	if deleted > 0 {
		a.log.Debug("deleted what has expired", "rows", deleted)
	}
}
