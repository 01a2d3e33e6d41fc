package metrics

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/apperr"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d\n%s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestObserved(t *testing.T) {
	m := New("v1.2.3")
	for range 3 {
		m.ObserveRequest("getImage", http.StatusOK, apperr.OK, 3*time.Millisecond)
	}
	m.ObserveRequest("getImage", http.StatusNotFound, apperr.ImageNotFound, time.Millisecond)
	m.ObserveHashWait(20 * time.Millisecond)
	m.ObserveDecode(time.Millisecond, 2*time.Second)
	m.ObserveWrite(7 * time.Millisecond)
	m.ObserveStorage("open", "not-found", time.Millisecond)
	m.ObserveLimited("credentials")
	m.TaskDone("sweep")

	text := scrape(t, m)
	for _, want := range []string{
		`gatehouse_build_info{go_version="go`,
		`version="v1.2.3"} 1`,
		`gatehouse_http_requests_total{operation="getImage",status="200"} 3`,
		`gatehouse_http_requests_total{operation="getImage",status="404"} 1`,
		`gatehouse_http_request_duration_seconds_bucket{class="2xx",operation="getImage",le="0.0025"} 0`,
		`gatehouse_http_request_duration_seconds_bucket{class="2xx",operation="getImage",le="0.005"} 3`,
		`gatehouse_http_errors_total{code="2005"} 1`,
		`gatehouse_password_hash_wait_seconds_sum 0.02`,
		`gatehouse_picture_decode_wait_seconds_sum 0.001`,
		`gatehouse_picture_decode_duration_seconds_sum 2`,
		`gatehouse_database_write_duration_seconds_sum 0.007`,
		`gatehouse_storage_operations_total{operation="open",outcome="not-found"} 1`,
		`gatehouse_storage_operation_duration_seconds_count{operation="open"} 1`,
		`gatehouse_limit_refused_total{class="credentials"} 1`,
		`gatehouse_task_last_success_timestamp_seconds{task="sweep"} 1.`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the scrape lacks %s", want)
		}
	}
}

// TestRequestsInFlight scrapes from within a request.
func TestRequestsInFlight(t *testing.T) {
	m := New("test")
	var during string
	handler := m.CountInFlight(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { during = scrape(t, m) }))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if !strings.Contains(during, "gatehouse_http_requests_in_flight 1\n") {
		t.Error("the request under way is not counted")
	}
	if !strings.Contains(scrape(t, m), "gatehouse_http_requests_in_flight 0\n") {
		t.Error("a request that is over is counted")
	}
}

func TestObservingARequestAllocatesNothing(t *testing.T) {
	m := New("test")
	observe := func() { m.ObserveRequest("getImage", http.StatusOK, apperr.OK, time.Millisecond) }
	observe() // makes its series
	if n := testing.AllocsPerRun(100, observe); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkObserveRequest(b *testing.B) {
	m := New("test")
	b.ReportAllocs()
	for b.Loop() {
		m.ObserveRequest("getImage", http.StatusOK, apperr.OK, time.Millisecond)
	}
}
