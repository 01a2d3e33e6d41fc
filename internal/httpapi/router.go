// Package httpapi serves the contract: it turns requests into calls of the nouns and results into
// responses, and owns the one door by which every failure leaves.
package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/rs/cors"

	"gatehouse/internal/account"
	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/image"
	"gatehouse/internal/session"
	"gatehouse/internal/site"
)

// Options are what the API stands on.
type Options struct {
	Accounts *account.Service
	Sessions *session.Service
	Images   *image.Service
	Site     *site.Site
	Logger   *slog.Logger

	Contract []byte                      // api/openapi.yaml as people wrote it
	Ready    func(context.Context) error // nil while the server can serve

	PublicURL           string         // where clients reach the server; empty: where the request says
	TrustedProxies      []netip.Prefix // whose word on a client's address and scheme counts
	CORSOrigins         []string
	UploadLimit         int64 // bytes of pictures in one upload
	AccessTokenLifetime time.Duration
	TicketLifetime      time.Duration

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

// routes shows every path and every step of a request, in order.
func (s *server) routes() http.Handler {
	r := chi.NewRouter()
	s.useClientAddress(r)
	r.Use(s.identify, s.logRequests, s.recoverPanics, s.defaultHeaders)
	if s.Dev {
		r.Use(s.refuseForeign)
	}
	if len(s.CORSOrigins) > 0 {
		r.Use(s.cors().Handler)
	}
	r.Use(middleware.GetHead)
	r.NotFound(s.notFound)
	r.MethodNotAllowed(s.methodNotAllowed)

	r.Group(func(r chi.Router) {
		if s.Booklet {
			r.Use(s.acceptBookletBodies)
		}
		r.Use(s.authenticate, s.limitBody, s.validate)
		api.HandlerWithOptions(s.strictHandler(), api.ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: s.badRequest})
	})

	// Not in the contract: what only browsers load.
	r.Get("/", s.redirectToHomePage)
	r.Get("/docs", s.redirectToDocs)
	r.Get("/docs/", s.docs)
	r.Method(http.MethodGet, site.AssetsPath+"*", s.Site.Assets(http.HandlerFunc(s.notFound)))
	return r
}

func (s *server) strictHandler() api.ServerInterface {
	return api.NewStrictHandlerWithOptions(s, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  s.badRequest,
		ResponseErrorHandlerFunc: s.writeError,
	})
}

// useClientAddress lets X-Real-IP (which nginx sets) and else X-Forwarded-For name the client, if a trusted proxy asks.
func (s *server) useClientAddress(r chi.Router) {
	if len(s.TrustedProxies) == 0 {
		return
	}
	trusted := make([]string, len(s.TrustedProxies))
	for i, prefix := range s.TrustedProxies {
		trusted[i] = prefix.String()
	}
	r.Use(middleware.ClientIPFromXFF(trusted...), middleware.ClientIPFromHeader("X-Real-IP", trusted...))
}

func (s *server) cors() *cors.Cors {
	return cors.New(cors.Options{
		AllowedOrigins: s.CORSOrigins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Accept-Language", "X-Request-ID", "Range", "If-None-Match"},
		ExposedHeaders: []string{"X-Request-ID", "Retry-After", "WWW-Authenticate", "ETag", "Content-Range", "Accept-Ranges"},
		MaxAge:         600,
	})
}

// baseURL is where the client of a request reaches the server.
func (s *server) baseURL(c *call) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	return (&url.URL{Scheme: c.scheme, Host: c.request.Host}).String()
}

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	s.writeError(w, r, apperr.New(apperr.PathNotFound))
}

func (s *server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	s.writeError(w, r, apperr.New(apperr.MethodNotAllowed))
}

func (s *server) badRequest(w http.ResponseWriter, r *http.Request, err error) {
	s.writeError(w, r, apperr.Wrap(apperr.InvalidInput, err))
}
