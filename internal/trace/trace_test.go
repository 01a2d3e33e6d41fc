package trace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestOpen(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, test := range []struct {
		name     string
		env      map[string]string
		want     bool
		wantText string
	}{
		{name: "nobody asks", env: nil},
		{name: "an endpoint", env: map[string]string{endpoint: "http://127.0.0.1:1"}, want: true},
		{name: "an endpoint for traces", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, want: true},
		{name: "turned off", env: map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}},
		{name: "no traces", env: map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}},
		{name: "HTTP", env: map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, want: true},
		{name: "gRPC", env: map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, wantText: "port 4318"},
		{name: "gRPC for traces", env: map[string]string{endpoint: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, wantText: "http/protobuf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			traces, err := Open(t.Context(), "test", slog.New(slog.DiscardHandler))
			t.Cleanup(traces.Close)
			if (traces != nil) != test.want || (err != nil) != (test.wantText != "") {
				t.Fatalf("traces %v, error %v", traces, err)
			}
			if err != nil && !strings.Contains(err.Error(), test.wantText) {
				t.Errorf("error %q, want one with %q", err, test.wantText)
			}
		})
	}
}

// record returns traces that keep what is recorded, as a sampler wants it.
func record(sampler sdk.Sampler) (*Traces, *tracetest.InMemoryExporter) {
	kept := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithSampler(sampler))
	return &Traces{provider: provider, tracer: provider.Tracer(tracerName), log: slog.New(slog.DiscardHandler)}, kept
}

func TestOnlyTrustedCallersNameTheTrace(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	header := http.Header{"Traceparent": {"00-" + id + "-00f067aa0ba902b7-01"}}
	for _, test := range []struct {
		name    string
		trusted bool
	}{{"proxy", true}, {"stranger", false}} {
		t.Run(test.name, func(t *testing.T) {
			traces, _ := record(sdk.ParentBased(sdk.AlwaysSample()))
			_, span := traces.Request(t.Context(), header, test.trusted)
			defer span.End(nil)
			if got := span.ID(); got == "" || (got == id) != test.trusted {
				t.Errorf("the trace is %q", got)
			}
		})
	}
	t.Run("stranger who wants to be recorded", func(t *testing.T) {
		traces, kept := record(sdk.ParentBased(sdk.NeverSample()))
		ctx, span := traces.Request(t.Context(), header, false)
		_, step := Start(ctx, "step")
		step.End(nil)
		span.End(nil)
		if span.ID() != "" || step.ID() != "" || len(kept.GetSpans()) > 0 {
			t.Errorf("recorded %v", kept.GetSpans())
		}
	})
}

func TestSpans(t *testing.T) {
	traces, kept := record(sdk.AlwaysSample())
	ctx, request := traces.Request(t.Context(), nil, false)
	request.Name("getImage")
	request.SetInt("http.response.status_code", 503)
	_, step := StartCall(ctx, "storage open")
	step.End(fmt.Errorf("open file for +8618866668888: %w", fs.ErrPermission))
	request.End(nil)

	spans := kept.GetSpans()
	if len(spans) != 2 || spans[0].Name != "storage open" || spans[1].Name != "getImage" {
		t.Fatalf("recorded %v", spans)
	}
	if spans[0].Parent.SpanID() != spans[1].SpanContext.SpanID() {
		t.Error("the step is not below its request")
	}
	if text := fmt.Sprint(spans[0].Attributes, spans[0].Status, spans[0].Events); strings.Contains(text, "8866668888") || !strings.Contains(text, "errorString") {
		t.Errorf("of the error it says %s", text)
	}
}

func TestErrorType(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("read: %w", context.Canceled), "canceled"},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), "timeout"},
		{fmt.Errorf("read: %w", &fs.PathError{Op: "open", Path: "secret", Err: errors.New("x")}), "*errors.errorString"},
	} {
		if got := errorType(test.err).Value.AsString(); got != test.want {
			t.Errorf("the type of %v is %s, want %s", test.err, got, test.want)
		}
	}
}

// TestNothingIsRecorded is how most requests are.
func TestNothingIsRecorded(t *testing.T) {
	ctx := t.Context()
	allocations := testing.AllocsPerRun(100, func() {
		_, span := Start(ctx, "step")
		span.Set("key", "value")
		span.SetInt("key", 1)
		span.End(nil)
	})
	if allocations > 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}
