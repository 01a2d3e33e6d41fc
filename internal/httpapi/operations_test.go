package httpapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/limit"
)

const newPassword = "close " + marker + " 9"

// goodRequests are, for each operation, a request that a user may send, made anew at each call.
func (s *testServer) goodRequests(t testing.TB, u user) map[string]func() *http.Request {
	t.Helper()
	token, ours, ticket := bearer(u.token), cookie(s.newCookie(t, u)), s.ticketOf(t, u)
	confirmed := map[string]any{"password": password}
	kept, doomed := s.upload(t, u, tinyPNG(t)), s.upload(t, u, tinyPNG(t))
	picture, image := pathOf(t, kept.URL), "/upload/images/"+kept.ID.String()
	s.login(t, u.phone) // a session that can be ended
	requests := map[string]func() *http.Request{
		"registerUser":      func() *http.Request { return registration("18866668888") },
		"sendCode":          func() *http.Request { return codeRequest("18866668888", "register") },
		"loginUser":         func() *http.Request { return credentials(u.phone, password) },
		"loginForHomePage":  func() *http.Request { return get("/users/login?phone=" + u.phone + "&password=open+" + marker + "+8") },
		"refreshSession":    func() *http.Request { return refresh(u.refreshToken) },
		"logoutUser":        func() *http.Request { return post("/users/logout", "", "", token) },
		"listSessions":      func() *http.Request { return get("/users/sessions", token) },
		"endOtherSessions":  func() *http.Request { return del("/users/sessions", token) },
		"endSession":        func() *http.Request { return del("/users/sessions/"+u.sessionID, token) },
		"getKeySet":         func() *http.Request { return get("/.well-known/jwks.json") },
		"getCurrentUser":    func() *http.Request { return get("/users/me", token) },
		"updateCurrentUser": func() *http.Request { return patchMe(map[string]any{"bio": "here"}, token) },
		"changePassword": func() *http.Request {
			return postJSON("/users/password", map[string]any{"oldPassword": password, "newPassword": newPassword}, token)
		},
		"resetPassword": func() *http.Request {
			return postJSON("/users/password/reset", map[string]any{"phone": u.phone, "code": code, "newPassword": newPassword})
		},
		"changePhone": func() *http.Request {
			return postJSON("/users/phone", map[string]any{"phone": "18866669999", "code": code, "currentCode": code}, token)
		},
		"deleteCurrentUser": func() *http.Request { return postJSON("/users/me/deletion", confirmed, token) },
		"exportCurrentUser": func() *http.Request { return postJSON("/users/me/export", confirmed, token) },
		"listActivity":      func() *http.Request { return get("/users/me/activity", token) },
		"uploadImages":      func() *http.Request { return uploadOf([]file{{"a.png", tinyPNG(t)}}, token) },
		"listImages":        func() *http.Request { return get("/upload/images", token) },
		"describeImage":     func() *http.Request { return get(image, token) },
		"updateImage":       func() *http.Request { return patch(image, map[string]any{"title": "here"}, token) },
		"deleteImage":       func() *http.Request { return del("/upload/images/"+doomed.ID.String(), token) },
		"linkImage":         func() *http.Request { return postJSON(image+"/link", map[string]any{"expiresIn": 60}, token) },
		"judgeImage":        func() *http.Request { return verdict(t, kept.ID.String(), map[string]any{"verdict": "release"}) },
		"getImage":          func() *http.Request { return get(picture) },
		"headImage":         func() *http.Request { return head(picture) },
		"createHomeTicket":  func() *http.Request { return newRequest(http.MethodPost, "/h5/ticket", "", nil, token) },
		"getHomePage":       func() *http.Request { return get(homePath, ours) },
		"switchSession":     func() *http.Request { return postForm("/h5/session", []string{"ticket", ticket}) },
		"getLoginPage":      func() *http.Request { return get(loginPath) },
		"submitLoginPage":   func() *http.Request { return postForm(loginPath, []string{"phone", u.phone, "password", password}) },
		"submitLogout":      func() *http.Request { return postForm("/h5/logout", nil, ours) },
		"getAboutPage":      func() *http.Request { return get("/h5/about") },
		"getReadiness":      func() *http.Request { return get("/readyz") },
	}
	maps.Copy(requests, s.goodUploads(t, u))
	return requests
}

// declaring are the good requests of the operations that declare a code.
func (s *testServer) declaring(t testing.TB, u user, code apperr.Code) map[string]func() *http.Request {
	t.Helper()
	good := s.goodRequests(t, u)
	declaring := map[string]func() *http.Request{}
	for _, spec := range operations {
		if !slices.Contains(errorCodes(spec), code) {
			continue
		}
		if good[spec.OperationID] == nil {
			t.Fatalf("operation %s has no good request in the tests", spec.OperationID)
		}
		declaring[spec.OperationID] = good[spec.OperationID]
	}
	return declaring
}

// inMemory are the operations that answer without the database.
var inMemory = []string{"getKeySet", "getLoginPage", "getAboutPage"}

// TestLimitOfEveryOperation lets one request of each class through, and no more.
func TestLimitOfEveryOperation(t *testing.T) {
	s := newServer(t, "", inDevelopment)
	for id, request := range s.declaring(t, s.newUser(t), apperr.TooManyRequests) {
		t.Run(id, func(t *testing.T) {
			limited := s.options
			limited.Limiter, limited.Limits = newLimiter(t), oneAnHour()
			s.start(t, limited)
			s.send(t, request()).wantHeader(t, "RateLimit-Limit", "1").wantHeader(t, "RateLimit-Remaining", "0")
			a := s.send(t, request()).want(t, apperr.TooManyRequests)
			a.wantHeader(t, "Retry-After", "3600").wantHeader(t, "RateLimit-Reset", "3600")
		})
	}
}

func oneAnHour() limit.Limits {
	limits := limit.Limits{}
	for class := range limit.Defaults() {
		limits[class] = limit.Rate{Count: 1, Period: hour}
	}
	return limits
}

func TestLimitByUser(t *testing.T) {
	s := newServer(t, "", func(s *setup) { s.api.Limits = limit.Limits{limit.Read + limit.UserSuffix: {Count: 2, Period: hour}} })
	one, other := s.newUser(t), s.newUser(t)
	again := s.login(t, one.phone)
	s.send(t, get("/users/me", bearer(one.token))).want(t, apperr.OK).wantHeader(t, "RateLimit-Remaining", "1")
	s.send(t, get("/users/me", bearer(again.token))).want(t, apperr.OK).wantHeader(t, "RateLimit-Remaining", "0")
	s.send(t, get("/users/me", bearer(one.token))).want(t, apperr.TooManyRequests)
	s.send(t, get("/users/me", bearer(other.token))).want(t, apperr.OK)
	s.send(t, get("/users/me")).want(t, apperr.NotLoggedIn)
}

func TestLimitByAddress(t *testing.T) {
	s := newServer(t, "", behindProxy, func(s *setup) { s.api.Limits = limit.Limits{limit.Read: {Count: 1, Period: hour}} })
	from := func(address string) *http.Request { return get("/h5/about", with("X-Real-IP", address)) }
	s.send(t, from("203.0.113.7")).wantStatus(t, http.StatusOK)
	s.send(t, from("203.0.113.7")).want(t, apperr.TooManyRequests)
	s.send(t, from("203.0.113.8")).wantStatus(t, http.StatusOK)
	s.send(t, from("2001:db8::1")).wantStatus(t, http.StatusOK)
	s.send(t, from("2001:db8::2")).want(t, apperr.TooManyRequests) // the same subscriber
	s.send(t, from("2001:db8:0:1::1")).wantStatus(t, http.StatusOK)
	s.send(t, get("/healthz")).want(t, apperr.OK).wantHeader(t, "RateLimit-Limit", "")
}

// TestLimitOfStrangers ignores what a client says of its own address.
func TestLimitOfStrangers(t *testing.T) {
	s := newServer(t, "", func(s *setup) { s.api.Limits = limit.Limits{limit.Read: {Count: 1, Period: hour}} })
	s.send(t, get("/h5/about", with("X-Real-IP", "203.0.113.7"))).wantStatus(t, http.StatusOK)
	s.send(t, get("/h5/about", with("X-Forwarded-For", "203.0.113.8"))).want(t, apperr.TooManyRequests)
}

// TestEveryOperationHasALimit leaves out only what load balancers and tools ask for, and what says nothing new.
func TestEveryOperationHasALimit(t *testing.T) {
	unlimited := []string{"describeUploadSessions", "getContractYaml", "getContractJson", "getHealth", "getReadiness"}
	classes := limit.Defaults()
	for pattern, spec := range operations {
		class, _ := spec.Extensions["x-limit"].(string)
		if _, known := classes[class]; known == slices.Contains(unlimited, spec.OperationID) {
			t.Errorf("%s has the limit %q", pattern, class)
		}
		if slices.Contains(errorCodes(spec), apperr.TooManyRequests) != (class != "") {
			t.Errorf("%s has the limit %q, but its codes are %v", pattern, class, errorCodes(spec))
		}
	}
}

// TestBodiesOfEveryOperation sends what no operation takes: another type, and too much.
func TestBodiesOfEveryOperation(t *testing.T) {
	s := newServer(t, "", inDevelopment)
	u := s.newUser(t)
	for id, request := range s.declaring(t, u, apperr.UnsupportedMediaType) {
		t.Run(id, func(t *testing.T) {
			r := request()
			r.Header.Set("Content-Type", "application/xml")
			s.send(t, r).want(t, apperr.UnsupportedMediaType)
		})
	}
	for id, request := range s.declaring(t, u, apperr.BodyTooLarge) {
		t.Run(id, func(t *testing.T) {
			template := request()
			r := post(template.URL.Path, template.Header.Get("Content-Type"), strings.Repeat(" ", maxBodyBytes)+"{}")
			r.Method, r.Header = template.Method, template.Header
			s.send(t, r).want(t, apperr.BodyTooLarge)
		})
	}
}

// TestEveryOperationOnOneConnection has a pool of one: a transaction that asked it for a second connection
// would wait for itself, as some at once would do with any pool.
func TestEveryOperationOnOneConnection(t *testing.T) {
	url := dbtest.MySQL(t)
	s := newServer(t, url, inDevelopment, withOneConnection(t, url))
	good := s.goodRequests(t, s.newUser(t))
	for id := range good {
		t.Run(id, func(t *testing.T) {
			u := s.newUser(t)
			s.clock.advance(time.Minute) // nobody remembers the user, nor a code that was sent
			r := s.goodRequests(t, u)[id]()
			r.Header.Set("Idempotency-Key", uuid.NewString())
			if a := s.send(t, r); a.code != apperr.OK && a.code != apperr.AlreadyRegistered && !isOfS3(id) {
				t.Errorf("answer is %d with code %d:\n%s", a.status, a.code, a.body)
			}
		})
	}
}

func withOneConnection(t testing.TB, url string) func(*setup) {
	return func(s *setup) {
		single, err := database.Open(t.Context(), database.Options{URL: url, Connections: 1, Logger: s.sessions.Logger})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { single.Close() })
		s.sessions.Database, s.accounts.Database, s.codes.Database = single, single, single
		s.images.Database, s.uploads.Database = single, single
	}
}

// TestStrangersAreToldToLogIn sends every request without what says who is calling.
func TestStrangersAreToldToLogIn(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		for id, request := range s.declaring(t, s.newUser(t), apperr.NotLoggedIn) {
			t.Run(id, func(t *testing.T) {
				r := request()
				r.Header.Set("Authorization", "Bearer "+marker)
				s.send(t, r).want(t, apperr.NotLoggedIn)
			})
		}
	})
}
