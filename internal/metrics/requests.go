package metrics

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"gatehouse/internal/apperr"
)

// requests count and measure what was answered.
type requests struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec

	// known are the series that exist already, so that a request costs one look into a map and not one into the
	// labels of each vector. It is replaced as a whole.
	known atomic.Pointer[map[outcome]series]
	mu    sync.Mutex // held while known is replaced
}

type outcome struct {
	operation string
	status    int
}

type series struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

func newRequests(f promauto.Factory) *requests {
	r := &requests{
		total: f.NewCounterVec(counter("http_requests_total",
			"Requests that were answered, by the operation of the contract (or pages, assets, unknown) and the status."),
			[]string{"operation", "status"}),
		// What is refused is refused soon: in one histogram with the successes it would make them look fast.
		duration: f.NewHistogramVec(histogram("http_request_duration_seconds",
			"How long requests took, from their header to the end of the answer, by operation and class of status.", requestBuckets),
			[]string{"operation", "class"}),
		refused: f.NewCounterVec(counter("http_errors_total", "Errors that were answered, by the contract's error code."), []string{"code"}),
	}
	r.known.Store(&map[outcome]series{})
	return r
}

// ObserveRequest is told of each request that is over. The code is OK where no error was answered.
func (m *Metrics) ObserveRequest(operation string, status int, code apperr.Code, took time.Duration) {
	s := m.requests.of(outcome{operation, status})
	s.total.Inc()
	s.duration.Observe(took.Seconds())
	if code != apperr.OK {
		m.requests.refused.WithLabelValues(strconv.Itoa(int(code))).Inc()
	}
}

func (r *requests) of(o outcome) series {
	if s, ok := (*r.known.Load())[o]; ok {
		return s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := series{
		total:    r.total.WithLabelValues(o.operation, strconv.Itoa(o.status)),
		duration: r.duration.WithLabelValues(o.operation, strconv.Itoa(o.status/100)+"xx"),
	}
	known := maps.Clone(*r.known.Load())
	known[o] = s
	r.known.Store(&known)
	return s
}
