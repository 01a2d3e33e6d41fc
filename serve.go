package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/logging"
	"gatehouse/internal/upload"
)

const (
	cleanInterval   = time.Minute
	reportInterval  = time.Hour
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
	a.options.Addr = config.Address(listener.Addr().String()) // port 0 takes a free one
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
	background.Go(func() { a.sessions.Run(cleaning) })
	background.Go(func() { a.images.Run(cleaning) })
	background.Go(func() { a.adopt(cleaning) })
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
	clean, report := time.NewTicker(cleanInterval), time.NewTicker(reportInterval)
	defer clean.Stop()
	defer report.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clean.C:
			a.sweep(ctx)
			a.deleteExpired(ctx)
			a.eraseUsers(ctx)
		case <-report.C:
			a.log.Info("verification codes since the start", "counts", a.codes.Counts())
		}
	}
}

// sweep is worth no failed start: what it leaves is taken up by the next one.
func (a *app) sweep(ctx context.Context) {
	if err := a.store.Sweep(ctx, a.stored); err != nil && ctx.Err() == nil {
		a.log.Error("sweep unfinished uploads", "error", err)
	}
}

// stored reports whether the row of a file is in the database.
func (a *app) stored(ctx context.Context, file string) (bool, error) {
	find := a.images.Stored
	if strings.HasSuffix(file, upload.PieceSuffix) {
		find = a.uploads.Stored
	}
	stored, err := find(ctx, file)
	if err == nil {
		a.log.Info("swept an interrupted upload or deletion", "file", file, "kept", stored)
	}
	return stored, err
}

// deleteExpired removes what is of no more use, each kind for itself: one that fails stops no other.
func (a *app) deleteExpired(ctx context.Context) {
	for what, deleteExpired := range map[string]func(context.Context) (int64, error){
		"sessions": a.sessions.DeleteExpired, "codes": a.codes.DeleteExpired, "failed logins": a.accounts.DeleteExpired,
		"uploads": a.uploads.DeleteExpired, "pictures that nobody has": a.images.SweepBlobs,
		"answers": a.idempotency.DeleteExpired, "events": a.audit.DeleteExpired,
	} {
		deleted, err := deleteExpired(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Error("delete what has expired", "what", what, "error", err)
		}
		if deleted > 0 {
			a.log.Debug("deleted what has expired", "what", what, "rows", deleted)
		}
	}
}

// adopt cleans the pictures that an older program stored. If some are left, it tries them again until none is.
func (a *app) adopt(ctx context.Context) {
	again := time.NewTicker(cleanInterval)
	defer again.Stop()
	for {
		adopted, err := a.images.Adopt(ctx)
		if adopted > 0 {
			a.log.Info("adopted the pictures of an older program", "pictures", adopted)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		a.log.Error("adopt the pictures of an older program", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

const erasedAtOnce = 100 // users in one round; the others wait for the next

// eraseUsers removes the users whose grace is over: first their pictures, then their rows, so that
// one that is interrupted is taken up again.
func (a *app) eraseUsers(ctx context.Context) {
	due, err := a.accounts.DueForErasure(ctx, erasedAtOnce)
	if err != nil && ctx.Err() == nil {
		a.log.Error("find the users to erase", "error", err)
	}
	for _, id := range due {
		err := errors.Join(a.uploads.DeleteAll(ctx, id), a.images.DeleteAll(ctx, id))
		if err == nil {
			err = a.accounts.Erase(ctx, id)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Error("erase a user", "user", id, "error", err)
		}
	}
}
