package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"regexp"
	"slices"

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
	peer      netip.Addr // at the other end of the connection
	byProxy   bool       // the peer is a proxy whose word counts
	client    netip.Addr // the peer, or whom such a proxy names
	scheme    string
	operation *operation      // nil outside the contract
	session   session.Session // zero where nobody is logged in
	upload    *uploadBody     // nil where nothing is uploaded
	status    int             // that was answered, once it is over
	code      apperr.Code     // of the refusal that was answered
}

type callKey struct{}

// callFrom returns the call of a request's context; identify has put it there.
func callFrom(ctx context.Context) *call {
	return ctx.Value(callKey{}).(*call)
}

// requestIDHeader is written as net/http writes it, so that it need not be rewritten at each request.
const requestIDHeader = "X-Request-Id"

var (
	wellFormedRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	languages           = language.NewMatcher([]language.Tag{language.SimplifiedChinese, language.English})
)

// identify gives the request its id, and finds out who asks by which scheme.
func (s *server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{id: r.Header.Get(requestIDHeader), peer: peerAddress(r)}
		if !wellFormedRequestID.MatchString(c.id) {
			c.id = uuid.NewString()
		}
		c.byProxy = s.isTrustedProxy(c.peer)
		c.client, c.scheme = clientAddress(r.Context(), c.peer), scheme(r, c.byProxy)
		w.Header().Set(requestIDHeader, c.id)
		ctx := logging.WithRequestID(r.Context(), c.id)
		c.request = r.WithContext(context.WithValue(ctx, callKey{}, c))
		next.ServeHTTP(w, c.request)
	})
}

// clientAddress is the address that a trusted proxy named, or the peer's own.
func clientAddress(ctx context.Context, peer netip.Addr) netip.Addr {
	if client := middleware.GetClientIPAddr(ctx); client.IsValid() {
		return client
	}
	return peer
}

// peerAddress is without the zone, which is a name of this machine's own: as chi reads the addresses that proxies name.
func peerAddress(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

func (s *server) isTrustedProxy(peer netip.Addr) bool {
	return slices.ContainsFunc(s.TrustedProxies, func(trusted netip.Prefix) bool { return trusted.Contains(peer) })
}

// scheme is what a trusted proxy says the client speaks, or what this connection speaks.
func scheme(r *http.Request, byProxy bool) string {
	if byProxy {
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

// language is the one that the client prefers of ours.
func (c *call) language() apperr.Language {
	_, index := language.MatchStrings(languages, c.request.Header.Get("Accept-Language"))
	if index == 1 {
		return apperr.English
	}
	return apperr.Chinese
}
