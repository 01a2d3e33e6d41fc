package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

func TestRegister(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		tests := []struct {
			name     string
			request  *http.Request
			wantCode apperr.Code
		}{
			{"wrong code", postJSON("/users/regist", map[string]any{"phone": "18866668888", "password": password, "code": "000000"}), apperr.WrongCode},
			{"json", registration("18866668888"), apperr.OK},
			{"again", registration("18866668888"), apperr.AlreadyRegistered},
			{"again in E.164", registration("+8618866668888"), apperr.AlreadyRegistered},
			{"again with hyphens and spaces", registration("+86 188-6666 8888"), apperr.AlreadyRegistered},
			{"again as a form", postForm("/users/regist", []string{"phone", "188 6666 8888", "password", password, "code", code}), apperr.AlreadyRegistered},
			{"wrong code of a registered phone", postJSON("/users/regist", map[string]any{"phone": "18866668888", "password": password, "code": "000000"}), apperr.WrongCode},
			{"form", postForm("/users/regist", []string{"phone", "18866668889", "password", password, "code", code}), apperr.OK},
			{"abroad", registration("+14155552671"), apperr.OK},
			{"no phone number that can be", registration("12345678"), apperr.InvalidInput},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { s.send(t, test.request).want(t, test.wantCode) })
		}
		if users := s.count(t, "users"); users != 3 {
			t.Errorf("%d users are registered, want 3", users)
		}
	})
}

func TestRegisterOnePhoneAtTheSameInstant(t *testing.T) {
	const phones, rivals = 8, 6
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		for i := range phones {
			codes := atOnce(rivals, func() apperr.Code {
				return s.send(t, registration(fmt.Sprintf("1390013%04d", i))).code
			})
			if codes[apperr.OK] != 1 || codes[apperr.AlreadyRegistered] != rivals-1 {
				t.Errorf("the codes and how often each was answered: %v", codes)
			}
		}
		if users := s.count(t, "users"); users != phones {
			t.Errorf("%d users are registered, want %d", users, phones)
		}
	})
}

// atOnce calls a function several times at the same instant, and counts what comes back.
func atOnce[T comparable](times int, call func() T) map[T]int {
	var mu sync.Mutex
	counts := map[T]int{}
	var ready, done sync.WaitGroup
	ready.Add(times)
	for range times {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			got := call()
			mu.Lock()
			defer mu.Unlock()
			counts[got]++
		})
	}
	done.Wait()
	return counts
}

func TestLogin(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		s.send(t, registration("18866668888")).want(t, apperr.OK)
		tests := []struct {
			name     string
			request  *http.Request
			wantCode apperr.Code
		}{
			{"json", credentials("18866668888", password), apperr.OK},
			{"another way to write the phone", credentials("+86 (188) 6666-8888", password), apperr.OK},
			{"form", postForm("/users/login", []string{"phone", "18866668888", "password", password}), apperr.OK},
			{"wrong password", credentials("18866668888", password+"!"), apperr.WrongPassword},
			{"upper case", credentials("18866668888", strings.ToUpper(password)), apperr.WrongPassword},
			{"not registered", credentials("18866668880", password), apperr.NotRegistered},
			{"no phone number that can be", credentials("12345678", password), apperr.InvalidInput},
			{"query does not count", postForm("/users/login?password=wrong+password", []string{"phone", "18866668888", "password", password}), apperr.OK},
			{"query does not fill in", postForm("/users/login?password=right+password", []string{"phone", "18866668888"}), apperr.InvalidInput},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { s.send(t, test.request).want(t, test.wantCode) })
		}
	})
}

func TestLoginGivesTokenAndHomeURL(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		s.send(t, registration("18866668888")).want(t, apperr.OK)
		login := decoded[api.LoginResult](t, s.send(t, credentials("18866668888", password))).Data.Msg
		if login.ExpiresIn != 900 || login.User.Phone != "+8618866668888" || login.User.Nickname != "用户8888" || login.User.LastLoginAt == nil {
			t.Errorf("login is %+v", login)
		}
		if want := s.base.String() + "/h5/home?ticket="; !strings.HasPrefix(login.HomeURL, want) {
			t.Errorf("the home URL is %s, want it to begin with %s", login.HomeURL, want)
		}
		me := decoded[api.UserResult](t, s.send(t, get("/users/me", bearer(login.AccessToken)))).Data.Msg
		if me.ID != login.User.ID || !me.CreatedAt.Equal(login.User.CreatedAt) || !me.LastLoginAt.Equal(*login.User.LastLoginAt) {
			t.Errorf("me is %+v, but login said %+v", me, login.User)
		}
	})
}

func TestLoginForHomePage(t *testing.T) {
	const path = "/users/login?phone=18866668888&password="
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, inDevelopment)
		s.send(t, registration("18866668888")).want(t, apperr.OK)
		page := s.send(t, get(path+"open+sesame+8")).wantStatus(t, http.StatusOK).wantText(t, "MY DEMO H5")
		s.send(t, get(homePath, cookie(page.sessionCookie()))).wantText(t, "<b>2</b>")
		for query, want := range map[string]apperr.Code{
			"": apperr.InvalidInput, "?phone=18866668888": apperr.InvalidInput, "?password=" + marker + "12": apperr.InvalidInput,
			"?phone=18866668888&password=":                               apperr.InvalidInput,
			"?phone=" + marker + "&password=" + marker + "12":            apperr.InvalidInput,
			"?phone=18866668888&phone=1&password=" + marker + "12":       apperr.InvalidInput,
			"?phone=18866668880&password=" + marker + "12":               apperr.NotRegistered,
			"?phone=18866668888&password=" + marker + "12":               apperr.WrongPassword,
			"?phone=18866668888&password=" + strings.Repeat(marker, 100): apperr.InvalidInput,
			"?phone=18866668888&password=%zz" + marker:                   apperr.InvalidInput,
		} {
			t.Run(query, func(t *testing.T) {
				s.send(t, get("/users/login"+query)).want(t, want)
				s.send(t, get("/users/login"+query, browser)).want(t, want) // the envelope for browsers, too
			})
		}
	})
}

func TestProductionHidesLoginByURL(t *testing.T) {
	s := newServer(t, "")
	for _, query := range []string{"", "?phone=18866668888&password=demo123456"} {
		s.send(t, get("/users/login"+query)).want(t, apperr.MethodNotAllowed).wantHeader(t, "Allow", "POST")
		s.send(t, head("/users/login"+query)).want(t, apperr.MethodNotAllowed).wantHeader(t, "Allow", "POST")
	}
}
