package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
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

// devCode is the verification code that development mode accepts from everyone.
const devCode = "123456"

// app is everything that runs in one process.
type app struct {
	options  config.Options
	log      *slog.Logger
	database *database.Database
	disk     *storage.Disk
	sessions *session.Service
	images   *image.Service
	server   *http.Server
	stopping atomic.Bool
}

// newApp is the only wiring there is.
func newApp(ctx context.Context, options config.Options, logs *logging.Logs) (*app, error) {
	a := &app{options: options, log: logs.Module(logging.Server)}
	err := a.openStores(ctx, logs)
	if err == nil {
		err = a.build(ctx, logs)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// openStores opens what close closes.
func (a *app) openStores(ctx context.Context, logs *logging.Logs) (err error) {
	a.database, err = database.Open(ctx, database.Options{
		URL: string(a.options.Database), DataDir: a.options.DataDir, Connections: a.options.DatabaseConnections,
		Logger: logs.Module(logging.Database),
	})
	if err != nil {
		return err
	}
	if _, err := a.database.Migrate(ctx); err != nil {
		return err
	}
	a.disk, err = storage.OpenDisk(filepath.Join(a.options.DataDir, "image"))
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

// build makes the services and puts the server in front of them.
func (a *app) build(ctx context.Context, logs *logging.Logs) (err error) {
	if a.sessions, err = a.newSessions(ctx); err != nil {
		return err
	}
	pages, err := site.New(site.Options{Dir: a.options.WebDir, Reload: a.options.Mode == config.Dev})
	if err != nil {
		return err
	}
	a.images = image.New(image.Options{
		Database: a.database, Disk: a.disk, Logger: logs.Module(logging.Image), Now: time.Now,
		MaxFiles: a.options.UploadFiles, MaxBytes: int64(a.options.UploadLimit),
	})
	accounts := account.New(account.Options{
		Database: a.database, Hasher: newHasher(a.options), Logger: logs.Module(logging.Account), Now: time.Now,
		Code: acceptedCode(a.options.SMS),
	})
	handler, err := httpapi.New(httpapi.Options{
		Accounts: accounts, Sessions: a.sessions, Images: a.images, Site: pages, Logger: logs.Module(logging.HTTP),
		Contract: contractYAML, Ready: a.ready, Now: time.Now,
		PublicURL: string(a.options.PublicURL), TrustedProxies: a.options.TrustedProxy,
		CORSOrigins: origins(a.options.CORSOrigin), UploadLimit: int64(a.options.UploadLimit),
		Dev: a.options.Mode == config.Dev, LAN: a.options.LAN, Booklet: a.options.Compat == config.CompatBooklet,
	})
	if err != nil {
		return err
	}
	a.server = newHTTPServer(handler, a.log)
	return nil
}

func (a *app) newSessions(ctx context.Context) (*session.Service, error) {
	secret, err := readSecret(a.options.SecretFile, a.options.Mode == config.Dev)
	if err != nil {
		return nil, err
	}
	if othersMayRead(a.options.SecretFile) {
		a.log.Warn("other users of this machine may read the secret; run chmod 600 on it", "file", a.options.SecretFile)
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
		Database: a.database, Now: time.Now, SealKey: sealKey, CookieKey: cookieKey,
		SessionLifetime: a.options.SessionLifetime, AccessTokenLifetime: a.options.AccessTokenLifetime,
		TicketLifetime: a.options.TicketLifetime,
	})
}

// newHasher also gives the runtime more threads than cores and hashes need together, so that the
// operating system lets short requests through while all hashers are at work.
func newHasher(options config.Options) *account.Hasher {
	cores := runtime.GOMAXPROCS(0)
	concurrency := cmp.Or(options.PasswordConcurrency, cores)
	runtime.GOMAXPROCS(2 * (cores + concurrency))
	return account.NewHasher(account.HasherOptions{
		Memory: options.PasswordMemory, Iterations: options.PasswordIterations, Parallelism: options.PasswordParallelism,
		Concurrency: concurrency, Wait: options.PasswordWait,
	})
}

// acceptedCode is the verification code that every phone takes; none where only its form is checked.
func acceptedCode(sms config.SMS) string {
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

// ready fails as soon as the server was told to stop, so that load balancers turn away.
func (a *app) ready(ctx context.Context) error {
	if a.stopping.Load() {
		return errors.New("the server is stopping")
	}
	return a.database.Ready(ctx)
}
