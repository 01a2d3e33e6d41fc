package session_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/session"
)

const day = 24 * time.Hour

// publicKey makes a key of a key set, as another service would.
func publicKey(t *testing.T, k session.PublicKey) crypto.PublicKey {
	t.Helper()
	decode := func(text string) []byte {
		data, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(data) != 32 {
			t.Fatalf("%q in the key set: %d bytes, %v", text, len(data), err)
		}
		return data
	}
	switch k.Type + " " + k.Curve + " " + string(k.Algorithm) {
	case "OKP Ed25519 EdDSA":
		if k.Y != "" {
			t.Errorf("key %s has a y", k.ID)
		}
		return ed25519.PublicKey(decode(k.X))
	case "EC P-256 ES256":
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, decode(k.X), decode(k.Y)))
		if err != nil {
			t.Fatal(err)
		}
		return key
	default:
		t.Fatalf("the key set has %+v", k)
		return nil
	}
}

// verifyElsewhere checks a token with a key set alone and returns the key's id.
func verifyElsewhere(t *testing.T, set []session.PublicKey, token string, at time.Time) (kid string, claims jwt.MapClaims) {
	t.Helper()
	_, err := jwt.ParseWithClaims(token, &claims, func(parsed *jwt.Token) (any, error) {
		kid, _ = parsed.Header["kid"].(string)
		for _, key := range set {
			if key.ID == kid && string(key.Algorithm) == parsed.Method.Alg() {
				return publicKey(t, key), nil
			}
		}
		return nil, jwt.ErrTokenUnverifiable
	}, jwt.WithTimeFunc(func() time.Time { return at }))
	if err != nil {
		t.Errorf("a service with the key set refuses the token: %v", err)
	}
	return kid, claims
}

func updateKeys(t *testing.T, nodes ...*session.Service) {
	t.Helper()
	for _, node := range nodes {
		if err := node.UpdateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func adoptAlgorithm(t *testing.T, s *session.Service) {
	t.Helper()
	if err := s.AdoptAlgorithm(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func algorithms(s *session.Service) []session.Algorithm {
	var all []session.Algorithm
	for _, key := range s.KeySet() {
		all = append(all, key.Algorithm)
	}
	return all
}

func TestClaims(t *testing.T) {
	c := newClock()
	o := options(dbtest.Open(t, ""), c)
	o.Issuer = "https://app.example"
	s := newService(t, o)
	opened := open(t, s)
	_, claims := verifyElsewhere(t, s.KeySet(), accessToken(t, s, opened), c.Now())
	want := jwt.MapClaims{
		"iss": "https://app.example", "sub": opened.UserID, "sid": opened.ID,
		"iat": float64(c.Now().Unix()), "exp": float64(c.Now().Add(tokenLifetime).Unix()),
	}
	for name, value := range want {
		if claims[name] != value {
			t.Errorf("%s is %v, want %v", name, claims[name], value)
		}
	}
	if len(claims) != len(want) {
		t.Errorf("claims are %v, want %v", claims, want)
	}
	o.Issuer = ""
	_, claims = verifyElsewhere(t, s.KeySet(), accessToken(t, newService(t, o), opened), c.Now())
	if _, has := claims["iss"]; has {
		t.Errorf("without an issuer, claims are %v", claims)
	}
}

// TestKeysRotate lets two nodes go through a year, with a close look at each rotation: every ten
// minutes, each accepts what the other has signed until it expires, and so does a service that
// fetched the key set ten minutes before.
func TestKeysRotate(t *testing.T) {
	const lifetime, step = 90 * day, 10 * time.Minute
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		o := options(d, c)
		o.RefreshIdle, o.RefreshLifetime = 1000*day, 1000*day
		nodes := []*session.Service{newService(t, o), newService(t, o)}
		opened, start := open(t, nodes[0]), c.Now()
		used := map[string]bool{}
		for rotation := range time.Duration(5) {
			fetched := nodes[0].KeySet()
			var token, before string
			for i := range 4 * time.Hour / step {
				c.advance(start.Add(rotation*lifetime + i*step - time.Hour).Sub(c.Now()))
				signer, other := nodes[i%2], nodes[1-i%2]
				updateKeys(t, signer, other)
				if _, err := other.DeleteExpired(t.Context()); err != nil {
					t.Fatal(err)
				}
				updateKeys(t, signer, other)
				token, before = accessToken(t, signer, opened), token
				got, err := other.VerifyAccessToken(t.Context(), token)
				wantSession(t, got, err, opened)
				if i > 0 {
					kid, _ := verifyElsewhere(t, fetched, token, c.Now())
					used[kid] = true
					got, err = signer.VerifyAccessToken(t.Context(), before)
					wantSession(t, got, err, opened)
				}
				if fetched = signer.KeySet(); len(fetched) > 2 {
					t.Errorf("at %s there are %d keys", c.Now(), len(fetched))
				}
			}
		}
		if len(used) != 5 {
			t.Errorf("%d keys have signed in a year, want 5", len(used))
		}
	})
}

// TestNewKeySignsLater checks the moments of one rotation.
func TestNewKeySignsLater(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		o := options(d, c)
		o.RefreshIdle, o.RefreshLifetime = 1000*day, 1000*day
		s := newService(t, o)
		opened := open(t, s)
		oldKey := s.KeySet()[0].ID
		var last string // token of the old key
		for _, test := range []struct {
			advance  time.Duration
			wantKeys int
			wantOld  bool

			wantAccepted bool // the last token of the old key
		}{
			{0, 1, true, true},
			{90*day - time.Second, 1, true, true},
			{time.Second, 2, true, true},
			{time.Hour - time.Second, 2, true, true},
			{time.Second, 2, false, true},
			{tokenLifetime - 2*time.Second, 2, false, true},
			{time.Minute + 2*time.Second, 2, false, false},
			{time.Second, 1, false, false},
		} {
			c.advance(test.advance)
			if _, err := s.DeleteExpired(t.Context()); err != nil {
				t.Fatal(err)
			}
			updateKeys(t, s)
			set, token := s.KeySet(), accessToken(t, s, opened)
			kid, _ := verifyElsewhere(t, set, token, c.Now())
			if len(set) != test.wantKeys || (kid == oldKey) != test.wantOld {
				t.Errorf("at %s there are %d keys, and the old one signs: %t; want %+v", c.Now(), len(set), kid == oldKey, test)
			}
			if len(set) == 2 && set[1].ID != oldKey {
				t.Error("the newest key does not come first")
			}
			if kid == oldKey {
				last = token
			} else if test.wantAccepted {
				got, err := s.VerifyAccessToken(t.Context(), last)
				wantSession(t, got, err, opened)
			}
		}
	})
}

func TestTwoNodesRotateAtOnce(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		o := options(d, c)
		o.RefreshIdle, o.RefreshLifetime = 1000*day, 1000*day
		nodes := []*session.Service{newService(t, o), newService(t, o)}
		c.advance(90 * day)
		insertKeyElsewhere := func() { // what the second does that read the keys before the first made its own
			if err := nodes[1].CreateKey(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		updateKeys(t, nodes[0])
		insertKeyElsewhere()
		for range 3 {
			updateKeys(t, nodes...)
			opened := open(t, nodes[0])
			var kids [2]string
			for i, node := range nodes {
				token := accessToken(t, node, opened)
				kids[i], _ = verifyElsewhere(t, nodes[1-i].KeySet(), token, c.Now())
				got, err := nodes[1-i].VerifyAccessToken(t.Context(), token)
				wantSession(t, got, err, opened)
			}
			if kids[0] != kids[1] || len(nodes[0].KeySet()) != 3 {
				t.Errorf("the nodes sign with %v of %d keys", kids, len(nodes[0].KeySet()))
			}
			c.advance(45 * time.Minute)
		}
		c.advance(time.Hour)
		wantDeleted(t, nodes[0], 2)
		updateKeys(t, nodes...)
		wantAlive(t, nodes[1], open(t, nodes[0]))
	})
}

func TestAlgorithmChanges(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		o := options(d, c)
		before := newService(t, o)
		opened := open(t, before)
		o.Algorithm = session.ES256
		after := newService(t, o)
		if got := algorithms(after); !slices.Equal(got, []session.Algorithm{session.EdDSA}) {
			t.Errorf("the keys are of %v before the server runs", got)
		}
		for range 2 { // once is enough
			adoptAlgorithm(t, after)
		}
		if got := algorithms(after); !slices.Equal(got, []session.Algorithm{session.ES256, session.EdDSA}) {
			t.Fatalf("the keys are of %v", got)
		}
		updateKeys(t, before)
		kid := after.KeySet()[0].ID
		early := accessToken(t, after, opened)
		if got, _ := verifyElsewhere(t, before.KeySet(), early, c.Now()); got == kid {
			t.Error("the new key signs before it was published")
		}
		c.advance(time.Hour - time.Minute)
		early = accessToken(t, after, opened)
		c.advance(time.Minute)
		late := accessToken(t, after, opened)
		if got, _ := verifyElsewhere(t, after.KeySet(), late, c.Now()); got != kid {
			t.Errorf("key %s signs, want %s", got, kid)
		}
		for _, node := range []*session.Service{before, after, newService(t, o)} {
			for _, token := range []string{early, late} {
				got, err := node.VerifyAccessToken(t.Context(), token)
				wantSession(t, got, err, opened)
			}
		}
		updateKeys(t, before) // that node has the other option, and leaves it at that
		if got := len(before.KeySet()); got != 2 {
			t.Errorf("there are %d keys, want 2", got)
		}
		c.advance(tokenLifetime + time.Minute + time.Second)
		wantDeleted(t, after, 1)
		updateKeys(t, before, after)
		if got := algorithms(before); !slices.Equal(got, []session.Algorithm{session.ES256}) {
			t.Errorf("the keys are of %v", got)
		}
		wantAlive(t, before, opened)
	})
}

// TestAlgorithmsAreNotMixed signs with other algorithms under the ids of our keys.
func TestAlgorithmsAreNotMixed(t *testing.T) {
	c := newClock()
	o := options(dbtest.Open(t, ""), c)
	newService(t, o)
	o.Algorithm = session.ES256
	s := newService(t, o)
	adoptAlgorithm(t, s)
	opened := open(t, s)
	claims := jwt.MapClaims{"sub": opened.UserID, "sid": opened.ID, "exp": c.Now().Add(time.Minute).Unix()}
	_, edKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range s.KeySet() {
		x, err := base64.RawURLEncoding.DecodeString(key.X)
		if err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]string{
			"EdDSA": sign(t, jwt.SigningMethodEdDSA, edKey, key.ID, claims),
			"ES256": sign(t, jwt.SigningMethodES256, ecKey, key.ID, claims),
			"HS256": sign(t, jwt.SigningMethodHS256, x, key.ID, claims), // the public key as a password
		} {
			got, err := s.VerifyAccessToken(t.Context(), token)
			if t.Run(name, func(t *testing.T) { wantNotLoggedIn(t, got, err) }); err == nil {
				t.Errorf("accepted under the id of a key for %s", key.Algorithm)
			}
		}
	}
}

// TestKeysDeletedByHand is what the operator does when the keys may be known to others.
func TestKeysDeletedByHand(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := open(t, s)
		token := accessToken(t, s, opened)
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			_, err := q.DeleteSigningKey(t.Context(), s.KeySet()[0].ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		updateKeys(t, s)
		got, err := s.VerifyAccessToken(t.Context(), token)
		wantNotLoggedIn(t, got, err)
		wantAlive(t, s, opened) // the refresh token gets another
	})
}

func TestUnknownAlgorithm(t *testing.T) {
	o := options(dbtest.Open(t, ""), newClock())
	o.Algorithm = "RS256"
	if _, err := session.New(t.Context(), o); err == nil {
		t.Error("RS256 is taken")
	}
}
