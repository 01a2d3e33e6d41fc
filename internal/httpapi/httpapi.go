// Package httpapi serves the contract: it turns requests into calls of the nouns and results into
// responses, and owns the one door by which every failure leaves.
package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/idempotency"
	"gatehouse/internal/image"
	"gatehouse/internal/limit"
	"gatehouse/internal/session"
	"gatehouse/internal/site"
	"gatehouse/internal/trace"
	"gatehouse/internal/upload"
	"gatehouse/internal/verify"
)

// Options are what the API stands on.
type Options struct {
	Accounts    *account.Service
	Audit       *audit.Service
	Codes       *verify.Service
	Idempotency *idempotency.Service
	Images      *image.Service
	Limiter     *limit.Limiter
	Sessions    *session.Service
	Site        *site.Site
	Uploads     *upload.Service
	Logger      *slog.Logger

	Now      func() time.Time
	Contract []byte                                // api/openapi.yaml as people wrote it
	Ready    func(context.Context) (string, error) // how Redis is, and nil while the server can serve
	Limits   limit.Limits

	PublicURL      string         // where clients reach the server; empty: where the request says
	TrustedProxies []netip.Prefix // whose word on a client's address and scheme counts
	CORSOrigins    []string
	AccelRedirect  string // the path at which trusted proxies have ImageDir; empty: they are sent bytes
	ImageDir       string
	ImageURL       string        // where clients load public pictures; empty: where they reach the server
	UploadLimit    int64         // bytes of pictures in one upload
	HSTS           time.Duration // for which browsers shall refuse plain HTTP; 0: nothing is said

	// VerifyVerdict returns InvalidSignature for a verdict on a picture that the moderator did not sign.
	VerifyVerdict func(header http.Header, body []byte) error

	// Traces record requests. They may be nil.
	Traces *trace.Traces

	// Observe is told of each request that is over: its operation (or pages, assets or unknown), the status and the
	// error code of the answer, and how long it took. It may be nil.
	Observe func(operation string, status int, code apperr.Code, took time.Duration)

	Dev     bool // show causes of errors, serve the booklet's login by URL, refuse callers from elsewhere
	LAN     bool // development mode for the local network too
	Booklet bool // answer like the booklet's server
}

type server struct {
	Options
	contract    contract
	crossOrigin *http.CrossOriginProtection
}

// New returns the handler of everything that the server serves.
func New(options Options) (http.Handler, error) {
	contract, err := loadContract(options)
	if err != nil {
		return nil, err
	}
	s := &server{Options: options, contract: contract, crossOrigin: http.NewCrossOriginProtection()}
	if options.PublicURL != "" {
		if err := s.crossOrigin.AddTrustedOrigin(options.PublicURL); err != nil {
			return nil, fmt.Errorf("trust the public URL: %w", err)
		}
	}
	return s.routes(), nil
}
