package httpapi

import (
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/rs/cors"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/site"
)

// routes shows every path and every step of a request, in order.
func (s *server) routes() http.Handler {
	r := chi.NewRouter()
	s.useClientAddress(r)
	r.Use(s.identify)
	if s.Traces != nil {
		r.Use(s.traceRequests)
	}
	r.Use(s.logRequests, s.recoverPanics, s.defaultHeaders)
	if s.Dev {
		r.Use(s.refuseForeign)
	}
	if len(s.CORSOrigins) > 0 {
		r.Use(s.cors().Handler)
	}
	r.Use(s.speakTus, middleware.GetHead)
	r.NotFound(s.notFound)
	r.MethodNotAllowed(s.methodNotAllowed)

	r.Group(func(r chi.Router) {
		if s.Booklet {
			r.Use(s.acceptBookletBodies)
		}
		r.Use(s.findOperation, s.limitAddress, s.authenticate, s.limitUser, s.limitBody, s.verifySignature, s.validate)
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
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Accept-Language", "Idempotency-Key", "X-Request-ID", "Range", "If-None-Match",
			"Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Checksum", "X-HTTP-Method-Override"},
		ExposedHeaders: []string{"X-Request-ID", "Retry-After", "WWW-Authenticate", "ETag", "Content-Range", "Accept-Ranges",
			"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Content-Disposition", "Location", "Content-Location",
			"Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm",
			"Upload-Offset", "Upload-Length", "Upload-Expires"},
		MaxAge: 600,
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
	if len(s.allowedMethods(r)) == 0 { // chi asks for a known method before it looks for the path
		s.notFound(w, r)
		return
	}
	s.writeError(w, r, apperr.New(apperr.MethodNotAllowed))
}

func (s *server) badRequest(w http.ResponseWriter, r *http.Request, err error) {
	s.writeError(w, r, apperr.Wrap(apperr.InvalidInput, err))
}
