package httpapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gatehouse/internal/logging"
	"gatehouse/internal/metrics"
)

// BenchmarkGetCurrentUser shows what the cheapest request of a user costs, beyond what net/http and a
// connection cost: all that the server does for every request, its log line and its metrics included.
func BenchmarkGetCurrentUser(b *testing.B) {
	levels, err := logging.ParseLevels("info")
	if err != nil {
		b.Fatal(err)
	}
	logs, err := logging.New(logging.Options{Levels: levels, Dir: b.TempDir(), Console: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	defer logs.Close()
	measured := metrics.New("bench")
	s := newServer(b, "", inDevelopment, func(s *setup) {
		s.api.Logger, s.api.Observe = logs.Module(logging.HTTP), measured.ObserveRequest
		s.accounts.Now, s.sessions.Now, s.api.Now = time.Now, time.Now, time.Now
	})
	u := s.newUser(b)
	go s.sessions.Run(b.Context())
	r := httptest.NewRequest(http.MethodGet, "/users/me", nil)
	r.Host, r.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:50000"
	r.Header.Set("Authorization", "Bearer "+u.token)

	handler := measured.CountInFlight(s.handler)
	b.ReportAllocs()
	for b.Loop() {
		w := &discard{header: http.Header{}}
		handler.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header            { return d.header }
func (d *discard) WriteHeader(status int)         { d.status = status }
func (d *discard) Write(body []byte) (int, error) { return len(body), nil }
