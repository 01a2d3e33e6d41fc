package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"gatehouse/internal/dbtest"
)

// collectorServer receives traces, as a collector of OpenTelemetry does.
type collectorServer struct {
	server *httptest.Server
	mu     sync.Mutex
	spans  []*otlp.Span
	text   strings.Builder // all that was received
}

func newCollector(t *testing.T) *collectorServer {
	t.Helper()
	c := &collectorServer{}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *collectorServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request collector.ExportTraceServiceRequest
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.WriteString(protojson.Format(&request))
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// received are the spans so far, and all of their text.
func (c *collectorServer) received() (spans []*otlp.Span, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans), c.text.String()
}

// traced is a proxy that takes part in a trace.
type traced struct{ next http.RoundTripper }

func (p traced) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Traceparent", traceparent)
	return p.next.RoundTrip(r)
}

// startTraced starts the program with variables of OpenTelemetry.
func startTraced(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"--addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = env
	p := launchCommand(t, cmd)
	p.awaitBanner(t)
	return p
}

// The trace that the proxy of the tests names.
const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceparent = "00-" + traceID + "-00f067aa0ba902b7-01"
)

// TestTraces plays a story, and finds each layer in the trace of each request, and no secret anywhere.
func TestTraces(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, database string) {
		receiver, sms, redis := newCollector(t), newSMSReceiver(t), dbtest.NewRedis(t)
		args, _ := databaseArgs(t, database)
		args = slices.Concat(args, sms.args(), []string{"--redis", redis.URL, "--limits", "default", "--trusted-proxy", "127.0.0.1/32"})
		p := startTraced(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.server.URL}, args...)
		secrets := playTraced(t, p, sms)
		p.stop(t) // which sends what is left

		spans, text := receiver.received()
		for _, test := range []struct {
			operation string
			want      []string
		}{
			{"sendCode", []string{"send code", "post webhook", "transaction", "ClaimVerificationCode", "redis"}},
			{"registerUser", []string{"hash password", "wait for a turn", "transaction", "InsertUser"}},
			{"loginUser", []string{"check password", "transaction", "InsertSession"}},
			{"uploadImages", []string{"receive pictures", "storage place", "transaction", "InsertImage"}},
			{"getImage", []string{"decode picture", "storage open", "storage put-variant", "GetImageByName"}},
		} {
			wantBelow(t, spans, test.operation, test.want)
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("a span has the secret %q", secret)
			}
		}
		for _, want := range []string{`"gatehouse"`, `"getImage"`, `"/static/image/{name}"`} {
			if !strings.Contains(text, want) {
				t.Errorf("the spans lack %s", want)
			}
		}
		if !strings.Contains(p.stderr.String(), "trace_id="+traceID) {
			t.Error("the log does not name the trace")
		}
	})
}

// playTraced plays a story, and returns what no span may have.
func playTraced(t *testing.T, p *process, sms *smsReceiver) (secrets []string) {
	t.Helper()
	app, who := newClient(t, p), someone{"18866668888"}
	app.http.Transport = traced{newTransport(t)}
	code := sms.ask(t, app, who, "register")
	messageOf[string](t, app.postJSON("/users/regist", who.form("password", "demo123456", "code", code)))
	app.postJSON("/users/login", `{"phone":"18866668888","password":"not this one"}`).wantError(t, http.StatusUnauthorized, 1005)
	login := messageOf[login](t, app.postJSON("/users/login", credentials))
	stored := messageOf[uploaded](t, app.upload([]file{{"holiday-secret.png", pngPicture(t)}}, "Authorization", "Bearer "+login.AccessToken))
	if got := app.get(stored.ImageURL[0] + "?w=32"); got.status != http.StatusOK {
		t.Errorf("the picture: status %d\n%s", got.status, got.body)
	}
	app.get("/h5/home?ticket=ticket-secret")
	return []string{"8866668888", "demo123456", "not this one", login.AccessToken, code, "holiday-secret", "ticket-secret", "Bearer"}
}

// wantBelow checks that a request has each of some steps below its span, and that it is in the trace of the proxy.
func wantBelow(t *testing.T, spans []*otlp.Span, operation string, want []string) {
	t.Helper()
	var below []string
	byID := map[string]*otlp.Span{}
	for _, span := range spans {
		byID[string(span.SpanId)] = span
	}
	for _, span := range spans {
		for at := span; at != nil; at = byID[string(at.ParentSpanId)] {
			if at.Name == operation && at != span {
				below = append(below, span.Name)
			}
		}
		if span.Name == operation && (byID[string(span.ParentSpanId)] != nil || span.Kind != otlp.Span_SPAN_KIND_SERVER) {
			t.Errorf("%s is no request's own span: %v", operation, span)
		}
	}
	for _, name := range want {
		if !slices.Contains(below, name) {
			t.Errorf("below %s there is no %s, only %q", operation, name, below)
		}
	}
}

// TestStrangersChooseNoTrace sends a traceparent that no trusted proxy has sent.
func TestStrangersChooseNoTrace(t *testing.T) {
	receiver := newCollector(t)
	p := startTraced(t, []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + receiver.server.URL + "/v1/traces", "OTEL_SERVICE_NAME=door"},
		"--data-dir", t.TempDir())
	messageOf[string](t, newClient(t, p).get("/healthz", "Traceparent", traceparent))
	p.stop(t)
	spans, text := receiver.received()
	if len(spans) != 1 || spans[0].Name != "getHealth" || len(spans[0].ParentSpanId) != 0 || strings.Contains(text, traceID) {
		t.Errorf("spans are %v, want one of a trace of its own", spans)
	}
	if !strings.Contains(text, `"door"`) {
		t.Error("OTEL_SERVICE_NAME does not name the service")
	}
}

// TestCollectorIsAway serves, and stops in time, while nobody takes the traces.
func TestCollectorIsAway(t *testing.T) {
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hanging.Close() })
	for name, address := range map[string]string{"refuses": freeAddress(t), "hangs": hanging.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			p := startTraced(t, []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address, "OTEL_BSP_EXPORT_TIMEOUT=500", "OTEL_BSP_SCHEDULE_DELAY=100",
			}, "--data-dir", t.TempDir())
			app := newClient(t, p)
			for range 100 {
				messageOf[string](t, app.get("/healthz"))
			}
			eventually(t, "the log says that traces are lost", func() bool {
				return strings.Contains(p.stderr.String(), "traces are lost")
			})
			p.stop(t)
		})
	}
}

func TestTracesSpeakOneProtocol(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--addr", "127.0.0.1:0", "--data-dir", t.TempDir())
	cmd.Env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}
	p := launchCommand(t, cmd)
	eventually(t, "it ends", p.hasEnded)
	if p.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(p.stderr.String(), "this server speaks http/protobuf") {
		t.Errorf("exit code %d\n%s", p.cmd.ProcessState.ExitCode(), p.stderr.String())
	}
}
