package admin

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestServes(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "gatehouse_build_info 1\n") })
	handler := New(metrics, true)
	for _, test := range []struct {
		name, method, path string
		header             [2]string
		host               string
		wantStatus         int
		wantBody           string
	}{
		{name: "index", path: "/", wantStatus: 200, wantBody: "/debug/pprof/"},
		{name: "metrics", path: "/metrics", wantStatus: 200, wantBody: "gatehouse_build_info"},
		{name: "health", path: "/healthz", wantStatus: 200, wantBody: "ok"},
		{name: "profiles", path: "/debug/pprof/", wantStatus: 200, wantBody: "goroutine"},
		{name: "a profile", path: "/debug/pprof/goroutine?debug=1", wantStatus: 200, wantBody: "goroutine profile"},
		{name: "symbols", method: http.MethodPost, path: "/debug/pprof/symbol", wantStatus: 200, wantBody: "num_symbols"},
		{name: "the command line, which may have secrets", path: "/debug/pprof/cmdline", wantStatus: 404},
		{name: "nothing", path: "/nothing", wantStatus: 404},
		{name: "by name", path: "/metrics", host: "localhost:9000", wantStatus: 200},
		{name: "by IPv6", path: "/metrics", host: "[::1]:9000", wantStatus: 200},
		{name: "rebound", path: "/metrics", host: "evil.example:9000", wantStatus: 403},
		{name: "rebound, without a port", path: "/debug/pprof/heap", host: "evil.example", wantStatus: 403},
		{name: "from another site", path: "/debug/pprof/profile", header: [2]string{"Sec-Fetch-Site", "cross-site"}, wantStatus: 403},
		{name: "typed by the operator", path: "/", header: [2]string{"Sec-Fetch-Site", "none"}, wantStatus: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(cmp.Or(test.method, http.MethodGet), test.path, nil)
			r.Host = "127.0.0.1:9000"
			if test.host != "" {
				r.Host = test.host
			}
			if test.header[0] != "" {
				r.Header.Set(test.header[0], test.header[1])
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.wantStatus || !strings.Contains(w.Body.String(), test.wantBody) {
				t.Errorf("status %d, want %d with %q\n%s", w.Code, test.wantStatus, test.wantBody, w.Body)
			}
		})
	}
}

// TestServesNamesThatAreNotOfThisMachine is for containers, whose Prometheus knows them by names of their own.
func TestServesNamesThatAreNotOfThisMachine(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
	r.Host = "gatehouse:9000"
	w := httptest.NewRecorder()
	New(http.NotFoundHandler(), false).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("status %d, want 200", w.Code)
	}
}
