package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/site"
)

// writeError is the one door by which every failure leaves. Others answer in two places only:
// http.ServeContent a picture's 304, 412 and 416, and net/http itself what is no request that
// it could hand on (400, 417, 431, 505).
func (s *server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone, or half of it: it must not take silence for a 200
	}
	e := apperr.From(err)
	callFrom(r.Context()).code = e.Code
	s.logFailure(r, e)
	if answer, ok := w.(middleware.WrapResponseWriter); ok && answer.Status() != 0 {
		panic(http.ErrAbortHandler) // half an answer is out; cutting it off is all that can be said
	}
	s.setErrorHeaders(w, r, e)
	if s.wantsPage(r) {
		s.writeErrorPage(w, r, e)
		return
	}
	s.writeErrorEnvelope(w, r, e)
}

// logFailure tells what the client did wrong at Info, and what we did wrong at Error, each once.
func (s *server) logFailure(r *http.Request, e *apperr.Error) {
	level, message := slog.LevelInfo, "request refused"
	if e.Code.Status() >= http.StatusInternalServerError && e.Code != apperr.ServerBusy {
		level, message = slog.LevelError, "request failed"
	}
	s.Logger.LogAttrs(r.Context(), level, message, slog.Int("error_code", int(e.Code)),
		slog.String("error", e.Error()), slog.String("route", route(r)))
}

func (s *server) setErrorHeaders(w http.ResponseWriter, r *http.Request, e *apperr.Error) {
	header := w.Header()
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(secondsToWait(e.RetryAfter)))
	}
	switch e.Code {
	case apperr.NotLoggedIn:
		header.Set("WWW-Authenticate", "Bearer")
	case apperr.MethodNotAllowed:
		header.Set("Allow", strings.Join(s.allowedMethods(r), ", "))
	}
}

func (s *server) allowedMethods(r *http.Request) []string {
	var allowed []string
	path := cmp.Or(r.URL.RawPath, r.URL.Path) // as chi matches
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		match := chi.NewRouteContext()
		if !chi.RouteContext(r.Context()).Routes.Match(match, method, path) || s.contract.hidden[operationKey{method, match.RoutePattern()}] {
			continue
		}
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	return allowed
}

// wantsPage tells browsers from programs; the API answers programs only.
func (s *server) wantsPage(r *http.Request) bool {
	operation := callFrom(r.Context()).operation
	isAPI := operation != nil && !operation.isPage ||
		strings.HasPrefix(r.URL.Path, "/users/") || strings.HasPrefix(r.URL.Path, "/upload/")
	return !isAPI && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (s *server) writeErrorEnvelope(w http.ResponseWriter, r *http.Request, e *apperr.Error) {
	c := callFrom(r.Context())
	language, status := c.language(), e.Code.Status()
	likeBooklet := s.Booklet && c.operation != nil && c.operation.isBooklet
	if likeBooklet { // which knows one status and one language
		language, status = apperr.Chinese, http.StatusOK
	}
	answer := errorFromAppErr(e, language)
	if s.Dev && e.Code == apperr.Internal {
		answer.Data.Details = []api.ErrorDetail{{Reason: e.Error()}} // for the developer; in production only the log has it
	}
	if likeBooklet {
		answer.Data.Details = nil
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // strings and numbers only
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone has no use for an error
}

func errorFromAppErr(e *apperr.Error, language apperr.Language) api.ErrorResult {
	answer := api.ErrorResult{Data: api.ErrorData{Msg: e.Code.Text().In(language), Code: api.ErrorCode(e.Code)}}
	for _, detail := range e.Details {
		answer.Data.Details = append(answer.Data.Details, api.ErrorDetail{Field: detail.Field, Reason: detail.Reason.In(language)})
	}
	return answer
}

func (s *server) writeErrorPage(w http.ResponseWriter, r *http.Request, e *apperr.Error) {
	c := callFrom(r.Context())
	page, err := s.errorPage(c, e)
	if err != nil {
		s.Logger.ErrorContext(r.Context(), "render an error page", "error", err)
		s.writeErrorEnvelope(w, r, e)
		return
	}
	setPageHeaders(w.Header(), site.PagePolicy)
	w.WriteHeader(e.Code.Status())
	_, _ = w.Write(page) // a client that is gone has no use for an error
}

// errorPage is the login form again where that was refused, and a page of its own elsewhere.
func (s *server) errorPage(c *call, e *apperr.Error) ([]byte, error) {
	message := e.Code.Text().In(c.language())
	if c.operation != nil && c.operation.id == "submitLoginPage" && e.Code.Status() != http.StatusForbidden {
		return s.Site.Login(c.language(), site.Login{Refusal: message})
	}
	failure := site.Error{Status: e.Code.Status(), Message: message, RequestID: c.id}
	if s.Dev {
		failure.Cause = e.Error()
	}
	return s.Site.Error(c.language(), failure)
}
