package httpapi

import (
	"net/http"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

// passwordRequests are all the ways to try a password of a user.
func passwordRequests(u user, password string) map[string]*http.Request {
	confirmed := map[string]any{"password": password}
	return map[string]*http.Request{
		"loginUser":         credentials(u.phone, password),
		"loginForHomePage":  get("/users/login?phone=" + u.phone + "&password=" + password),
		"submitLoginPage":   postForm(loginPath, []string{"phone", u.phone, "password", password}),
		"changePassword":    postJSON("/users/password", map[string]any{"oldPassword": password, "newPassword": newPassword}, bearer(u.token)),
		"deleteCurrentUser": postJSON("/users/me/deletion", confirmed, bearer(u.token)),
		"exportCurrentUser": postJSON("/users/me/export", confirmed, bearer(u.token)),
	}
}

// TestGuessing slows down who guesses passwords, whichever door is tried, and locks nobody out.
func TestGuessing(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, inDevelopment)
		u := s.newUser(t)
		var last answer
		for range 20 {
			if last = s.send(t, credentials(u.phone, marker+"12")); last.code == apperr.TooManyFailures {
				break
			}
		}
		last.want(t, apperr.TooManyFailures)
		if last.header.Get("Retry-After") == "" {
			t.Error("there is no Retry-After")
		}
		other := s.secondNode(t)
		for id, r := range passwordRequests(u, marker+"12") {
			t.Run(id, func(t *testing.T) { other.send(t, r).want(t, apperr.TooManyFailures) })
		}
		s.send(t, credentials(u.phone, password)).want(t, apperr.TooManyFailures) // a right guess tells nothing
		s.send(t, codeLogin(u.phone, code)).want(t, apperr.OK)                    // a right code always gets in
		s.send(t, credentials(u.phone, password)).want(t, apperr.OK)
	})
}

func TestGuessingCanBeWaitedOut(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		for range 8 {
			s.send(t, credentials(u.phone, marker+"12"))
		}
		s.clock.advance(time.Hour)
		s.send(t, credentials(u.phone, password)).want(t, apperr.OK)
	})
}

// TestGuessingUnknownPhones answers them like known ones.
func TestGuessingUnknownPhones(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, func(s *setup) { s.accounts.HideRegistered = true })
		known := s.newUser(t).phone
		for i := range 12 {
			a, b := s.send(t, credentials(known, marker+"12")), s.send(t, credentials("18866668888", marker+"12"))
			if a.code != b.code || string(a.body) != string(b.body) || a.header.Get("Retry-After") != b.header.Get("Retry-After") {
				t.Errorf("guess %d: %s for a registered phone, %s for another", i, a.body, b.body)
			}
		}
	})
}

func TestDisabledUser(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, inDevelopment)
		u := s.newUser(t)
		if err := s.options.Accounts.Disable(t.Context(), u.id); err != nil {
			t.Fatal(err)
		}
		s.send(t, get("/users/me", bearer(u.token))).want(t, apperr.NotLoggedIn)
		s.send(t, refresh(u.refreshToken)).want(t, apperr.InvalidRefreshToken)
		s.send(t, credentials(u.phone, marker+"12")).want(t, apperr.WrongPassword)
		for name, r := range map[string]*http.Request{
			"password": credentials(u.phone, password), "code": codeLogin(u.phone, code),
			"form":  postForm(loginPath, []string{"phone", u.phone, "password", password}),
			"URL":   get("/users/login?phone=" + u.phone + "&password=open+" + marker + "+8"),
			"reset": postJSON("/users/password/reset", map[string]any{"phone": u.phone, "code": code, "newPassword": newPassword}),
		} {
			t.Run(name, func(t *testing.T) { s.send(t, r).want(t, apperr.AccountDisabled) })
		}
		if err := s.options.Accounts.Enable(t.Context(), u.id); err != nil {
			t.Fatal(err)
		}
		s.send(t, credentials(u.phone, password)).want(t, apperr.OK)
	})
}

// TestRefreshOfAUserDisabledMeanwhile is for the one case in which a session outlives its user's right to it.
func TestRefreshOfAUserDisabledMeanwhile(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	s.exec(t, "UPDATE users SET disabled_at = created_at WHERE id = ?", u.id)
	s.clock.advance(time.Minute)
	s.send(t, refresh(u.refreshToken)).want(t, apperr.AccountDisabled)
}
