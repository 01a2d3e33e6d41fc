package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/audit"
	"gatehouse/internal/backup"
	"gatehouse/internal/certificate"
	"gatehouse/internal/config"
	"gatehouse/internal/database"
	"gatehouse/internal/httpapi"
	"gatehouse/internal/idempotency"
	"gatehouse/internal/image"
	"gatehouse/internal/limit"
	"gatehouse/internal/logging"
	"gatehouse/internal/metrics"
	"gatehouse/internal/redis"
	"gatehouse/internal/session"
	"gatehouse/internal/site"
	"gatehouse/internal/storage"
	"gatehouse/internal/threads"
	"gatehouse/internal/trace"
	"gatehouse/internal/upload"
	"gatehouse/internal/verify"
	"gatehouse/internal/webhook"
)

// app is everything that runs in one process.
type app struct {
	options     config.Options
	log         *slog.Logger
	threads     *threads.Threads
	database    *database.Database
	store       *storage.Store
	redis       *redis.Client // nil where it is not used
	sessions    *session.Service
	codes       *verify.Service
	accounts    *account.Service
	audit       *audit.Service
	idempotency *idempotency.Service
	images      *image.Service
	uploads     *upload.Service
	backups     *backup.Service // nil where no backups are scheduled
	moderator   *webhook.Client // nil where pictures are not held back
	metrics     *metrics.Metrics
	traces      *trace.Traces // nil where nothing is recorded
	hasher      *account.Hasher
	fronts      []*front // that of the API comes first
	secret      secret
	stopping    atomic.Bool

	certificates certificate.Source // nil where the server speaks plain HTTP
	acme         *certificate.ACME  // nil where they come from files
}

// newApp is the only wiring there is: the services, and the server in front of them.
func newApp(ctx context.Context, options config.Options, logs *logging.Logs) (*app, error) {
	traces, err := trace.Open(ctx, version, logs.Module(logging.Server))
	if err != nil {
		return nil, err
	}
	a, err := openServices(ctx, options, logs, traces)
	if err != nil {
		return nil, err
	}
	err = a.openCertificates(ctx)
	if err == nil {
		err = a.buildServer(logs)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// openServices makes what a server consists of, but for the server.
func openServices(ctx context.Context, options config.Options, logs *logging.Logs, traces *trace.Traces) (*app, error) {
	a := &app{
		options: options, log: logs.Module(logging.Server), threads: newThreads(options),
		metrics: metrics.New(version), traces: traces,
	}
	err := a.openStores(ctx, logs)
	if err == nil {
		err = a.buildServices(ctx, logs)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// openForCommand makes the services for a command that works beside the server. Nothing is logged: who runs a
// command sees its errors.
func openForCommand(ctx context.Context, options config.Options) (*app, error) {
	logs, err := logging.New(logging.Options{})
	if err != nil {
		return nil, err
	}
	return openServices(ctx, options, logs, nil)
}

// openExisting makes the services for a command that works on what there is.
func openExisting(ctx context.Context, options config.Options) (*app, error) {
	if err := findDatabase(options); err != nil {
		return nil, err
	}
	return openForCommand(ctx, options)
}

// findDatabase keeps a command in the wrong folder from making a new database there.
func findDatabase(options config.Options) error {
	if options.Database != "" {
		return nil
	}
	_, err := os.Stat(filepath.Join(options.DataDir, "gatehouse.db"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database in %s: give the server's --data-dir or --database", options.DataDir)
	}
	return err
}

// openStores opens what close closes.
func (a *app) openStores(ctx context.Context, logs *logging.Logs) (err error) {
	a.database, err = database.Open(ctx, database.Options{
		URL: string(a.options.Database), DataDir: a.options.DataDir, Connections: a.options.DatabaseConnections,
		Logger: logs.Module(logging.Database), Traces: a.traces, ObserveWrite: a.metrics.ObserveWrite,
	})
	if err != nil {
		return err
	}
	if _, err := a.database.Migrate(ctx); err != nil {
		return err
	}
	if a.store, err = openStorage(a.options, a.metrics.ObserveStorage); err != nil {
		return err
	}
	if a.options.Redis != "" {
		a.redis, err = redis.Open(redis.Options{URL: string(a.options.Redis), Logger: logs.Module(logging.Server)})
	}
	return err
}

func (a *app) close() error {
	var err error
	if a.acme != nil {
		a.acme.Close()
	}
	if a.redis != nil {
		err = a.redis.Close()
	}
	if a.store != nil {
		err = errors.Join(err, a.store.Close())
	}
	if a.database != nil {
		err = errors.Join(err, a.database.Close())
	}
	a.traces.Close()
	return err
}

// buildServer puts the server in front of the services.
func (a *app) buildServer(logs *logging.Logs) error {
	limiter, err := limit.New(limit.Options{Redis: a.redis, ObserveRefusal: a.metrics.ObserveLimited})
	if err != nil {
		return err
	}
	pages, err := site.New(site.Options{Dir: a.options.WebDir, Reload: a.options.Mode == config.Dev})
	if err != nil {
		return err
	}
	pictures, err := storage.ParseLocation(string(storageOf(a.options)))
	if err != nil {
		return err
	}
	handler, err := httpapi.New(httpapi.Options{
		Accounts: a.accounts, Audit: a.audit, Codes: a.codes, Idempotency: a.idempotency, Images: a.images,
		Limiter: limiter, Sessions: a.sessions, Site: pages, Uploads: a.uploads, Logger: logs.Module(logging.HTTP),
		Contract: contractYAML, Ready: a.ready, Now: time.Now, Limits: a.options.Limits,
		PublicURL: string(a.options.PublicURL), TrustedProxies: a.options.TrustedProxy,
		CORSOrigins: texts(a.options.CORSOrigin), UploadLimit: int64(a.options.UploadLimit), ImageURL: string(a.options.ImageURL),
		AccelRedirect: string(a.options.AccelRedirect), ImageDir: pictures.Dir,
		VerifyVerdict: a.verifyVerdict, HSTS: a.options.HSTS, Observe: a.metrics.ObserveRequest, Traces: a.traces,
		Dev: a.options.Mode == config.Dev, LAN: a.options.LAN, Booklet: a.options.Compat == config.CompatBooklet,
	})
	if err != nil {
		return err
	}
	a.fronts = append(a.fronts, newFront("api", string(a.options.Addr), a.metrics.CountInFlight(handler), a.log))
	a.buildAdmin()
	a.addHTTPS()
	return nil
}

func (a *app) buildServices(ctx context.Context, logs *logging.Logs) error {
	secret, err := a.readSecret()
	if err != nil {
		return err
	}
	a.secret = secret
	if a.sessions, err = a.newSessions(ctx, secret, logs); err != nil {
		return err
	}
	if a.codes, err = a.newCodes(secret, logs); err != nil {
		return err
	}
	key, err := secret.key("idempotent answers")
	if err != nil {
		return err
	}
	if a.idempotency, err = idempotency.New(idempotency.Options{Database: a.database, Now: time.Now, Key: key}); err != nil {
		return err
	}
	a.audit = audit.New(audit.Options{Database: a.database, Now: time.Now, Retention: a.options.AuditRetention})
	if err = a.newPictures(secret, logs); err != nil {
		return err
	}
	a.hasher = a.newHasher()
	if a.options.BackupEvery > 0 {
		if a.backups, err = a.newBackups(a.options.BackupTo, io.Discard); err != nil {
			return err
		}
	}
	a.accounts = account.New(account.Options{
		Database: a.database, Hasher: a.hasher, Logger: logs.Module(logging.Account), Now: time.Now,
		Codes: a.codes, Sessions: a.sessions, Grace: a.options.DeletionGrace, AbsentAfter: a.options.AbsentAfter,
		RegisterAtLogin: a.options.RegisterAtLogin, HideRegistered: a.options.HideRegistered,
		Throttle: a.options.Mode == config.Production || len(a.options.Limits) > 0,
	})
	return nil
}

func (a *app) readSecret() (secret, error) {
	if othersMayRead(a.options.SecretFile) {
		a.log.Warn("other users of this machine may read the secret; run chmod 600 on it", "file", a.options.SecretFile)
	}
	return readSecret(a.options.SecretFile, a.options.Mode == config.Dev)
}

var tokenAlgorithms = map[config.TokenAlgorithm]session.Algorithm{config.EdDSA: session.EdDSA, config.ES256: session.ES256}

func (a *app) newSessions(ctx context.Context, secret secret, logs *logging.Logs) (*session.Service, error) {
	o := session.Options{
		Database: a.database, Redis: a.redis, Logger: logs.Module(logging.Account), Now: time.Now, Issuer: string(a.options.PublicURL),
		Algorithm: tokenAlgorithms[a.options.AccessTokenAlgorithm], AccessTokenLifetime: a.options.AccessTokenLifetime,
		SigningKeyLifetime: a.options.SigningKeyLifetime, TicketLifetime: a.options.TicketLifetime,
		RefreshIdle: a.options.SessionIdle, RefreshLifetime: a.options.SessionLifetime,
	}
	for purpose, key := range map[string]*[]byte{
		signingKeys: &o.SealKey, "session cookies": &o.CookieKey, "refresh tokens": &o.RefreshKey, "tickets": &o.TicketKey,
	} {
		var err error
		if *key, err = secret.key(purpose); err != nil {
			return nil, err
		}
	}
	return session.New(ctx, o)
}

func (a *app) newHasher() *account.Hasher {
	options := a.options
	return account.NewHasher(account.HasherOptions{
		Memory: options.PasswordMemory, Iterations: options.PasswordIterations, Parallelism: options.PasswordParallelism,
		Concurrency: hashesAtOnce(options), Wait: options.PasswordWait, Threads: a.threads,
		ObserveWait: a.metrics.ObserveHashWait,
	})
}

func hashesAtOnce(o config.Options) int { return cmp.Or(o.PasswordConcurrency, runtime.GOMAXPROCS(0)) }

// newThreads gives the runtime, while passwords are hashed or pictures decoded, more threads than cores and
// hashes need together, so that the operating system lets short requests through.
func newThreads(o config.Options) *threads.Threads {
	return threads.New(2 * (runtime.GOMAXPROCS(0) + hashesAtOnce(o)))
}

// ready says how Redis is. It fails as soon as the server was told to stop, so that load balancers turn away.
func (a *app) ready(ctx context.Context) (redis string, err error) {
	if a.stopping.Load() {
		return "", errors.New("the server is stopping")
	}
	switch {
	case a.redis == nil:
		redis = "unused"
	case a.redis.Available():
		redis = "ok"
	default:
		redis = "away"
	}
	return redis, a.database.Ready(ctx)
}
