package httpapi

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

func TestTicketOpensTheHomePageOnce(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		for range 3 { // link previews look first
			s.send(t, head(u.homePath)).wantRedirect(t, homePath)
		}
		opened := s.send(t, get(u.homePath)).wantRedirect(t, homePath)
		wantCookieFlags(t, opened, false)
		ours := cookie(opened.sessionCookie())
		s.send(t, get(homePath, ours)).wantStatus(t, http.StatusOK).wantText(t, "首次到访")
		s.send(t, get(homePath, ours)).wantText(t, "<b>2</b>")
		s.send(t, get(homePath, ours, with("Accept-Language", "en"))).wantText(t, "Welcome back").wantText(t, "<b>3</b>")

		s.wantNothingOpened(t, get(u.homePath))
	})
}

func wantCookieFlags(t testing.TB, a answer, wantSecure bool) {
	t.Helper()
	cookie, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	if cookie.Name != sessionCookie || cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge < 30*86_400-10 || cookie.MaxAge > 30*86_400 ||
		!cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure != wantSecure {
		t.Errorf("the cookie is %v, want secure %t", cookie, wantSecure)
	}
}

func TestOfManyUsesOfATicketOneWins(t *testing.T) {
	const rivals = 10
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		ticket := s.ticketOf(t, s.newUser(t))
		opened := atOnce(rivals, func() bool { return s.send(t, get("/h5/home?ticket="+ticket)).sessionCookie() != "" })
		if opened[true] != 1 || opened[false] != rivals-1 {
			t.Errorf("cookies given, and how often: %v", opened)
		}
	})
}

func TestTicketsThatOpenNothing(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		for _, ticket := range []string{"", marker, strings.Repeat("A", 26), strings.Repeat("A", 10_000), "%00", "%ff", u.token} {
			s.wantNothingOpened(t, get("/h5/home?ticket="+ticket))
			s.wantNothingOpened(t, postForm("/h5/session", []string{"ticket", ticket}))
		}
		s.send(t, get("/h5/home?ticket=%zz")).wantStatus(t, http.StatusSeeOther)
		s.clock.advance(time.Minute - time.Second)
		late := s.ticketOf(t, u)
		s.send(t, get(u.homePath)).wantRedirect(t, homePath) // in its last second
		s.clock.advance(time.Minute)
		s.wantNothingOpened(t, get("/h5/home?ticket="+late))
		s.wantNothingOpened(t, postForm("/h5/session", []string{"ticket", late}))
		s.send(t, get("/h5/home?ticket=a&ticket=b")).want(t, apperr.InvalidInput)
		s.send(t, get(homePath)).wantRedirect(t, loginPath)
	})
}

// wantNothingOpened sends on to the home page, which knows who is logged in already.
func (s *testServer) wantNothingOpened(t testing.TB, r *http.Request) {
	t.Helper()
	if a := s.send(t, r).wantRedirect(t, homePath); a.sessionCookie() != "" {
		t.Errorf("%s %s opens a session", r.Method, r.URL)
	}
}

// TestHeadOfTheHomePageIsNoVisit asks as link previews do.
func TestHeadOfTheHomePageIsNoVisit(t *testing.T) {
	s := newServer(t, "", inDevelopment)
	u := s.newUser(t)
	ours := cookie(s.newCookie(t, u))
	s.send(t, head(homePath, ours)).wantStatus(t, http.StatusOK)
	byURL := "/users/login?phone=" + u.phone + "&password=open+sesame+8"
	s.send(t, head(byURL)).wantStatus(t, http.StatusMethodNotAllowed)
	s.send(t, get(homePath, ours)).wantText(t, "首次到访")
}

func TestLoginByURLFromAnotherSite(t *testing.T) {
	s := newServer(t, "", inDevelopment)
	byURL := "/users/login?phone=" + s.newUser(t).phone + "&password=open+sesame+8"
	s.send(t, get(byURL, with("Sec-Fetch-Site", "cross-site"))).want(t, apperr.CrossOrigin)
	s.send(t, get(byURL, with("Sec-Fetch-Site", "none"))).wantStatus(t, http.StatusOK)
}

func TestTicketReplacesNoSessionWithoutAClick(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		here, comes := s.newUser(t), s.newUser(t)
		ours := cookie(s.newCookie(t, here))
		for range 2 { // asking uses nothing up
			question := s.send(t, get(comes.homePath, ours)).wantStatus(t, http.StatusOK).
				wantText(t, "要切换账号吗").wantText(t, nicknameOf(here)).wantText(t, nicknameOf(comes))
			if question.sessionCookie() != "" {
				t.Error("the question has replaced the session")
			}
		}
		_, ticket, _ := strings.Cut(comes.homePath, "ticket=")
		form := []string{"ticket", ticket}
		s.send(t, postForm("/h5/session", form, ours, with("Origin", "https://evil.example.com"))).want(t, apperr.CrossOrigin)
		s.send(t, get(homePath, ours)).wantText(t, nicknameOf(here))

		switched := s.send(t, postForm("/h5/session", form, ours, with("Sec-Fetch-Site", "same-origin"))).wantRedirect(t, homePath)
		s.send(t, get(homePath, cookie(switched.sessionCookie()))).wantText(t, nicknameOf(comes))
		s.wantNothingOpened(t, postForm("/h5/session", form, ours)) // used up

		own := s.send(t, get("/h5/home?ticket="+s.ticketOf(t, here), ours)).wantRedirect(t, homePath) // nobody is replaced
		s.send(t, get(homePath, cookie(own.sessionCookie()))).wantText(t, nicknameOf(here))
	})
}

func nicknameOf(u user) string { return "用户" + u.phone[len(u.phone)-4:] }

func TestSwitchSessionForms(t *testing.T) {
	s := newServer(t, "")
	for _, form := range [][]string{{}, {"x", "y"}} {
		s.send(t, postForm("/h5/session", form)).want(t, apperr.InvalidInput)
		s.send(t, postForm("/h5/session", form, browser)).wantStatus(t, http.StatusBadRequest).wantText(t, "<html")
	}
}

func TestLoginPage(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		s.send(t, get(homePath)).wantRedirect(t, loginPath)
		s.send(t, get(loginPath)).wantStatus(t, http.StatusOK).wantText(t, `action="/h5/login"`)
		s.send(t, get(loginPath, with("Accept-Language", "en"))).wantText(t, `lang="en"`)
		s.send(t, get("/h5/about")).wantStatus(t, http.StatusOK)

		opened := s.send(t, postForm(loginPath, []string{"phone", u.phone, "password", password}, browser)).wantRedirect(t, homePath)
		wantCookieFlags(t, opened, false)
		s.send(t, get(homePath, cookie(opened.sessionCookie()), browser)).wantText(t, nicknameOf(u))

		for _, test := range []struct {
			name, phone, password string
			wantCode              apperr.Code
		}{
			{"wrong password", u.phone, password + "!", apperr.WrongPassword},
			{"not registered", "18866668888", password, apperr.NotRegistered},
			{"password too short", u.phone, marker + "1", apperr.InvalidInput},
			{"no phone number", marker, password, apperr.InvalidInput},
			{"no phone number that can be", "12345678", password, apperr.InvalidInput},
			{"nothing", "", "", apperr.InvalidInput},
		} {
			t.Run(test.name, func(t *testing.T) {
				form := []string{"phone", test.phone, "password", test.password}
				s.send(t, postForm(loginPath, form)).want(t, test.wantCode)
				page := s.send(t, postForm(loginPath, form, browser)).wantStatus(t, test.wantCode.Status()).
					wantText(t, `action="/h5/login"`).wantText(t, test.wantCode.Text().Chinese)
				if strings.Contains(string(page.body), marker) {
					t.Error("the form shows what was sent")
				}
			})
		}
	})
}

func TestHTTPSIsSecure(t *testing.T) {
	for _, test := range []struct {
		name       string
		trusted    string
		headers    map[string]string
		wantSecure bool
	}{
		{"plain", "", nil, false},
		{"anybody says https", "", map[string]string{"X-Forwarded-Proto": "https", "X-Scheme": "https"}, false},
		{"a stranger says https", "10.0.0.0/8", map[string]string{"X-Forwarded-Proto": "https"}, false},
		{"our proxy says https", "127.0.0.0/8", map[string]string{"X-Forwarded-Proto": "https"}, true},
		{"our proxy says https in its own way", "127.0.0.0/8", map[string]string{"X-Scheme": "https"}, true},
		{"our proxy says http", "127.0.0.0/8", map[string]string{"X-Forwarded-Proto": "http", "X-Scheme": "https"}, false},
		{"our proxy says nonsense", "127.0.0.0/8", map[string]string{"X-Forwarded-Proto": marker}, false},
		{"our proxy says nothing", "127.0.0.0/8", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, "", func(s *setup) {
				s.api.HSTS = 24 * time.Hour
				if test.trusted != "" {
					s.api.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.trusted)}
				}
			})
			u := s.newUser(t)
			var changes []change
			for key, value := range test.headers {
				changes = append(changes, with(key, value))
			}
			wantCookieFlags(t, s.send(t, get(u.homePath, changes...)), test.wantSecure)
			wantCookieFlags(t, s.send(t, postForm(loginPath, []string{"phone", u.phone, "password", password}, changes...)), test.wantSecure)
			wantScheme := map[bool]string{false: "http://", true: "https://"}[test.wantSecure]
			login := s.send(t, postJSON("/users/login", map[string]any{"phone": u.phone, "password": password}, changes...))
			login.wantText(t, `"homeUrl":"`+wantScheme)
			wantHSTS := map[bool]string{true: "max-age=86400"}[test.wantSecure]
			login.wantHeader(t, "Strict-Transport-Security", wantHSTS)
		})
	}
}

func TestCookieIsSecureBehindAPublicHTTPSAddress(t *testing.T) {
	s := newServer(t, "", func(s *setup) { s.api.PublicURL = "https://app.example.com" })
	wantCookieFlags(t, s.send(t, get(s.newUser(t).homePath)), true)
}

func TestPagesAreNotKeptAndRunNothingForeign(t *testing.T) {
	s := newServer(t, "", inDevelopment)
	ours := cookie(s.newCookie(t, s.newUser(t)))
	for _, path := range []string{homePath, loginPath, "/h5/about", "/docs/", "/h5/nowhere"} {
		page := s.send(t, get(path, ours, browser)).wantHeader(t, "Cache-Control", "no-store").wantHeader(t, "Content-Type", "text/html; charset=utf-8")
		if policy := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") {
			t.Errorf("%s has the policy %q", path, policy)
		}
	}
	s.send(t, get("/")).wantRedirect(t, homePath)
	s.send(t, get("/docs")).wantRedirect(t, "/docs/")
}
