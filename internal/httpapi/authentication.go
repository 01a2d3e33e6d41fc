package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/session"
)

const sessionCookie = "gatehouse_session"

var errNotLoggedIn = apperr.New(apperr.NotLoggedIn)

// findOperation finds out what the contract says of a request.
func (s *server) findOperation(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		c.operation = s.contract.find(r)
		if c.operation == nil { // not served with these options
			s.methodNotAllowed(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// authenticate finds out who is calling, as the contract's security asks, before any of the body is read.
func (s *server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		var err error
		if c.session, err = s.sessionOf(r, c.operation); err != nil {
			s.writeError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) sessionOf(r *http.Request, o *operation) (session.Session, error) {
	if !o.bearer && !o.cookie {
		return session.Session{}, nil
	}
	if header := r.Header.Get("Authorization"); o.bearer && header != "" {
		return s.sessionFromBearer(r.Context(), header)
	}
	if o.cookie {
		current, err := s.sessionFromCookie(r)
		if !o.optional || !apperr.Is(err, apperr.NotLoggedIn) {
			return current, err
		}
	}
	if o.optional {
		return session.Session{}, nil
	}
	return session.Session{}, errNotLoggedIn
}

func (s *server) sessionFromBearer(ctx context.Context, header string) (session.Session, error) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return session.Session{}, errNotLoggedIn
	}
	return s.Sessions.VerifyAccessToken(ctx, strings.TrimSpace(token))
}

// sessionFromCookie lets other sites' pages do nothing in the name of who is logged in here.
func (s *server) sessionFromCookie(r *http.Request) (session.Session, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return session.Session{}, errNotLoggedIn
	}
	current, err := s.Sessions.VerifyCookie(r.Context(), cookie.Value)
	if err != nil {
		return session.Session{}, err
	}
	return current, s.checkOrigin(r)
}

// checkOrigin returns CrossOrigin for a form or script of another site.
func (s *server) checkOrigin(r *http.Request) error {
	if err := s.crossOrigin.Check(r); err != nil {
		return apperr.Wrap(apperr.CrossOrigin, err)
	}
	return nil
}

// cookieOf returns the Set-Cookie header that keeps a session in a browser.
func (s *server) cookieOf(c *call, current session.Session) *string {
	cookie := http.Cookie{
		Name: sessionCookie, Value: s.Sessions.Cookie(current), Path: "/",
		MaxAge:   int(current.ExpiresAt.Sub(s.Now()) / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.baseURL(c), "https:"),
	}
	header := cookie.String()
	return &header
}
