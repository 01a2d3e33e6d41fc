// Package trace owns traces: where they are sent, and the spans of a request. Where nothing is recorded, a span costs
// one look into the context.
//
// Spans say what was done and how long it took, never for whom or with what: no query string, phone, token or
// argument of a statement, and of an error only its kind. What an error says is in the log, with the trace's id.
package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otrace "go.opentelemetry.io/otel/trace"
)

const (
	tracerName = "gatehouse"
	// How long the last spans may take to be sent when the server stops.
	flushTimeout = 5 * time.Second
	// How often the log says that spans cannot be sent.
	complainInterval = time.Minute
)

// Traces sends spans to a collector. A nil *Traces records nothing.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   otrace.Tracer
	log      *slog.Logger
}

// Open returns the traces that the variables of OpenTelemetry ask for (OTEL_EXPORTER_OTLP_ENDPOINT and so on), or nil
// where they ask for none. A collector that is away delays and fails nothing: what has no room in memory is lost.
func Open(ctx context.Context, version string, log *slog.Logger) (*Traces, error) {
	if !wanted() {
		return nil, nil
	}
	if err := checkProtocol(); err != nil {
		return nil, err
	}
	otel.SetErrorHandler(&complaints{log: log})
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "gatehouse"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this server in traces: %w", errors.Join(err, exporter.Shutdown(ctx)))
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(described))
	return &Traces{provider: provider, tracer: provider.Tracer(tracerName), log: log}, nil
}

func wanted() bool {
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	return endpoint != "" && !strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") && os.Getenv("OTEL_TRACES_EXPORTER") != "none"
}

func checkProtocol() error {
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"))
	if protocol == "" || strings.HasPrefix(protocol, "http/") {
		return nil
	}
	return fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: this server speaks http/protobuf, for which collectors listen on port 4318", protocol)
}

// complaints are what the SDK has to say, now and then.
type complaints struct {
	log  *slog.Logger
	mu   sync.Mutex
	last time.Time
}

// Handle logs an error of the SDK.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) >= complainInterval {
		c.last = time.Now()
		c.log.Warn("traces are lost: check OTEL_EXPORTER_OTLP_ENDPOINT, and the collector there", "error", err)
	}
}

// Close sends what was recorded. On a collector that is away it gives up, which the log says and is no failure.
func (t *Traces) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last traces are lost", "error", err)
	}
}

// Request begins the span of a request. Only of trusted callers is the trace taken that their traceparent names:
// others could have everything recorded, or put it into the traces of strangers.
func (t *Traces) Request(ctx context.Context, header http.Header, trusted bool) (context.Context, Span) {
	if trusted {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
	}
	ctx, span := t.tracer.Start(ctx, "request", otrace.WithSpanKind(otrace.SpanKindServer))
	return ctx, Span{span}
}

// Span is one step of a request. The zero Span, of what is not recorded, does nothing.
type Span struct{ span otrace.Span }

// Start begins a step of the request of ctx.
func Start(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, otrace.SpanKindInternal)
}

// StartCall begins a call of another server.
func StartCall(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, otrace.SpanKindClient)
}

func start(ctx context.Context, name string, kind otrace.SpanKind) (context.Context, Span) {
	parent := otrace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(tracerName).Start(ctx, name, otrace.WithSpanKind(kind))
	return ctx, Span{span}
}

// ID is that of the trace, or empty where nothing is recorded.
func (s Span) ID() string {
	if s.span == nil || !s.span.IsRecording() {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// Name replaces the name of the span.
func (s Span) Name(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Set says more of the span.
func (s Span) Set(key, value string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// SetInt says more of the span.
func (s Span) SetInt(key string, value int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// End ends the span. An error marks it as failed.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		s.span.SetAttributes(errorType(err))
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}

// errorType is the kind of an error. Its text may repeat what somebody has sent: databases quote rows.
func errorType(err error) attribute.KeyValue {
	kind := fmt.Sprintf("%T", err)
	switch {
	case errors.Is(err, context.Canceled):
		kind = "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		kind = "timeout"
	default:
		for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
			kind = fmt.Sprintf("%T", cause)
		}
	}
	return attribute.String("error.type", kind)
}
