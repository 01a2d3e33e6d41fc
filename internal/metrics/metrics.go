// Package metrics owns what the server tells Prometheus of itself. It is the only one that knows Prometheus:
// the others count plain numbers, which are read at each scrape, and call functions that are told how long
// something took.
//
// Labels are bounded: operations of the contract, statuses, causes. No path, user or address is ever one.
package metrics

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "gatehouse"

// The buckets of histograms, in seconds. requestBuckets reach from a picture in memory to a large upload over a bad
// network, stepBuckets from a free turn to the longest wait for one.
var (
	requestBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	stepBuckets    = []float64{.0001, .0005, .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

// Metrics are those of one server. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	factory  promauto.Factory
	requests *requests
	inFlight prometheus.Gauge

	hashWait, decodeWait, decodeTime, writeTime prometheus.Histogram

	limited    *prometheus.CounterVec
	storage    *prometheus.CounterVec
	storageFor *prometheus.HistogramVec
	tasks      *prometheus.GaugeVec
}

// New returns the metrics of a program of some version, those of the Go runtime and of the process among them.
func New(version string) *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(registry)
	build := f.NewGaugeVec(gauge("build_info", "Which program runs; always 1."), []string{"version", "go_version"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	return &Metrics{
		registry:   registry,
		factory:    f,
		requests:   newRequests(f),
		inFlight:   f.NewGauge(gauge("http_requests_in_flight", "Requests that are being answered.")),
		hashWait:   f.NewHistogram(histogram("password_hash_wait_seconds", "How long password hashes waited for their turn.", stepBuckets)),
		decodeWait: f.NewHistogram(histogram("picture_decode_wait_seconds", "How long pictures waited for their turn to be decoded.", stepBuckets)),
		decodeTime: f.NewHistogram(histogram("picture_decode_duration_seconds", "How long the decoding of pictures took, without the wait.", stepBuckets)),
		writeTime:  f.NewHistogram(histogram("database_write_duration_seconds", "How long transactions took, with their retries.", stepBuckets)),
		limited: f.NewCounterVec(counter("limit_refused_total",
			"Requests that were refused because somebody made too many, by the class of the limit."), []string{"class"}),
		storage: f.NewCounterVec(counter("storage_operations_total",
			"Operations on the storage of pictures, by what came of them."), []string{"operation", "outcome"}),
		storageFor: f.NewHistogramVec(histogram("storage_operation_duration_seconds",
			"How long operations on the storage of pictures took.", stepBuckets), []string{"operation"}),
		tasks: f.NewGaugeVec(gauge("task_last_success_timestamp_seconds",
			"When a task in the background last did all its work."), []string{"task"}),
	}
}

func gauge(name, help string) prometheus.GaugeOpts {
	return prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}
}

func counter(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}
}

func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}
}

// Handler answers scrapes.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
	})
}

// CountInFlight counts the requests that a handler is answering.
func (m *Metrics) CountInFlight(next http.Handler) http.Handler {
	return promhttp.InstrumentHandlerInFlight(m.inFlight, next)
}

// ObserveHashWait is told how long a password hash waited for its turn.
func (m *Metrics) ObserveHashWait(waited time.Duration) {
	m.hashWait.Observe(waited.Seconds())
}

// ObserveDecode is told how long a picture waited for its turn, and how long it took.
func (m *Metrics) ObserveDecode(waited, took time.Duration) {
	m.decodeWait.Observe(waited.Seconds())
	m.decodeTime.Observe(took.Seconds())
}

// ObserveWrite is told how long a transaction took.
func (m *Metrics) ObserveWrite(took time.Duration) {
	m.writeTime.Observe(took.Seconds())
}

// ObserveStorage is told what came of an operation on the storage, and how long it took.
func (m *Metrics) ObserveStorage(operation, outcome string, took time.Duration) {
	m.storage.WithLabelValues(operation, outcome).Inc()
	m.storageFor.WithLabelValues(operation).Observe(took.Seconds())
}

// ObserveLimited is told the class of a request that was refused because somebody made too many.
func (m *Metrics) ObserveLimited(class string) {
	m.limited.WithLabelValues(class).Inc()
}

// TaskDone is called when a task in the background has done all its work.
func (m *Metrics) TaskDone(task string) {
	m.tasks.WithLabelValues(task).SetToCurrentTime()
}
