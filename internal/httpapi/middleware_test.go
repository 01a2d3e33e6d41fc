package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/apperr"
)

func TestRequestIDs(t *testing.T) {
	s := newServer(t, "")
	for _, test := range []struct {
		sent      string
		wantTaken bool
	}{
		{"a", true}, {"Ab-1_2.3", true}, {strings.Repeat("x", 64), true},
		{"", false}, {strings.Repeat("x", 65), false}, {"two words", false}, {`"><script>`, false}, {"ü", false}, {"a,b", false},
	} {
		t.Run(test.sent, func(t *testing.T) {
			id := s.send(t, get("/healthz", with("X-Request-ID", test.sent))).header.Get("X-Request-ID")
			if taken := id == test.sent; taken != test.wantTaken {
				t.Errorf("the answer's id is %q, want it taken %t", id, test.wantTaken)
			}
			if !strings.Contains(s.logs.String(), "request_id="+id) {
				t.Errorf("no log line has the id %s", id)
			}
		})
	}
	first, second := s.send(t, get("/healthz")).header, s.send(t, get("/healthz")).header
	if first.Get("X-Request-ID") == second.Get("X-Request-ID") {
		t.Error("two requests have the same id")
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := newServer(t, "")
	for _, path := range []string{"/nowhere", "/users", "/h5", "/h5/nowhere", "/static/", "/static/image", "/assets/nowhere.css", "/.git/config", "/%2e%2e/etc", "/a%00b", "//users/me"} {
		t.Run(path, func(t *testing.T) {
			s.send(t, get(path)).want(t, apperr.PathNotFound).wantHeader(t, "Content-Type", jsonType)
			s.send(t, get(path, browser)).wantStatus(t, http.StatusNotFound).wantText(t, "<html").wantText(t, "路径不存在")
			s.send(t, head(path)).wantStatus(t, http.StatusNotFound)
			s.send(t, post(path, jsonType, "{}")).want(t, apperr.PathNotFound)
		})
	}
	for _, test := range []struct{ method, path, wantAllow string }{
		{"GET", "/users/regist", "POST"},
		{"HEAD", "/users/regist", "POST"},
		{"DELETE", "/users/me", "GET, HEAD, PATCH"},
		{"PUT", "/h5/login", "GET, HEAD, POST"},
		{"PATCH", "/static/image/x.jpg", "GET, HEAD"},
		{"OPTIONS", "/users/regist", "POST"},
		{"TRACE", "/users/me", "GET, HEAD, PATCH"},
		{"PUT", "/users/sessions", "GET, HEAD, DELETE"},
		{"POST", "/docs/", "GET, HEAD"},
		{"POST", "/", "GET, HEAD"},
		{"BREW", "/upload/file", "POST"},
	} {
		t.Run(test.method+test.path, func(t *testing.T) {
			a := s.send(t, newRequest(test.method, test.path, "", nil)).wantStatus(t, http.StatusMethodNotAllowed).wantHeader(t, "Allow", test.wantAllow)
			if test.method != http.MethodHead {
				a.want(t, apperr.MethodNotAllowed)
			}
			s.send(t, newRequest(test.method, test.path, "", nil, browser)).wantStatus(t, http.StatusMethodNotAllowed).wantHeader(t, "Allow", test.wantAllow)
		})
	}
}

// TestHeadIsGetWithoutABody holds for operations that do not declare HEAD themselves, too.
func TestHeadIsGetWithoutABody(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	for _, path := range []string{"/users/me", "/h5/login", "/h5/about", "/openapi.json", "/openapi.yaml", "/healthz", "/readyz", "/docs/"} {
		t.Run(path, func(t *testing.T) {
			a := s.send(t, head(path, bearer(u.token))).wantStatus(t, http.StatusOK)
			if len(a.body) > 0 {
				t.Errorf("the answer has a body of %d bytes", len(a.body))
			}
			a.wantHeader(t, "Content-Type", s.send(t, get(path, bearer(u.token))).header.Get("Content-Type"))
		})
	}
	s.send(t, head("/users/me")).wantStatus(t, http.StatusUnauthorized)
}

func TestErrorsForBrowsersAndPrograms(t *testing.T) {
	s := newServer(t, "")
	for _, test := range []struct {
		accept, path string
		wantPage     bool
	}{
		{"text/html", "/nowhere", true},
		{"text/html,application/xhtml+xml;q=0.9", "/h5/nowhere", true},
		{"", "/nowhere", false},
		{"*/*", "/nowhere", false},
		{"application/json", "/nowhere", false},
		{"text/html", "/users/me", false}, // the API answers programs only
		{"text/html", "/static/image/x.jpg", false},
	} {
		t.Run(test.accept+test.path, func(t *testing.T) {
			a := s.send(t, get(test.path, with("Accept", test.accept)))
			if a.isPage() != test.wantPage {
				t.Errorf("the answer is of the type %s, want a page %t", a.header.Get("Content-Type"), test.wantPage)
			}
			if test.wantPage {
				a.wantText(t, a.header.Get("X-Request-ID"))
			}
		})
	}
}

func TestPeerAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"203.0.113.7:1234": "203.0.113.7", "[::ffff:203.0.113.7]:1234": "203.0.113.7", "[fe80::1%eth0]:1234": "fe80::1", "@": "invalid IP",
	} {
		if got := peerAddress(&http.Request{RemoteAddr: remote}).String(); got != want {
			t.Errorf("the peer of %s is %s, want %s", remote, got, want)
		}
	}
}

func TestTrustedProxiesNameTheClient(t *testing.T) {
	for _, test := range []struct {
		name    string
		trusted string
		headers map[string]string
		want    string
	}{
		{"nobody is trusted", "", map[string]string{"X-Real-IP": "203.0.113.7", "X-Forwarded-For": "203.0.113.8"}, "127.0.0.1"},
		{"another network is trusted", "10.0.0.0/8", map[string]string{"X-Real-IP": "203.0.113.7", "X-Forwarded-For": "203.0.113.8"}, "127.0.0.1"},
		{"X-Real-IP", "127.0.0.0/8", map[string]string{"X-Real-IP": "203.0.113.7"}, "203.0.113.7"},
		{"X-Forwarded-For", "127.0.0.0/8", map[string]string{"X-Forwarded-For": "203.0.113.8"}, "203.0.113.8"},
		{"both", "127.0.0.0/8", map[string]string{"X-Real-IP": "203.0.113.7", "X-Forwarded-For": "203.0.113.8"}, "203.0.113.7"},
		{"what the client wrote itself is left out", "127.0.0.0/8", map[string]string{"X-Forwarded-For": "1.2.3.4, 203.0.113.8, 127.0.0.9"}, "203.0.113.8"},
		{"IPv6", "127.0.0.0/8", map[string]string{"X-Real-IP": "2001:db8::1"}, "2001:db8::1"},
		{"nonsense", "127.0.0.0/8", map[string]string{"X-Real-IP": "nonsense", "X-Forwarded-For": "nonsense"}, "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, "", func(s *setup) {
				if test.trusted != "" {
					s.api.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.trusted)}
				}
			})
			r := get("/healthz", with("X-Request-ID", "asked"))
			for key, value := range test.headers {
				r.Header.Set(key, value)
			}
			s.send(t, r)
			if !s.logs.has("request_id=asked", " client="+test.want+" ") {
				t.Errorf("want client %s in\n%s", test.want, s.logs)
			}
		})
	}
}

func TestCORS(t *testing.T) {
	const ours, foreign = "https://app.example.com", "https://evil.example.com"
	s := newServer(t, "", func(s *setup) { s.api.CORSOrigins = []string{ours} })
	u := s.newUser(t)
	preflight := func(origin, method, headers string) answer {
		return s.send(t, newRequest(http.MethodOptions, "/upload/file", "", nil,
			with("Origin", origin), with("Access-Control-Request-Method", method), with("Access-Control-Request-Headers", headers)))
	}
	allowed := preflight(ours, http.MethodPost, "authorization,content-type").wantStatus(t, http.StatusNoContent)
	allowed.wantHeader(t, "Access-Control-Allow-Origin", ours).wantHeader(t, "Access-Control-Allow-Methods", "POST").
		wantHeader(t, "Access-Control-Allow-Headers", "authorization,content-type").wantHeader(t, "Access-Control-Max-Age", "600")
	for _, refused := range []answer{
		preflight(foreign, http.MethodPost, "authorization"), preflight("null", http.MethodPost, ""),
		preflight(ours, http.MethodPut, ""), preflight(ours, http.MethodPost, "x-secret"),
	} {
		refused.wantHeader(t, "Access-Control-Allow-Origin", "").wantHeader(t, "Access-Control-Allow-Credentials", "")
	}

	simple := s.send(t, get("/users/me", bearer(u.token), with("Origin", ours))).want(t, apperr.OK)
	simple.wantHeader(t, "Access-Control-Allow-Origin", ours).wantHeader(t, "Access-Control-Allow-Credentials", "")
	if exposed := simple.header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "X-Request-Id") {
		t.Errorf("scripts can read %q, want the request id among them", exposed)
	}
	s.send(t, get("/users/me", with("Origin", ours))).want(t, apperr.NotLoggedIn).wantHeader(t, "Access-Control-Allow-Origin", ours) // errors, too
	s.send(t, get("/users/me", bearer(u.token), with("Origin", foreign))).want(t, apperr.OK).wantHeader(t, "Access-Control-Allow-Origin", "")

	closed := newServer(t, "")
	closed.send(t, get("/healthz", with("Origin", ours))).wantHeader(t, "Access-Control-Allow-Origin", "")
}

func TestDevelopmentAnswersThisMachineOnly(t *testing.T) {
	trusting := func(s *setup) { s.api.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	onLAN := func(s *setup) { s.api.LAN = true }
	tests := []struct {
		name    string
		change  change
		servers map[string]bool // by name: refused
	}{
		{"127.0.0.1", host("127.0.0.1:8000"), nil},
		{"127.0.0.1 without port", host("127.0.0.1"), nil},
		{"another loopback address", host("127.8.8.8:8000"), nil},
		{"localhost", host("localhost:8000"), nil},
		{"localhost in upper case", host("LocalHost"), nil},
		{"name under localhost", host("app.localhost:8000"), nil},
		{"IPv6", host("[::1]:8000"), nil},
		{"IPv6 without port", host("[::1]"), nil},
		{"private address", host("192.168.1.7:8000"), map[string]bool{"plain": true, "trusting": true}},
		{"link-local address", host("169.254.1.1"), map[string]bool{"plain": true, "trusting": true}},
		{"local name", host("laptop.local:8000"), map[string]bool{"plain": true, "trusting": true}},
		{"public address", host("203.0.113.7:8000"), map[string]bool{"plain": true, "trusting": true, "lan": true}},
		{"public name", host("app.example.com"), map[string]bool{"plain": true, "trusting": true, "lan": true}},
		{"localhost as a label", host("localhost.example.com"), map[string]bool{"plain": true, "trusting": true, "lan": true}},
		{"name that ends like ours", host("evillocalhost"), map[string]bool{"plain": true, "trusting": true, "lan": true}},
		{"X-Forwarded-For", with("X-Forwarded-For", "203.0.113.7"), map[string]bool{"plain": true, "lan": true}},
		{"X-Forwarded-Proto", with("X-Forwarded-Proto", "http"), map[string]bool{"plain": true, "lan": true}},
		{"X-Forwarded-Host", with("X-Forwarded-Host", "localhost"), map[string]bool{"plain": true, "lan": true}},
		{"X-Real-IP", with("X-Real-IP", "127.0.0.1"), map[string]bool{"plain": true, "lan": true}},
		{"X-Scheme", with("X-Scheme", "http"), map[string]bool{"plain": true, "lan": true}},
		{"Forwarded", with("Forwarded", "for=127.0.0.1"), map[string]bool{"plain": true, "lan": true}},
		{"Via", with("Via", "1.1 proxy"), map[string]bool{"plain": true, "lan": true}},
	}
	for name, change := range map[string]func(*setup){"plain": func(*setup) {}, "trusting": trusting, "lan": onLAN} {
		s := newServer(t, "", inDevelopment, change)
		for _, test := range tests {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				want := apperr.OK
				if test.servers[name] {
					want = apperr.NotLocal
				}
				s.send(t, get("/healthz", test.change)).want(t, want)
				if want == apperr.NotLocal {
					s.send(t, registrationWith(test.change)).want(t, want)
					s.send(t, get("/", test.change, browser)).wantStatus(t, http.StatusForbidden).wantText(t, "<html")
				}
			})
		}
		if users := s.count(t, "users"); users != 0 {
			t.Errorf("%d users have registered from elsewhere", users)
		}
	}
	production := newServer(t, "")
	production.send(t, get("/healthz", host("app.example.com"), with("X-Forwarded-For", "203.0.113.7"))).want(t, apperr.OK)
}

func registrationWith(change change) *http.Request {
	r := registration("18866668888")
	change(r)
	return r
}

// TestEscapedQueryIsNotLogged hides a query in what is a path to the server.
func TestEscapedQueryIsNotLogged(t *testing.T) {
	s := newServer(t, "")
	s.send(t, get("/users%2Flogin%3Fphone=1&password="+marker)).want(t, apperr.PathNotFound)
	s.send(t, get("/"+strings.Repeat("x", 10_000))).want(t, apperr.PathNotFound)
	if !s.logs.has("route=/users/login ") {
		t.Errorf("the start of the path is not logged:\n%s", s.logs)
	}
	if log := s.logs.String(); strings.Contains(log, "phone") || len(log) > 5_000 {
		t.Errorf("%d bytes are logged:\n%.5000s", len(log), log)
	}
}

func TestUnderTheAPINobodyGetsAPage(t *testing.T) {
	s := newServer(t, "")
	for _, path := range []string{"/users/", "/users/me/", "/users/nowhere", "/upload/"} {
		s.send(t, get(path, browser)).want(t, apperr.PathNotFound).wantHeader(t, "Content-Type", jsonType)
	}
	s.send(t, get("/users/regist", browser)).want(t, apperr.MethodNotAllowed).wantHeader(t, "Content-Type", jsonType)
	s.send(t, newRequest("FOO", "/nowhere", "", nil)).want(t, apperr.PathNotFound)
}

// TestLANIsLocal lets private networks in, and nobody from elsewhere who says "localhost".
func TestLANIsLocal(t *testing.T) {
	s := newServer(t, "", inDevelopment, func(s *setup) { s.api.LAN = true })
	for peer, want := range map[string]int{
		"192.168.1.7:5000": http.StatusOK, "127.0.0.1:5000": http.StatusOK, "[fe80::1]:5000": http.StatusOK,
		"203.0.113.7:5000": http.StatusForbidden, "[2001:db8::1]:5000": http.StatusForbidden,
	} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host, r.RemoteAddr = "localhost", peer
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s is answered %d, want %d", peer, w.Code, want)
		}
	}
}

func TestRequestLine(t *testing.T) {
	s := newServer(t, "")
	s.send(t, get("/static/image/x.jpg?password="+marker, with("X-Request-ID", "line"), with("User-Agent", marker)))
	for _, line := range [][]string{
		{"level=INFO msg=request method=GET route=/static/image/{name} status=404 bytes=", "client=127.0.0.1 request_id=line"},
		{`level=INFO msg="request refused"`, "2005", "request_id=line"},
	} {
		if !s.logs.has(line...) {
			t.Errorf("no line has %q:\n%s", line, s.logs)
		}
	}
}

func TestObserve(t *testing.T) {
	var told []string
	s := newServer(t, "", inDevelopment, func(s *setup) {
		s.api.Observe = func(operation string, status int, code apperr.Code, took time.Duration) {
			told = append(told, fmt.Sprintf("%s %d %d", operation, status, code))
			if took <= 0 {
				t.Errorf("%s took %v", operation, took)
			}
		}
	})
	for path, want := range map[string]string{
		"/healthz": "getHealth 200 0", "/users/me": "getCurrentUser 401 1006", "/": "pages 303 0", "/docs/": "pages 200 0",
		"/static/web/no-such": "assets 404 9004", "/no/such/" + strings.Repeat("x", 100): "unknown 404 9004",
	} {
		told = nil
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host, r.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:50000"
		s.handler.ServeHTTP(w, r)
		if len(told) != 1 || told[0] != want {
			t.Errorf("of %s is told %q, want %q", path, told, want)
		}
	}
}
