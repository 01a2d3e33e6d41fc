package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"gatehouse/internal/apperr"
	"gatehouse/internal/logging"
	"gatehouse/internal/site"
)

// statusClientGone is logged where the client went away before it had an answer.
const statusClientGone = 499

const maxLoggedPath = 64 // bytes

// logRequests writes a line for each request, and tells who observes them. Queries, bodies and headers reach neither.
func (s *server) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() { // also when a handler aborts the connection
			c, took := callFrom(r.Context()), time.Since(start)
			c.status = status(answer, r)
			if s.Observe != nil {
				s.Observe(operationName(r, c), c.status, c.code, took)
			}
			if !s.Logger.Enabled(r.Context(), slog.LevelInfo) {
				return
			}
			s.Logger.LogAttrs(r.Context(), slog.LevelInfo, "request",
				slog.String("method", r.Method), slog.String("route", route(r)), slog.Int("status", c.status),
				slog.Duration("duration", took), slog.Int("bytes", answer.BytesWritten()),
				slog.String("client", c.client.String()))
		}()
		next.ServeHTTP(answer, r)
	})
}

// route is the pattern that a request matched, or the start of its path where there is none,
// without what might be an escaped query.
func route(r *http.Request) string {
	if pattern := chi.RouteContext(r.Context()).RoutePattern(); pattern != "" {
		return pattern
	}
	path, _, _ := strings.Cut(r.URL.Path, "?")
	return path[:min(len(path), maxLoggedPath)]
}

// traceRequests records requests, by their operation and route.
func (s *server) traceRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		ctx, span := s.Traces.Request(r.Context(), r.Header, c.byProxy)
		if id := span.ID(); id != "" {
			ctx = logging.WithTraceID(ctx, id)
		}
		defer func() { // also when a handler aborts the connection
			span.Name(operationName(r, c))
			span.Set("http.request.method", knownMethod(r.Method))
			span.Set("http.route", chi.RouteContext(ctx).RoutePattern())
			span.SetInt("http.response.status_code", c.status)
			span.Set("gatehouse.request_id", c.id)
			var failure error
			if c.code != apperr.OK {
				span.SetInt("gatehouse.error_code", int(c.code))
			}
			if c.status >= http.StatusInternalServerError {
				failure = apperr.New(c.code)
			}
			span.End(failure)
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// knownMethod keeps what anybody may make up out of traces.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodPut:
		return method
	}
	return "_OTHER"
}

// namesOutsideContract are what is asked for that the contract does not know. Paths are no names: anybody can make
// up as many as he likes.
var namesOutsideContract = map[string]string{"/": "pages", "/docs": "pages", "/docs/": "pages", site.AssetsPath + "*": "assets"}

func operationName(r *http.Request, c *call) string {
	if c.operation != nil {
		return c.operation.id
	}
	return cmp.Or(namesOutsideContract[chi.RouteContext(r.Context()).RoutePattern()], "unknown")
}

func status(answer middleware.WrapResponseWriter, r *http.Request) int {
	if answer.Status() == 0 && r.Context().Err() != nil {
		return statusClientGone
	}
	return answer.Status()
}

func (s *server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			failure := recover()
			if failure == nil {
				return
			}
			if err, ok := failure.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(failure)
			}
			s.Logger.ErrorContext(r.Context(), "panic", "stack", string(debug.Stack()))
			s.writeError(w, r, fmt.Errorf("panic: %v", failure))
		}()
		next.ServeHTTP(w, r)
	})
}

// carefulHeaders are what an answer has at first. All answers share their values.
var carefulHeaders = http.Header{
	"Cache-Control":           {"no-store"},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":         {"no-referrer"},
	"X-Content-Type-Options":  {"nosniff"},
}

// defaultHeaders sets the careful ones; a handler that knows better replaces them. Browsers heed
// Strict-Transport-Security only from https, where nobody can have added it on the way.
func (s *server) defaultHeaders(next http.Handler) http.Handler {
	strictTransport := []string{"max-age=" + strconv.Itoa(int(s.HSTS.Seconds()))}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), carefulHeaders)
		if s.HSTS > 0 && callFrom(r.Context()).scheme == "https" {
			w.Header()["Strict-Transport-Security"] = strictTransport
		}
		next.ServeHTTP(w, r)
	})
}

// forwardingHeaders betray a proxy in front of the server.
var forwardingHeaders = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Scheme"}

// refuseForeign keeps development mode, which lets everyone in with the same code, from being
// published by a proxy on the same machine, and from pages that rebind their name to it.
func (s *server) refuseForeign(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		if !s.isLocalHost(r.Host) || !c.byProxy && (isForwarded(r) || !s.isLocal(c.peer)) {
			s.writeError(w, r, apperr.New(apperr.NotLocal))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isForwarded(r *http.Request) bool {
	for _, header := range forwardingHeaders {
		if _, ok := r.Header[header]; ok {
			return true
		}
	}
	return false
}

func (s *server) isLocalHost(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]")
	}
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if strings.HasSuffix(host, ".local") {
		return s.LAN
	}
	address, err := netip.ParseAddr(host)
	return err == nil && s.isLocal(address)
}

func (s *server) isLocal(address netip.Addr) bool {
	return address.IsLoopback() || s.LAN && (address.IsPrivate() || address.IsLinkLocalUnicast())
}
