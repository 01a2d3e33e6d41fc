package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"gatehouse/internal/database"
	"gatehouse/internal/seal"
)

const (
	renewalCheck = time.Minute // how often certificates are looked at; some CAs hand out short ones
	// turnToFetch bounds how long a node tries in vain while the others wait, since it may be the only one
	// that does not reach the CA.
	turnToFetch = time.Hour
	fetchAgain  = time.Minute // after a turn
)

// ACMEOptions are what certificates are fetched with.
type ACMEOptions struct {
	Database  *database.Database
	SealKey   []byte // 32 bytes that serve nothing else
	Logger    *slog.Logger
	Now       func() time.Time
	Domains   []string // the first one is shown to clients that name none
	Email     string   // to which the CA writes; may be empty
	Directory string   // the URL of the CA

	// Of tests: how often certificates are looked at, and what the CA is trusted by.
	renewalCheck time.Duration
	roots        *x509.CertPool
}

// ACME fetches certificates from a CA, and renews them. They lie in the database, so all nodes serve
// the same ones, and any node answers what the CA asks another one.
type ACME struct {
	options ACMEOptions
	storage *storage
	cache   *certmagic.Cache
	config  *certmagic.Config
	issuer  *certmagic.ACMEIssuer
}

// NewACME returns a source without certificates: Load reads those that there are, and Run fetches the
// others. It must be closed.
func NewACME(options ACMEOptions) (*ACME, error) {
	sealer, err := seal.New(options.SealKey)
	if err != nil {
		return nil, fmt.Errorf("read the key of the certificates: %w", err)
	}
	a := &ACME{options: options, storage: &storage{
		database: options.Database, seal: sealer, log: options.Logger, now: options.Now,
		keep: lockKeep, held: map[string]heldLock{},
	}}
	log := newZapLogger(options.Logger)
	if a.options.renewalCheck == 0 {
		a.options.renewalCheck = renewalCheck
	}
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil },
		RenewCheckInterval: a.options.renewalCheck, Logger: log,
	})
	a.config = certmagic.New(a.cache, certmagic.Config{
		Storage: a.storage, Logger: log, OnEvent: a.logEvent, DefaultServerName: options.Domains[0],
	})
	a.issuer = certmagic.NewACMEIssuer(a.config, certmagic.ACMEIssuer{
		CA: options.Directory, Email: options.Email, Agreed: true, Logger: log, TrustedRoots: options.roots,
	})
	a.config.Issuers = []certmagic.Issuer{a.issuer}
	return a, nil
}

// Close ends what runs in the background.
func (a *ACME) Close() { a.cache.Stop() }

// Load reads the certificates that are in the database. Some may be missing.
func (a *ACME) Load(ctx context.Context) error {
	for _, domain := range a.options.Domains {
		if err := a.load(ctx, domain); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (a *ACME) load(ctx context.Context, domain string) error {
	if _, err := a.config.CacheManagedCertificate(ctx, domain); err != nil {
		return fmt.Errorf("load the certificate of %s: %w", domain, err)
	}
	return nil
}

// Missing lists the domains that no certificate was loaded of.
func (a *ACME) Missing() []string {
	return slices.DeleteFunc(slices.Clone(a.options.Domains), func(domain string) bool {
		return len(a.cache.AllMatchingCertificates(domain)) > 0
	})
}

// Listening is where a server listens that the CA is to reach: on port 443 for HTTPS, and on port 80
// for HTTP, which may be nil.
type Listening struct{ HTTPS, HTTP net.Addr }

// AnswerOn tells certmagic where the CA's questions arrive: it would listen itself where nobody does. It is
// called before the server serves, and before Run.
func (a *ACME) AnswerOn(on Listening) {
	https, http := splitAddr(on.HTTPS), splitAddr(on.HTTP)
	a.issuer.AltTLSALPNPort, a.issuer.AltHTTPPort = https.port, http.port
	a.issuer.ListenHost = https.host
	if https.host == "" {
		a.issuer.ListenHost = http.host
	}
	a.issuer.DisableHTTPChallenge = http.port == 0 || http.host != "" && http.host != a.issuer.ListenHost
}

type hostPort struct {
	host string // empty for all
	port int
}

func splitAddr(address net.Addr) hostPort {
	tcp, ok := address.(*net.TCPAddr)
	switch {
	case !ok:
		return hostPort{}
	case tcp.IP.IsUnspecified():
		return hostPort{port: tcp.Port}
	}
	return hostPort{tcp.IP.String(), tcp.Port}
}

// Run fetches the certificates that are missing, until ctx ends. It tries again and again, since the CA
// may be away. The server must listen already.
func (a *ACME) Run(ctx context.Context) {
	var fetching sync.WaitGroup
	for _, domain := range a.Missing() {
		a.options.Logger.Info("waiting for a certificate", "domain", domain, "from", a.options.Directory)
		fetching.Go(func() { a.fetch(ctx, domain) })
	}
	fetching.Wait()
}

// fetch gets the certificate of a domain, from another node if that was faster.
func (a *ACME) fetch(ctx context.Context, domain string) {
	for {
		err := a.obtain(ctx, domain)
		if err == nil || ctx.Err() != nil {
			return
		}
		a.options.Logger.ErrorContext(ctx, "cannot get a certificate; trying again", "domain", domain, "from", a.options.Directory, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(fetchAgain):
		}
	}
}

func (a *ACME) obtain(ctx context.Context, domain string) error {
	turn, cancel := context.WithTimeout(ctx, turnToFetch)
	defer cancel()
	err := a.config.ObtainCertAsync(turn, domain)
	switch {
	case turn.Err() != nil:
		return fmt.Errorf("no success in %s; another server may try now", turnToFetch)
	case err != nil:
		return err
	}
	return a.load(ctx, domain)
}

// logEvent logs what an operator wants to know. Failures are in certmagic's own lines.
func (a *ACME) logEvent(ctx context.Context, event string, data map[string]any) error {
	if event == "cert_obtained" {
		a.options.Logger.InfoContext(ctx, "got a certificate", "domain", data["identifier"], "from", a.options.Directory,
			"renewal", data["renewal"])
	}
	return nil
}

// TLSConfig serves the certificates that there are.
func (a *ACME) TLSConfig() *tls.Config {
	config := newTLSConfig(a.certificate)
	config.NextProtos = append(config.NextProtos, "acme-tls/1")
	return config
}

func (a *ACME) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	certificate, err := a.config.GetCertificate(hello)
	if err == nil {
		return certificate, nil
	}
	if missing := a.Missing(); hello.ServerName == "" || slices.Contains(missing, hello.ServerName) {
		return nil, fmt.Errorf("there is no certificate of %v yet; it is being fetched from %s", missing, a.options.Directory)
	}
	return nil, err
}

// ChallengeHandler answers what the CA asks over HTTP, of this node or another, and leaves other
// requests to next.
func (a *ACME) ChallengeHandler(next http.Handler) http.Handler {
	return a.issuer.HTTPChallengeHandler(next)
}

// ExpiresAt is when the first of the certificates expires. There may be none.
func (a *ACME) ExpiresAt() (expires time.Time, any bool) {
	for _, domain := range a.options.Domains {
		var latest time.Time
		for _, certificate := range a.cache.AllMatchingCertificates(domain) {
			if until := certificate.Leaf.NotAfter; until.After(latest) {
				latest = until
			}
		}
		if !latest.IsZero() && (!any || latest.Before(expires)) {
			expires, any = latest, true
		}
	}
	return expires, any
}
