package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"regexp"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"
	"golang.org/x/text/language"

	"gatehouse/internal/apperr"
	"gatehouse/internal/logging"
	"gatehouse/internal/session"
)

// call is what the server knows about the request that it is answering.
type call struct {
	request   *http.Request
	id        string
	client    netip.Addr
	scheme    string
	operation *operation      // nil outside the contract
	session   session.Session // zero where nobody is logged in
	upload    *uploadBody     // nil where nothing is uploaded
}

type callKey struct{}

// callFrom returns the call of a request's context; identify has put it there.
func callFrom(ctx context.Context) *call {
	return ctx.Value(callKey{}).(*call)
}

var (
	wellFormedRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	languages           = language.NewMatcher([]language.Tag{language.SimplifiedChinese, language.English})
)

// identify gives the request its id, and finds out who asks by which scheme.
func (s *server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{id: r.Header.Get("X-Request-ID"), scheme: s.scheme(r), client: clientAddress(r)}
		if !wellFormedRequestID.MatchString(c.id) {
			c.id = uuid.NewString()
		}
		w.Header().Set("X-Request-ID", c.id)
		ctx := logging.WithRequestID(r.Context(), c.id)
		c.request = r.WithContext(context.WithValue(ctx, callKey{}, c))
		next.ServeHTTP(w, c.request)
	})
}

// clientAddress is the address that a trusted proxy named, or the peer's own.
func clientAddress(r *http.Request) netip.Addr {
	if client := middleware.GetClientIPAddr(r.Context()); client.IsValid() {
		return client
	}
	return peerAddress(r)
}

func peerAddress(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// scheme is what a trusted proxy says the client speaks, or what this connection speaks.
func (s *server) scheme(r *http.Request) string {
	if s.fromTrustedProxy(r) {
		for _, header := range []string{"X-Forwarded-Proto", "X-Scheme"} {
			if scheme := r.Header.Get(header); scheme == "http" || scheme == "https" {
				return scheme
			}
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func (s *server) fromTrustedProxy(r *http.Request) bool {
	if len(s.TrustedProxies) == 0 {
		return false
	}
	peer := peerAddress(r)
	for _, prefix := range s.TrustedProxies {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

// language is the one that the client prefers of ours.
func (c *call) language() apperr.Language {
	_, index := language.MatchStrings(languages, c.request.Header.Get("Accept-Language"))
	if index == 1 {
		return apperr.English
	}
	return apperr.Chinese
}
