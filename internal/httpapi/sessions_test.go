package httpapi

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/session"
)

func TestRefresh(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		first := s.newUser(t)
		s.clock.advance(20 * time.Minute)
		s.send(t, get("/users/me", bearer(first.token))).want(t, apperr.NotLoggedIn)
		second := userOf(t, first.phone, s.send(t, refresh(first.refreshToken)))
		if second.sessionID != first.sessionID || second.id != first.id || second.refreshToken == first.refreshToken {
			t.Errorf("from %+v came %+v", first, second)
		}
		s.send(t, get("/users/me", bearer(second.token))).want(t, apperr.OK)
		s.send(t, get(second.homePath)).wantRedirect(t, homePath)
		form := postForm("/users/token/refresh", []string{"refreshToken", second.refreshToken})
		third := userOf(t, first.phone, s.send(t, form))
		s.send(t, refresh(marker)).want(t, apperr.InvalidRefreshToken)
		s.send(t, refresh(first.refreshToken)).want(t, apperr.RefreshTokenReused)
		s.send(t, get("/users/me", bearer(third.token))).want(t, apperr.NotLoggedIn) // the thief and the user are out
		s.send(t, refresh(third.refreshToken)).want(t, apperr.InvalidRefreshToken)
	})
}

func TestRefreshWhoseAnswerWasLost(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		lost := userOf(t, u.phone, s.send(t, refresh(u.refreshToken)))
		s.clock.advance(29 * time.Second)
		again := userOf(t, u.phone, s.send(t, refresh(u.refreshToken)))
		if again.refreshToken != lost.refreshToken {
			t.Error("the session has forked")
		}
		s.clock.advance(2 * time.Second)
		s.send(t, refresh(u.refreshToken)).want(t, apperr.RefreshTokenReused)
	})
}

// TestRefreshAtTheSameInstant gives 100 requests with one token the same next one.
func TestRefreshAtTheSameInstant(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		tokens := atOnce(100, func() string {
			return decoded[api.LoginResult](t, s.send(t, refresh(u.refreshToken))).Data.Msg.RefreshToken
		})
		if len(tokens) != 1 || s.count(t, "sessions") != 1 {
			t.Errorf("%d tokens and %d sessions, want one of each", len(tokens), s.count(t, "sessions"))
		}
	})
}

func TestRefreshTokenExpires(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		idle, busy := s.newUser(t), s.newUser(t)
		for range 9 {
			s.clock.advance(20 * day)
			a := s.send(t, refresh(busy.refreshToken))
			if a.code == apperr.OK {
				busy = userOf(t, busy.phone, a)
			}
		}
		s.send(t, refresh(idle.refreshToken)).want(t, apperr.InvalidRefreshToken)
		s.send(t, refresh(busy.refreshToken)).want(t, apperr.InvalidRefreshToken) // 180 days are over
		s.send(t, credentials(idle.phone, password)).want(t, apperr.OK)
	})
}

func TestLogout(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		other := s.login(t, u.phone)
		browserCookie := cookie(s.newCookie(t, u))
		s.send(t, post("/users/logout", "", "", bearer(u.token))).want(t, apperr.OK)
		s.send(t, get("/users/me", bearer(u.token))).want(t, apperr.NotLoggedIn)
		s.send(t, refresh(u.refreshToken)).want(t, apperr.InvalidRefreshToken)
		s.send(t, get(homePath, browserCookie)).wantRedirect(t, loginPath)
		s.send(t, get(u.homePath)).wantRedirect(t, homePath) // the ticket of an ended session opens nothing
		s.send(t, get("/users/me", bearer(other.token))).want(t, apperr.OK)
	})
}

func TestLogoutOfAPage(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		ours := cookie(s.newCookie(t, u))
		s.send(t, postForm("/h5/logout", nil, ours, with("Sec-Fetch-Site", "cross-site"))).want(t, apperr.CrossOrigin)
		s.send(t, get(homePath, ours)).wantStatus(t, http.StatusOK)
		a := s.send(t, postForm("/h5/logout", nil, ours)).wantRedirect(t, loginPath)
		if cookies := (&http.Response{Header: a.header}).Cookies(); len(cookies) != 1 || cookies[0].MaxAge >= 0 || cookies[0].Name != sessionCookie {
			t.Errorf("the cookie stays: %v", cookies)
		}
		s.send(t, get(homePath, ours)).wantRedirect(t, loginPath)
		s.send(t, postForm("/h5/logout", nil)).wantRedirect(t, loginPath)
	})
}

func TestSessionsOfAUser(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, behindProxy)
		phone, stranger := s.newUser(t), s.newUser(t)
		s.clock.advance(time.Minute)
		named := postJSON("/users/login", map[string]any{"phone": phone.phone, "password": password, "device": "小明的平板"},
			with("X-Real-IP", "203.0.113.7"), with("User-Agent", "tablet"))
		tablet := userOf(t, phone.phone, s.send(t, named))
		list := s.sessionsOf(t, tablet)
		if len(list) != 2 || list[0].ID.String() != tablet.sessionID || !list[0].Current || list[1].Current ||
			list[0].Device != "小明的平板" || list[0].Address != "203.0.113.7" || list[1].Device == "" {
			t.Errorf("sessions are %+v", list)
		}
		end := func(id string, by user) answer {
			return s.send(t, newRequest(http.MethodDelete, "/users/sessions/"+id, "", nil, bearer(by.token)))
		}
		end(tablet.sessionID, stranger).want(t, apperr.SessionNotFound)
		end(uuid.NewString(), tablet).want(t, apperr.SessionNotFound)
		end(marker, tablet).want(t, apperr.InvalidInput)
		end(phone.sessionID, tablet).want(t, apperr.OK)
		s.send(t, get("/users/me", bearer(phone.token))).want(t, apperr.NotLoggedIn)
		third, fourth := s.login(t, phone.phone), s.login(t, phone.phone)
		s.send(t, newRequest(http.MethodDelete, "/users/sessions", "", nil, bearer(fourth.token))).want(t, apperr.OK)
		for _, ended := range []user{tablet, third} {
			s.send(t, get("/users/me", bearer(ended.token))).want(t, apperr.NotLoggedIn)
		}
		if list := s.sessionsOf(t, fourth); len(list) != 1 || !list[0].Current {
			t.Errorf("sessions are %+v", list)
		}
		end(fourth.sessionID, fourth).want(t, apperr.OK)
		s.send(t, get("/users/me", bearer(fourth.token))).want(t, apperr.NotLoggedIn)
		s.send(t, get("/users/me", bearer(stranger.token))).want(t, apperr.OK)
	})
}

func (s *testServer) sessionsOf(t testing.TB, u user) []api.UserSession {
	t.Helper()
	return decoded[api.SessionsResult](t, s.send(t, get("/users/sessions", bearer(u.token)))).Data.Msg.Sessions
}

// TestKeySet checks an access token with nothing but the published keys, as another service would.
func TestKeySet(t *testing.T) {
	for algorithm, kind := range map[session.Algorithm]string{"EdDSA": "OKP", "ES256": "EC"} {
		t.Run(string(algorithm), func(t *testing.T) {
			s := newServer(t, "", func(s *setup) { s.sessions.Algorithm = algorithm })
			u := s.newUser(t)
			a := s.send(t, get("/.well-known/jwks.json")).wantStatus(t, http.StatusOK).wantHeader(t, "Cache-Control", "public, max-age=600")
			key := publicKeyOf(t, a.body)
			if key.kind != kind {
				t.Errorf("the key is of kind %s, want %s", key.kind, kind)
			}
			token, err := jwt.Parse(u.token, func(*jwt.Token) (any, error) { return key.public, nil }, jwt.WithValidMethods([]string{string(algorithm)}))
			if err != nil || token.Header["kid"] != key.id {
				t.Errorf("the token %v is not that of key %s: %v", token, key.id, err)
			}
			if subject, err := token.Claims.GetSubject(); subject != u.id || err != nil {
				t.Errorf("the token is %s's, want %s", subject, u.id)
			}
		})
	}
}

// TestEndingsReachOtherNodes ends sessions on one server and asks another, which shares the database.
func TestEndingsReachOtherNodes(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		other := s.secondNode(t)
		u := s.newUser(t)
		other.send(t, get("/users/me", bearer(u.token))).want(t, apperr.OK)
		s.send(t, post("/users/logout", "", "", bearer(u.token))).want(t, apperr.OK)
		other.send(t, get("/users/me", bearer(u.token))).want(t, apperr.NotLoggedIn)
		other.send(t, refresh(u.refreshToken)).want(t, apperr.InvalidRefreshToken)
	})
}

// publishedKey is a key as another service reads it.
type publishedKey struct {
	id, kind string
	public   any
}

func publicKeyOf(t testing.TB, keySet []byte) publishedKey {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, Kty, Crv, Use, X, Y string }
	}
	if err := json.Unmarshal(keySet, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("the key set is %s: %v", keySet, err)
	}
	key := set.Keys[0]
	x, err := base64.RawURLEncoding.DecodeString(key.X)
	if err != nil || key.Use != "sig" {
		t.Fatalf("the key is %+v: %v", key, err)
	}
	if key.Crv == "Ed25519" {
		return publishedKey{key.Kid, key.Kty, ed25519.PublicKey(x)}
	}
	y, err := base64.RawURLEncoding.DecodeString(key.Y)
	if err != nil {
		t.Fatal(err)
	}
	point := slices.Concat([]byte{4}, x, y) // uncompressed, as SEC 1 writes it
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatalf("the key is no point of P-256: %v", err)
	}
	return publishedKey{key.Kid, key.Kty, public}
}
