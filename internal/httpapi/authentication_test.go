package httpapi

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/session"
)

func TestAuthorizationHeaders(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		header, rest, _ := strings.Cut(u.token, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		tests := []struct {
			name, header string
			wantCode     apperr.Code
		}{
			{"right", "Bearer " + u.token, apperr.OK},
			{"lower case", "bearer " + u.token, apperr.OK},
			{"more spaces", "Bearer   " + u.token, apperr.OK},
			{"missing", "", apperr.NotLoggedIn},
			{"scheme only", "Bearer", apperr.NotLoggedIn},
			{"token only", u.token, apperr.NotLoggedIn},
			{"another scheme", "Basic " + u.token, apperr.NotLoggedIn},
			{"garbage", "Bearer " + marker, apperr.NotLoggedIn},
			{"dots", "Bearer ..", apperr.NotLoggedIn},
			{"no signature", "Bearer " + header + "." + payload + ".", apperr.NotLoggedIn},
			{"signature of another token", "Bearer " + header + "." + payload + "." + strings.Repeat("A", len(signature)), apperr.NotLoggedIn},
			{"cut off", "Bearer " + u.token[:len(u.token)-1], apperr.NotLoggedIn},
			{"huge", "Bearer " + strings.Repeat("a", 8000), apperr.NotLoggedIn},
			{"two tokens", "Bearer " + u.token + " " + u.token, apperr.NotLoggedIn},
			{"alg none", "Bearer " + forged(t, u, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), apperr.NotLoggedIn},
			{"alg HS256", "Bearer " + forged(t, u, jwt.SigningMethodHS256, []byte("")), apperr.NotLoggedIn},
			{"key of another server", "Bearer " + s.foreignToken(t, u), apperr.NotLoggedIn},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s.send(t, get("/users/me", with("Authorization", test.header))).want(t, test.wantCode)
				s.send(t, newRequest(http.MethodPost, "/h5/ticket", "", nil, with("Authorization", test.header))).want(t, test.wantCode)
				if test.wantCode != apperr.OK {
					s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, with("Authorization", test.header))).want(t, test.wantCode)
				}
			})
		}
		s.wantNoPictures(t)
	})
}

// forged returns a token that says the right things, and the key id of the right one.
func forged(t testing.TB, u user, method jwt.SigningMethod, key any) string {
	t.Helper()
	var claims jwt.MapClaims
	right, _, err := jwt.NewParser().ParseUnverified(u.token, &claims)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = right.Header["kid"]
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// foreignToken returns a token for the same user from a server with another database.
func (s *testServer) foreignToken(t testing.TB, u user) string {
	t.Helper()
	foreign, err := session.New(t.Context(), session.Options{
		Database: dbtest.Open(t, ""), Now: s.clock.Now, SealKey: bytes.Repeat([]byte{9}, 32), CookieKey: make([]byte, 32), TicketKey: make([]byte, 32), RefreshKey: make([]byte, 32), AccessTokenLifetime: time.Hour, SigningKeyLifetime: 90 * day,
	})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := foreign.AccessToken(session.Session{ID: u.id, UserID: u.id, ExpiresAt: s.clock.Now().Add(hour)})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAccessTokenExpires(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		for _, test := range []struct {
			later    time.Duration
			wantCode apperr.Code
		}{{0, apperr.OK}, {14 * time.Minute, apperr.OK}, {time.Minute, apperr.NotLoggedIn}, {time.Hour, apperr.NotLoggedIn}} {
			s.clock.advance(test.later)
			s.send(t, get("/users/me", bearer(u.token))).want(t, test.wantCode)
		}
	})
}

func TestTokenOfDeletedUser(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		gone, other := s.newUser(t), s.newUser(t)
		cookieOfGone, cookieOfOther := cookie(s.newCookie(t, gone)), cookie(s.newCookie(t, other))
		s.deleteUser(t, gone)
		s.send(t, get("/users/me", bearer(gone.token))).want(t, apperr.NotLoggedIn)
		s.send(t, get(homePath, cookieOfGone)).wantRedirect(t, loginPath)
		s.send(t, get(gone.homePath, cookieOfOther)).wantRedirect(t, loginPath)
		s.send(t, get(other.homePath, cookieOfGone)).wantStatus(t, http.StatusSeeOther)
	})
}

func (s *testServer) deleteUser(t testing.TB, u user) {
	t.Helper()
	s.exec(t, "DELETE FROM users WHERE id = ?", u.id)
	s.clock.advance(time.Second) // for which a user is remembered
}

func TestForgedCookies(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, other := s.newUser(t), s.newUser(t)
		right, othersCookie := s.newCookie(t, u), s.newCookie(t, other)
		id, signature, _ := strings.Cut(right, ".")
		othersID, _, _ := strings.Cut(othersCookie, ".")
		for name, value := range map[string]string{
			"empty": "", "id only": id, "no signature": id + ".", "no id": "." + signature, "another's id": othersID + "." + signature,
			"signed with nothing": id + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
			"cut off":             right[:len(right)-2], "garbage": marker, "two signatures": right + "." + signature,
			"huge": strings.Repeat("a.", 4000), "access token": u.token, "user id": u.id + "." + signature,
		} {
			t.Run(name, func(t *testing.T) {
				s.send(t, get(homePath, cookie(value))).wantRedirect(t, loginPath)
				s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, cookie(value))).want(t, apperr.NotLoggedIn)
			})
		}
		s.send(t, get("/users/me", cookie(right))).want(t, apperr.NotLoggedIn) // takes tokens only
		s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, cookie(right))).want(t, apperr.OK)
		s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, cookie(right), bearer(marker))).want(t, apperr.NotLoggedIn)
		s.clock.advance(31 * day)
		s.send(t, get(homePath, cookie(right))).wantRedirect(t, loginPath)
		s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, cookie(right))).want(t, apperr.NotLoggedIn)
	})
}

func TestOtherSitesDoNothingWithOurCookie(t *testing.T) {
	s := newServer(t, "", func(s *setup) { s.api.PublicURL = "https://app.example.com" })
	u := s.newUser(t)
	ours := cookie(s.newCookie(t, u))
	tests := []struct {
		name   string
		change change
		want   apperr.Code
	}{
		{"no browser", func(*http.Request) {}, apperr.OK},
		{"same origin", with("Sec-Fetch-Site", "same-origin"), apperr.OK},
		{"typed in", with("Sec-Fetch-Site", "none"), apperr.OK},
		{"same site", with("Sec-Fetch-Site", "same-site"), apperr.CrossOrigin},
		{"cross site", with("Sec-Fetch-Site", "cross-site"), apperr.CrossOrigin},
		{"garbage", with("Sec-Fetch-Site", marker), apperr.CrossOrigin},
		{"old browser, our origin", with("Origin", s.base.String()), apperr.OK},
		{"old browser, the public URL", with("Origin", "https://app.example.com"), apperr.OK},
		{"old browser, another origin", with("Origin", "https://evil.example.com"), apperr.CrossOrigin},
		{"old browser, another port", with("Origin", "http://127.0.0.1:1"), apperr.CrossOrigin},
		{"old browser, opaque origin", with("Origin", "null"), apperr.CrossOrigin},
	}
	pictures := 0
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := []file{{"a.png", tinyPNG(t)}}
			s.send(t, uploadOf(files, ours, test.change)).want(t, test.want)
			s.send(t, uploadOf(files, bearer(u.token), test.change)).want(t, apperr.OK) // a token shows intent
			pictures++
			if test.want == apperr.OK {
				pictures++
			}
			login := []string{"phone", u.phone, "password", password}
			ticket := []string{"ticket", s.ticketOf(t, u)}
			loggedIn, switched := s.send(t, postForm(loginPath, login, test.change)), s.send(t, postForm("/h5/session", ticket, test.change))
			if test.want == apperr.OK {
				loggedIn.wantRedirect(t, homePath)
				switched.wantRedirect(t, homePath)
				return
			}
			loggedIn.want(t, test.want)
			switched.want(t, test.want)
			s.send(t, postForm(loginPath, login, test.change, browser)).wantStatus(t, http.StatusForbidden).wantText(t, "拒绝跨站请求")
			s.send(t, postForm("/h5/session", ticket, test.change, browser)).wantStatus(t, http.StatusForbidden)
			s.send(t, postForm("/h5/session", ticket)).wantRedirect(t, homePath) // the refusals did not use it up
		})
	}
	if rows := s.count(t, "images"); rows != pictures {
		t.Errorf("%d pictures are kept, want %d", rows, pictures)
	}
}

// ticketOf returns a fresh ticket of a user.
func (s *testServer) ticketOf(t testing.TB, u user) string {
	t.Helper()
	made := decoded[api.HomeTicketResult](t, s.send(t, newRequest(http.MethodPost, "/h5/ticket", "", nil, bearer(u.token))))
	_, ticket, _ := strings.Cut(made.Data.Msg.HomeURL, "ticket=")
	return ticket
}
