package httpapi

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

func idempotencyKey(key string) change { return with("Idempotency-Key", key) }

// TestRepeatedRequests sends each request twice with the same key, the second time to another node.
func TestRepeatedRequests(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		other := s.secondNode(t)
		for name, request := range map[string]func(...change) *http.Request{
			"register": func(c ...change) *http.Request {
				return postJSON("/users/regist", map[string]any{"phone": "18866668888", "password": password, "code": code}, c...)
			},
			"refresh": func(c ...change) *http.Request { return refresh(u.refreshToken, c...) },
			"upload": func(c ...change) *http.Request {
				return uploadOf([]file{{"a.png", tinyPNG(t)}}, append(c, bearer(u.token))...)
			},
		} {
			t.Run(name, func(t *testing.T) {
				key := idempotencyKey(uuid.NewString())
				first := s.send(t, request(key)).want(t, apperr.OK)
				s.clock.advance(time.Minute)
				for _, node := range []*testServer{s, other} {
					if again := node.send(t, request(key)).want(t, apperr.OK); string(again.body) != string(first.body) {
						t.Errorf("the first answer is %s, then %s", first.body, again.body)
					}
				}
				s.send(t, request(idempotencyKey("short"))).want(t, apperr.InvalidInput)
				s.send(t, request(idempotencyKey("no spaces here"))).want(t, apperr.InvalidInput)
			})
		}
		if users, images := s.count(t, "users"), s.count(t, "images"); users != 2 || images != 1 {
			t.Errorf("%d users and %d pictures, want 2 and 1", users, images)
		}
	})
}

// TestRepeatedAtTheSameInstant does one thing for all requests with one key.
func TestRepeatedAtTheSameInstant(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, withRealCodes)
		s.send(t, codeRequest("18866668888", "register")).want(t, apperr.OK)
		members := map[string]any{"phone": "18866668888", "password": password, "code": s.inbox.last(t, "+8618866668888")}
		key := idempotencyKey(uuid.NewString())
		codes := atOnce(4, func() apperr.Code { return s.send(t, postJSON("/users/regist", members, key)).code })
		if codes[apperr.OK] != 4 || s.count(t, "users") != 1 {
			t.Errorf("the codes and how often each was answered: %v, with %d users", codes, s.count(t, "users"))
		}
		token := bearer(s.login(t, "18866668888").token)
		uploads := atOnce(8, func() string {
			return decoded[api.UploadResult](t, s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, key, token))).Data.Msg.ImageURL[0]
		})
		if len(uploads) != 1 || s.count(t, "images") != 1 {
			t.Errorf("the pictures are %v", uploads)
		}
	})
}

func TestKeysOfOtherRequests(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		key := idempotencyKey(uuid.NewString())
		register := func(phone string) answer {
			return s.send(t, postJSON("/users/regist", map[string]any{"phone": phone, "password": password, "code": code}, key))
		}
		register("18866668888").want(t, apperr.OK)
		register("18866669999").want(t, apperr.IdempotencyKeyReused)
		one, other := s.login(t, "18866668888"), s.newUser(t)
		s.send(t, refresh(one.refreshToken, key)).want(t, apperr.OK) // a key is an operation's own
		s.send(t, refresh(other.refreshToken, key)).want(t, apperr.IdempotencyKeyReused)
		for _, u := range []user{one, other} { // and a user's
			s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, bearer(u.token), key)).want(t, apperr.OK)
		}
		if images := s.count(t, "images"); images != 2 {
			t.Errorf("%d pictures, want 2", images)
		}
		s.clock.advance(25 * time.Hour)
		register("18866669999").want(t, apperr.OK)
	})
}

// TestKeysOfNobody keeps those who upload without a login from getting each other's pictures.
func TestKeysOfNobody(t *testing.T) {
	s := newBooklet(t, "")
	key := idempotencyKey("photo-0001")
	send := func() string { return string(s.sendUnchecked(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, key)).body) }
	if first, second := send(), send(); first == second || s.count(t, "images") != 2 {
		t.Errorf("%d pictures, answered\n%s\n%s; want two of them", s.count(t, "images"), first, second)
	}
}

// TestFailuresAreNotRepeated lets a client mend its request under the same key.
func TestFailuresAreNotRepeated(t *testing.T) {
	s := newServer(t, "")
	key := idempotencyKey(uuid.NewString())
	token := bearer(s.newUser(t).token)
	s.send(t, uploadOf([]file{{"a.png", []byte("no picture")}}, token, key)).want(t, apperr.NotAnImage)
	s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, token, key)).want(t, apperr.OK)
}
