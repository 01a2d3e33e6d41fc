package session_test

import (
	"bytes"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/session"
)

// clock is the time as a test wants it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const (
	refreshIdle     = 24 * time.Hour
	refreshLifetime = 7 * 24 * time.Hour
	tokenLifetime   = 15 * time.Minute
	ticketLifetime  = time.Minute

	hang = 30 * time.Second // more than anything takes that is not hung up
)

func options(d *database.Database, c *clock) session.Options {
	return session.Options{
		Database: d, Logger: slog.New(slog.DiscardHandler), Now: c.Now,
		SealKey: bytes.Repeat([]byte{1}, 32), CookieKey: bytes.Repeat([]byte{2}, 32), RefreshKey: bytes.Repeat([]byte{3}, 32),
		TicketKey:   bytes.Repeat([]byte{4}, 32),
		RefreshIdle: refreshIdle, RefreshLifetime: refreshLifetime,
		AccessTokenLifetime: tokenLifetime, TicketLifetime: ticketLifetime,
	}
}

func newService(t testing.TB, o session.Options) *session.Service {
	t.Helper()
	s, err := session.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open starts a session of a new user.
func open(t testing.TB, s *session.Service) session.Session {
	t.Helper()
	return openAs(t, s, uuid.NewString(), audit.Origin{})
}

func openAs(t testing.TB, s *session.Service, userID string, from audit.Origin) session.Session {
	t.Helper()
	opened, err := s.OpenInTx(t.Context(), userID, from)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func accessToken(t testing.TB, s *session.Service, of session.Session) string {
	t.Helper()
	token, _, err := s.AccessToken(of)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func ticket(t *testing.T, s *session.Service, of session.Session) string {
	t.Helper()
	ticket, _ := s.Ticket(of)
	return ticket
}

// wantSession checks that a caller was recognised as the user of a session.
func wantSession(t *testing.T, got session.Session, err error, want session.Session) {
	t.Helper()
	if err != nil || got.ID != want.ID || got.UserID != want.UserID {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func wantNotLoggedIn(t *testing.T, got session.Session, err error) {
	t.Helper()
	if !apperr.Is(err, apperr.NotLoggedIn) || got != (session.Session{}) {
		t.Errorf("got %+v, %v; want NotLoggedIn", got, err)
	}
}

func TestServicesOnOneDatabaseShareTheirKeys(t *testing.T) {
	const nodes = 4
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		services := make([]*session.Service, nodes)
		var starting sync.WaitGroup
		for i := range services {
			starting.Go(func() {
				var err error
				if services[i], err = session.New(t.Context(), options(d, c)); err != nil {
					t.Error(err)
				}
			})
		}
		starting.Wait()
		c.advance(2 * time.Second) // a node that started first may not know the keys of the others yet
		services = append(services, newService(t, options(d, c)))
		for _, issuer := range services {
			opened := open(t, issuer)
			token, cookie := accessToken(t, issuer, opened), issuer.Cookie(opened)
			for _, verifier := range services {
				got, err := verifier.VerifyAccessToken(t.Context(), token)
				wantSession(t, got, err, opened)
				got, err = verifier.VerifyCookie(t.Context(), cookie)
				wantSession(t, got, err, opened)
			}
			c.advance(2 * time.Second)
		}
	})
}

func TestAnotherSecretIsAClearError(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		right := newService(t, options(d, c))
		token := accessToken(t, right, open(t, right))
		wrong := options(d, c)
		wrong.SealKey = bytes.Repeat([]byte{9}, 32)
		if _, err := session.New(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "set up with another secret") {
			t.Errorf("error is %v", err)
		}
		if _, err := newService(t, options(d, c)).VerifyAccessToken(t.Context(), token); err != nil {
			t.Errorf("the failed start has done harm: %v", err)
		}
		for _, shorten := range []func(*session.Options){
			func(o *session.Options) { o.SealKey = o.SealKey[:10] },
			func(o *session.Options) { o.RefreshKey = o.RefreshKey[:10] },
			func(o *session.Options) { o.CookieKey = nil },
			func(o *session.Options) { o.TicketKey = nil },
		} {
			short := options(d, c)
			shorten(&short)
			if _, err := session.New(t.Context(), short); err == nil {
				t.Error("a key of 10 bytes is taken")
			}
		}
	})
}

func TestAccessTokenExpiresOnTime(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := open(t, s)
		token := accessToken(t, s, opened)
		for range 2 { // the second time it is remembered
			got, err := s.VerifyAccessToken(t.Context(), token)
			wantSession(t, got, err, opened)
			c.advance(tokenLifetime/2 - time.Second)
		}
		got, err := s.VerifyAccessToken(t.Context(), token)
		wantSession(t, got, err, opened)
		c.advance(2 * time.Second)
		got, err = s.VerifyAccessToken(t.Context(), token)
		wantNotLoggedIn(t, got, err)
		got, err = newService(t, options(d, c)).VerifyAccessToken(t.Context(), token) // who has not seen it before
		wantNotLoggedIn(t, got, err)
	})
}

func TestAccessTokenDoesNotOutliveItsSession(t *testing.T) {
	c := newClock()
	o := options(dbtest.Open(t, ""), c)
	o.RefreshLifetime = tokenLifetime / 3
	s := newService(t, o)
	follow(t, s, time.Hour) // so that nobody looks at the session itself
	opened := open(t, s)
	token, lifetime, err := s.AccessToken(opened)
	if err != nil || lifetime != tokenLifetime/3 {
		t.Errorf("the token is valid for %s, %v; want %s", lifetime, err, tokenLifetime/3)
	}
	c.advance(lifetime - time.Second)
	got, err := s.VerifyAccessToken(t.Context(), token)
	wantSession(t, got, err, opened)
	c.advance(time.Second)
	got, err = s.VerifyAccessToken(t.Context(), token)
	wantNotLoggedIn(t, got, err)
}

func TestForeignTokens(t *testing.T) {
	c := newClock()
	s := newService(t, options(dbtest.Open(t, ""), c))
	opened := open(t, s)
	right := accessToken(t, s, opened)
	var claims jwt.MapClaims
	parsed, _, err := jwt.NewParser().ParseUnverified(right, &claims)
	if err != nil {
		t.Fatal(err)
	}
	ourKid := parsed.Header["kid"]
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := newService(t, options(dbtest.Open(t, ""), c))
	for name, token := range map[string]string{
		"empty":                       "",
		"garbage":                     "a.b.c",
		"too long":                    right + strings.Repeat("A", 4096),
		"foreign key under our id":    sign(t, jwt.SigningMethodEdDSA, foreign, ourKid, claims),
		"foreign key under its own":   sign(t, jwt.SigningMethodEdDSA, foreign, uuid.NewString(), claims),
		"no key id":                   sign(t, jwt.SigningMethodEdDSA, foreign, nil, claims),
		"key id that is a number":     sign(t, jwt.SigningMethodEdDSA, foreign, 1, claims),
		"not signed":                  sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, ourKid, claims),
		"signed with a password":      sign(t, jwt.SigningMethodHS256, []byte("secret"), ourKid, claims),
		"from another server":         accessToken(t, elsewhere, opened),
		"signature of another token":  right[:strings.LastIndex(right, ".")] + sign(t, jwt.SigningMethodEdDSA, foreign, ourKid, claims)[strings.LastIndex(right, "."):],
		"without a time when it ends": sign(t, jwt.SigningMethodEdDSA, foreign, ourKid, jwt.MapClaims{"sub": opened.UserID}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.VerifyAccessToken(t.Context(), token)
			wantNotLoggedIn(t, got, err)
			c.advance(2 * time.Second) // lets the next one ask the database again
		})
	}
}

func sign(t *testing.T, method jwt.SigningMethod, key, kid any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != nil {
		token.Header["kid"] = kid
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestUnknownKeysAskTheDatabaseOnceASecond closes the database: whoever asks it gets another error.
func TestUnknownKeysAskTheDatabaseOnceASecond(t *testing.T) {
	c := newClock()
	d, err := database.Open(t.Context(), database.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newService(t, options(d, c))
	known := accessToken(t, s, open(t, s))
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	unknown := func() string { return sign(t, jwt.SigningMethodEdDSA, foreign, uuid.NewString(), jwt.MapClaims{}) }
	c.advance(2 * time.Second)
	got, err := s.VerifyAccessToken(t.Context(), unknown()) // asks
	wantNotLoggedIn(t, got, err)
	s.SetFeed(time.Hour, time.Hour)
	if err := s.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		got, err := s.VerifyAccessToken(t.Context(), unknown())
		wantNotLoggedIn(t, got, err)
	}
	c.advance(2 * time.Second)
	if _, err := s.VerifyAccessToken(t.Context(), unknown()); err == nil || apperr.Is(err, apperr.NotLoggedIn) {
		t.Errorf("error is %v, want the database's own", err)
	}
	if _, err := s.VerifyAccessToken(t.Context(), known); err != nil {
		t.Errorf("a token of a known key needs the database: %v", err)
	}
}

func TestCookies(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened, other := open(t, s), open(t, s)
		right := s.Cookie(opened)
		got, err := s.VerifyCookie(t.Context(), right)
		wantSession(t, got, err, opened)
		if !got.ExpiresAt.Equal(opened.ExpiresAt) {
			t.Errorf("the session ends at %s, want %s", got.ExpiresAt, opened.ExpiresAt)
		}
		foreign := options(d, c)
		foreign.CookieKey = bytes.Repeat([]byte{3}, 32)
		_, signature, _ := strings.Cut(right, ".")
		for name, value := range map[string]string{
			"empty": "", "id only": opened.ID, "no signature": opened.ID + ".", "another's id": other.ID + "." + signature,
			"another key": newService(t, foreign).Cookie(opened), "no such session": s.Cookie(session.Session{ID: uuid.NewString()}),
			"no base64": opened.ID + ".§", "cut off": right[:len(right)-1],
		} {
			t.Run(name, func(t *testing.T) {
				got, err := s.VerifyCookie(t.Context(), value)
				wantNotLoggedIn(t, got, err)
			})
		}
		c.advance(refreshIdle - time.Second)
		got, err = s.VerifyCookie(t.Context(), right)
		wantSession(t, got, err, opened)
		c.advance(time.Second)
		got, err = s.VerifyCookie(t.Context(), right)
		wantNotLoggedIn(t, got, err)
	})
}

func TestPagesAreSeen(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := open(t, s)
		start := c.Now()
		for _, step := range []struct{ advance, want time.Duration }{
			{0, 0},
			{5*time.Minute - time.Second, 0}, // not every page is a write
			{time.Second, 5 * time.Minute},
			{4 * time.Minute, 5 * time.Minute},
			{time.Hour, time.Hour + 9*time.Minute},
		} {
			c.advance(step.advance)
			if _, err := s.VerifyCookie(t.Context(), s.Cookie(opened)); err != nil {
				t.Fatal(err)
			}
			if got := list(t, s, opened.UserID)[0].LastSeenAt; !got.Equal(start.Add(step.want)) {
				t.Errorf("at %s the session was last seen at %s, want %s", c.Now(), got, start.Add(step.want))
			}
		}
	})
}

func list(t *testing.T, s *session.Service, userID string) []session.Login {
	t.Helper()
	logins, err := s.List(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	return logins
}

func TestList(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		user := uuid.NewString()
		if got := list(t, s, user); got == nil || len(got) != 0 {
			t.Errorf("a user without sessions has %v", got)
		}
		expired := openAs(t, s, user, audit.Origin{})
		c.advance(refreshIdle - time.Hour)
		start := c.Now()
		first := openAs(t, s, user, audit.Origin{Device: "小明的手机", Address: "192.0.2.1"})
		c.advance(time.Minute)
		second := openAs(t, s, user, audit.Origin{Device: strings.Repeat("长", 300), Address: "2001:db8::1"})
		open(t, s) // somebody else's
		c.advance(time.Hour)
		if _, err := s.Refresh(t.Context(), first.RefreshToken, audit.Origin{Address: "198.51.100.1"}, nil); err != nil {
			t.Fatal(err)
		}
		want := []session.Login{
			{ID: first.ID, Device: "小明的手机", Address: "198.51.100.1", CreatedAt: start, LastSeenAt: c.Now()},
			{ID: second.ID, Device: strings.Repeat("长", 255), Address: "2001:db8::1",
				CreatedAt: start.Add(time.Minute), LastSeenAt: start.Add(time.Minute)},
		}
		if got := list(t, s, user); !slices.Equal(got, want) {
			t.Errorf("got  %+v\nwant %+v, without the expired %s", got, want, expired.ID)
		}
	})
}

// TestOpenMakesRoom logs a user in more often than anybody needs.
func TestOpenMakesRoom(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		stranger, user := open(t, s), uuid.NewString()
		opened := make([]session.Session, session.MaxSessions)
		for i := range opened {
			opened[i] = openAs(t, s, user, audit.Origin{})
			c.advance(time.Second)
		}
		opened[0] = refresh(t, s, opened[0].RefreshToken) // now it was seen last
		wantSessions(t, d, user, session.MaxSessions)
		wantEndings(t, d, c.Now())
		c.advance(time.Second)
		newest := openAs(t, s, user, audit.Origin{})
		wantEndings(t, d, c.Now(), opened[1].ID)
		wantEnded(t, s, opened[1])
		for _, alive := range []session.Session{stranger, opened[0], opened[2], newest} {
			wantAlive(t, s, alive)
		}
		if got := list(t, s, user); len(got) != session.MaxSessions || got[0].ID != newest.ID {
			t.Errorf("%d sessions are listed, the last %s; want %d and %s", len(got), got[0].ID, session.MaxSessions, newest.ID)
		}
	})
}

// TestOpenMakesRoomBitByBit logs in who has very many sessions from before there was a bound, seen only just now by
// nodes whose clocks are ahead.
func TestOpenMakesRoomBitByBit(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		user, seenAt := uuid.NewString(), c.Now().Add(20*time.Second)
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			for range 2*session.MaxSessions + 50 {
				err := q.InsertSession(t.Context(), db.InsertSessionParams{
					ID: uuid.NewString(), UserID: user, CreatedAt: c.Now(), ExpiresAt: c.Now().Add(refreshIdle), LastSeenAt: &seenAt,
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, left := range []int{session.MaxSessions + 51, session.MaxSessions, session.MaxSessions} {
			wantAlive(t, s, openAs(t, s, user, audit.Origin{}))
			wantSessions(t, d, user, left)
		}
	})
}

// wantSessions checks how many sessions a user has.
func wantSessions(t *testing.T, d *database.Database, userID string, want int) {
	t.Helper()
	ids, err := d.Queries().ListOtherSessionIDs(t.Context(), db.ListOtherSessionIDsParams{UserID: userID})
	if err != nil || len(ids) != want {
		t.Errorf("the user has %d sessions, %v; want %d", len(ids), err, want)
	}
}

// wantEndings checks which sessions were noted as ended since a time.
func wantEndings(t *testing.T, d *database.Database, since time.Time, want ...string) {
	t.Helper()
	got, err := d.Queries().ListSessionEndings(t.Context(), since)
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("ended since %s have %v, %v; want %v", since, got, err, want)
	}
}

// TestSessionsOfTheVersionBefore checks sessions that have no refresh token and were never noted as seen.
func TestSessionsOfTheVersionBefore(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		old := session.Session{ID: uuid.NewString(), UserID: uuid.NewString(), ExpiresAt: c.Now().Add(refreshIdle)}
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			return q.InsertSession(t.Context(), db.InsertSessionParams{
				ID: old.ID, UserID: old.UserID, CreatedAt: c.Now(), ExpiresAt: old.ExpiresAt,
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.VerifyAccessToken(t.Context(), accessToken(t, s, old))
		wantSession(t, got, err, old)
		got, err = s.VerifyCookie(t.Context(), s.Cookie(old))
		wantSession(t, got, err, old)
		if got := list(t, s, old.UserID); len(got) != 1 || !got[0].LastSeenAt.Equal(c.Now()) {
			t.Errorf("listed as %+v", got)
		}
		wantRefused(t, s, session.ForgeToken(old.ID, 0), apperr.InvalidRefreshToken)
		if err := s.End(t.Context(), old.UserID, old.ID, audit.Origin{}); err != nil {
			t.Error(err)
		}
	})
}

func TestTickets(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := open(t, s)
		once := ticket(t, s, opened)
		for range 2 {
			got, err := s.PeekTicket(t.Context(), once)
			wantSession(t, got, err, opened)
		}
		got, err := s.RedeemTicket(t.Context(), once)
		wantSession(t, got, err, opened)
		for _, used := range []string{once, "", strings.ToLower(ticket(t, s, opened)), strings.Repeat("A", 10_000)} {
			got, err = s.RedeemTicket(t.Context(), used)
			wantNotLoggedIn(t, got, err)
			got, err = s.PeekTicket(t.Context(), used)
			wantNotLoggedIn(t, got, err)
		}

		late := ticket(t, s, opened)
		c.advance(ticketLifetime)
		got, err = s.RedeemTicket(t.Context(), late)
		wantNotLoggedIn(t, got, err)

		c.advance(refreshIdle - 2*ticketLifetime + time.Second)
		ofEnded := ticket(t, s, opened)
		c.advance(ticketLifetime - time.Second)
		got, err = s.RedeemTicket(t.Context(), ofEnded)
		wantNotLoggedIn(t, got, err)
	})
}

func TestOfManyRedeemersOneWins(t *testing.T) {
	const rivals = 10
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, options(d, newClock()))
		contested := ticket(t, s, open(t, s))
		results := make(chan error, rivals)
		var redeeming sync.WaitGroup
		for range rivals {
			redeeming.Go(func() { _, err := s.RedeemTicket(t.Context(), contested); results <- err })
		}
		redeeming.Wait()
		close(results)
		won := 0
		for err := range results {
			if err == nil {
				won++
			} else if !apperr.Is(err, apperr.NotLoggedIn) {
				t.Errorf("error is %v, want NotLoggedIn", err)
			}
		}
		if won != 1 {
			t.Errorf("%d have redeemed the ticket", won)
		}
	})
}

// redeem makes a ticket and uses it up.
func redeem(t *testing.T, s *session.Service, of session.Session) {
	t.Helper()
	got, err := s.RedeemTicket(t.Context(), ticket(t, s, of))
	wantSession(t, got, err, of)
}

func TestDeleteExpired(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		old := open(t, s)
		redeem(t, s, old)
		wantDeleted(t, s, 0)
		c.advance(ticketLifetime + time.Minute)
		wantDeleted(t, s, 0) // the ticket is good yet by a clock that is behind
		c.advance(time.Second)
		fresh := open(t, s)
		redeem(t, s, fresh)
		wantDeleted(t, s, 1) // the ticket
		c.advance(refreshIdle - ticketLifetime - time.Minute)
		wantDeleted(t, s, 2) // the session, and the other ticket
		if _, err := d.Queries().GetSession(t.Context(), old.ID); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("the row of an ended session is still there, or %v", err)
		}
		if _, err := d.Queries().GetSession(t.Context(), fresh.ID); err != nil {
			t.Errorf("the row of a session that goes on: %v", err)
		}
		wantDeleted(t, s, 0)

		if err := s.Logout(t.Context(), fresh, audit.Origin{}); err != nil {
			t.Fatal(err)
		}
		c.advance(tokenLifetime + time.Minute)
		wantDeleted(t, s, 0)
		c.advance(time.Second)
		wantDeleted(t, s, 1) // the ending, when every access token has expired by every clock
	})
}

func wantDeleted(t *testing.T, s *session.Service, want int64) {
	t.Helper()
	if deleted, err := s.DeleteExpired(t.Context()); err != nil || deleted != want {
		t.Errorf("deleted %d rows, %v; want %d", deleted, err, want)
	}
}
