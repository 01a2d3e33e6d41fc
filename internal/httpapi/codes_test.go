package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/captcha"
	"gatehouse/internal/dbtest"
)

func TestSendCode(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, withRealCodes)
		sent := decoded[api.CodeSentResult](t, s.send(t, codeRequest("18866668888", "register"))).Data.Msg
		if sent.NextIn != 60 || sent.ExpiresIn != 300 {
			t.Errorf("sent is %+v", sent)
		}
		s.send(t, codeRequest("+86 188 6666 8888", "register")).want(t, apperr.CodeTooSoon).wantHeader(t, "Retry-After", "60")
		register := func(code string) answer {
			return s.send(t, postJSON("/users/regist", map[string]any{"phone": "18866668888", "password": password, "code": code}))
		}
		right := s.inbox.last(t, "+8618866668888")
		register(otherCode(right)).want(t, apperr.WrongCode)
		register(right).want(t, apperr.OK)
		register(right).want(t, apperr.CodeExpired)
		for name, r := range map[string]*http.Request{
			"no phone":           codeRequest("12345678", "login"),
			"no purpose":         codeRequest("18866668889", marker),
			"a form":             postForm("/users/code", []string{"phone", "18866668889"}),
			"a code for nothing": postJSON("/users/code", map[string]any{"phone": "18866668889"}),
		} {
			t.Run(name, func(t *testing.T) { s.send(t, r).want(t, apperr.InvalidInput) })
		}
		s.send(t, codeRequest("+14155552671", "register")).want(t, apperr.RegionNotServed)
	})
}

// otherCode is a code that is not the right one.
func otherCode(right string) string {
	return strings.Map(func(digit rune) rune { return '0' + (digit-'0'+1)%10 }, right)
}

// TestCodeAnswersTellNobodyWhoIsRegistered compares the answers to the same requests.
func TestCodeAnswersTellNobodyWhoIsRegistered(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		for _, purpose := range []string{"register", "login", "reset"} {
			known, unknown := s.send(t, codeRequest(u.phone, purpose)), s.send(t, codeRequest("18866668888", purpose))
			if string(known.body) != string(unknown.body) || known.status != unknown.status {
				t.Errorf("%s: %s for a registered phone, %s for another", purpose, known.body, unknown.body)
			}
		}
	})
}

func TestCodesThatNeedALogin(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		for purpose, wantForeign := range map[string]apperr.Code{
			"change-phone": apperr.OK, "delete": apperr.InvalidInput, "export": apperr.InvalidInput,
		} {
			s.send(t, codeRequest(u.phone, purpose)).want(t, apperr.NotLoggedIn)
			s.send(t, codeRequest(u.phone, purpose, bearer(marker))).want(t, apperr.NotLoggedIn)
			s.send(t, codeRequest(u.phone, purpose, bearer(u.token))).want(t, apperr.OK)
			s.send(t, codeRequest("18866668888", purpose, bearer(u.token))).want(t, wantForeign)
		}
	})
}

func TestCodeThatCannotBeSent(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, withRealCodes, func(s *setup) { s.codes.Budgets.Phone = 1 })
		s.inbox.fail(errors.New("the provider is away"))
		for range 3 { // neither the minute nor the budget is used up
			a := s.send(t, codeRequest("18866668888", "login")).want(t, apperr.SendingFailed)
			if a.header.Get("Retry-After") == "" {
				t.Error("there is no Retry-After")
			}
		}
		s.inbox.fail(nil)
		s.send(t, codeRequest("18866668888", "login")).want(t, apperr.OK)
		s.clock.advance(time.Minute)
		s.send(t, codeRequest("18866668888", "login")).want(t, apperr.TooManyCodes)
	})
}

// puzzle is a CAPTCHA with one right answer.
type puzzle struct{}

func (puzzle) Verify(_ context.Context, response string, _ netip.Addr) error {
	if response != "seven" {
		return captcha.ErrRefused
	}
	return nil
}

func TestCaptchaOfTheSuspicious(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, func(s *setup) { s.codes.Captcha, s.codes.Budgets.Address = puzzle{}, 4 })
		s.send(t, codeRequest("18866668881", "login")).want(t, apperr.OK)
		s.send(t, codeRequest("18866668882", "login")).want(t, apperr.OK)
		s.send(t, codeRequest("18866668883", "login")).want(t, apperr.OK)
		s.send(t, codeRequest("18866668884", "login")).want(t, apperr.CaptchaRequired)
		solved := func(answer string) *http.Request {
			return postJSON("/users/code", map[string]any{"phone": "18866668884", "purpose": "login", "captcha": answer})
		}
		s.send(t, solved("six")).want(t, apperr.CaptchaRequired)
		s.send(t, solved("seven")).want(t, apperr.OK)
	})
}

func TestLoginByCode(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		again := userOf(t, u.phone, s.send(t, codeLogin(u.phone, code)))
		if again.id != u.id || again.sessionID == u.sessionID {
			t.Errorf("logged in as %+v, want user %s in another session", again, u.id)
		}
		s.send(t, codeLogin(u.phone, "000000")).want(t, apperr.WrongCode)
		s.send(t, codeLogin("18866668888", code)).want(t, apperr.NotRegistered)
		s.send(t, postJSON("/users/login", map[string]any{"phone": u.phone})).want(t, apperr.InvalidInput)
	})
}

func codeLogin(phone, code string) *http.Request {
	return postJSON("/users/login", map[string]any{"phone": phone, "code": code})
}

func TestLoginByCodeRegisters(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, func(s *setup) { s.accounts.RegisterAtLogin = true })
		login := decoded[api.LoginResult](t, s.send(t, codeLogin("18866668888", code))).Data.Msg
		if login.User.HasPassword || login.User.Phone != "+8618866668888" {
			t.Errorf("login is %+v", login)
		}
		s.send(t, credentials("18866668888", password)).want(t, apperr.WrongPassword)
	})
}

// TestPhoneOfSomebodyNew lets who got a phone number from the carrier not into the account of who had it before.
func TestPhoneOfSomebodyNew(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		before := s.newUser(t)
		s.clock.advance(181 * day)
		login := func(members map[string]any) answer {
			members["phone"] = before.phone
			return s.send(t, postJSON("/users/login", members))
		}
		login(map[string]any{"code": code}).want(t, apperr.PasswordRequired)
		s.send(t, postJSON("/users/password/reset", map[string]any{"phone": before.phone, "code": code, "newPassword": newPassword})).
			want(t, apperr.PasswordRequired)
		after := userOf(t, before.phone, login(map[string]any{"code": code, "startAfresh": true}))
		if after.id == before.id {
			t.Error("the old account was handed over")
		}
		s.send(t, credentials(before.phone, password)).want(t, apperr.WrongPassword)
	})
}

func TestAbsentUserWithBoth(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		s.clock.advance(181 * day)
		a := s.send(t, postJSON("/users/login", map[string]any{"phone": u.phone, "code": code, "password": password}))
		if again := userOf(t, u.phone, a); again.id != u.id {
			t.Errorf("logged in as %s, want %s", again.id, u.id)
		}
	})
}
