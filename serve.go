package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/config"
	"gatehouse/internal/database"
	"gatehouse/internal/httpapi"
	"gatehouse/internal/image"
	"gatehouse/internal/logging"
	"gatehouse/internal/session"
	"gatehouse/internal/site"
	"gatehouse/internal/storage"
)

const (
	devCode       = "123456"
	cleanInterval = time.Minute
	drainPatience = 30 * time.Second // for requests under way when the server is told to stop
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

	listener, err := net.Listen("tcp", string(options.Addr))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", options.Addr, err)
	}
	if err := announce(stdout, options, listener.Addr().(*net.TCPAddr)); err != nil {
		return err
	}
	return a.serve(ctx, listener)
}

// app is everything that runs in one process.
type app struct {
	log      *slog.Logger
	database *database.Database
	disk     *storage.Disk
	sessions *session.Service
	images   *image.Service
	server   *http.Server
	stopping atomic.Bool

	shutdownDelay time.Duration
}

// newApp is the only wiring there is.
func newApp(ctx context.Context, options config.Options, logs *logging.Logs) (*app, error) {
	a := &app{log: logs.Module(logging.Server), shutdownDelay: options.ShutdownDelay}
	if err := a.open(ctx, options, logs); err != nil {
		return nil, errors.Join(err, a.close())
	}
	hasher, err := newHasher(options)
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	pages, err := site.New(site.Options{Dir: options.WebDir, Reload: options.Mode == config.Dev})
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.images = image.New(image.Options{
		Database: a.database, Disk: a.disk, Logger: logs.Module(logging.Image), Now: time.Now,
		MaxFiles: options.UploadFiles, MaxBytes: int64(options.UploadLimit),
	})
	a.sweep(ctx)
	accounts := account.New(account.Options{
		Database: a.database, Hasher: hasher, Logger: logs.Module(logging.Account), Now: time.Now, Code: code(options.SMS),
	})
	handler, err := httpapi.New(httpapi.Options{
		Accounts: accounts, Sessions: a.sessions, Images: a.images, Site: pages, Logger: logs.Module(logging.HTTP),
		Contract: contractYAML, Ready: a.ready,
		PublicURL: string(options.PublicURL), TrustedProxies: options.TrustedProxy, CORSOrigins: origins(options.CORSOrigin),
		UploadLimit:         int64(options.UploadLimit),
		AccessTokenLifetime: options.AccessTokenLifetime, TicketLifetime: options.TicketLifetime,
		Dev: options.Mode == config.Dev, LAN: options.LAN, Booklet: options.Compat == config.CompatBooklet,
	})
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.server = newHTTPServer(handler, a.log)
	return a, nil
}

// open opens what must be closed again.
func (a *app) open(ctx context.Context, options config.Options, logs *logging.Logs) (err error) {
	a.database, err = database.Open(ctx, database.Options{
		URL: string(options.Database), DataDir: options.DataDir, Connections: options.DatabaseConnections,
		Logger: logs.Module(logging.Database),
	})
	if err != nil {
		return err
	}
	if _, err := a.database.Migrate(ctx); err != nil {
		return err
	}
	if a.disk, err = storage.OpenDisk(filepath.Join(options.DataDir, "image")); err != nil {
		return err
	}
	a.sessions, err = newSessions(ctx, options, a.database)
	return err
}

func (a *app) close() error {
	var err error
	if a.disk != nil {
		err = a.disk.Close()
	}
	if a.database != nil {
		err = errors.Join(err, a.database.Close())
	}
	return err
}

func newSessions(ctx context.Context, options config.Options, d *database.Database) (*session.Service, error) {
	secret, err := readSecret(options.SecretFile, options.Mode == config.Dev)
	if err != nil {
		return nil, err
	}
	sealKey, err := secret.key("signing keys")
	if err != nil {
		return nil, err
	}
	cookieKey, err := secret.key("session cookies")
	if err != nil {
		return nil, err
	}
	return session.New(ctx, session.Options{
		Database: d, Now: time.Now, SealKey: sealKey, CookieKey: cookieKey,
		SessionLifetime: options.SessionLifetime, AccessTokenLifetime: options.AccessTokenLifetime,
		TicketLifetime: options.TicketLifetime,
	})
}

// newHasher also gives the runtime a thread for each hash besides those for the cores, so that
// the operating system lets short requests through while all hashers are at work.
func newHasher(options config.Options) (*account.Hasher, error) {
	cores := runtime.NumCPU()
	concurrency := cmp.Or(options.PasswordConcurrency, cores)
	runtime.GOMAXPROCS(cores + concurrency)
	return account.NewHasher(account.HasherOptions{
		Memory: options.PasswordMemory, Iterations: options.PasswordIterations, Parallelism: options.PasswordParallelism,
		Concurrency: concurrency, Wait: options.PasswordWait,
	})
}

// code is the verification code that every phone takes; none where only its form is checked.
func code(sms config.SMS) string {
	if sms == config.SMSDev {
		return devCode
	}
	return ""
}

func origins(configured []config.Origin) []string {
	origins := make([]string, len(configured))
	for i, origin := range configured {
		origins[i] = string(origin)
	}
	return origins
}

// newHTTPServer bounds what a slow client can hold; uploads and large pictures extend their time as they go.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// ready tells load balancers to turn away before the server goes.
func (a *app) ready(ctx context.Context) error {
	if a.stopping.Load() {
		return errors.New("the server is stopping")
	}
	return a.database.Ready(ctx)
}

func (a *app) serve(ctx context.Context, listener net.Listener) error {
	a.log.Info("serving", "address", listener.Addr().String(), "version", version)
	cleaning, stopCleaning := context.WithCancel(ctx)
	cleaned := make(chan struct{})
	go func() { defer close(cleaned); a.clean(cleaning) }()
	defer func() { stopCleaning(); <-cleaned }()

	ended := make(chan error, 1)
	go func() { ended <- a.server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return a.stop()
	}
}

// stop lets load balancers see that the server is going, and the requests under way finish.
func (a *app) stop() error {
	a.log.Info("stopping: letting the requests under way finish", "delay", a.shutdownDelay)
	a.stopping.Store(true)
	time.Sleep(a.shutdownDelay)
	ctx, cancel := context.WithTimeout(context.Background(), drainPatience)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("some requests were cut off after %s: %w", drainPatience, err), a.server.Close())
	}
	return nil
}

// clean removes what time has ended and what killed processes left behind, until ctx ends.
func (a *app) clean(ctx context.Context) {
	tick := time.NewTicker(cleanInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.deleteExpired(ctx)
			a.sweep(ctx)
		}
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

// sweep is worth no failed start: what it leaves is taken up by the next one.
func (a *app) sweep(ctx context.Context) {
	if err := a.images.Sweep(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("sweep unfinished uploads", "error", err)
	}
}
