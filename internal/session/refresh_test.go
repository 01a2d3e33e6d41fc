package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/session"
)

func refresh(t testing.TB, s *session.Service, token string) session.Session {
	t.Helper()
	refreshed, err := s.Refresh(t.Context(), token, audit.Origin{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return refreshed
}

func wantRefused(t *testing.T, s *session.Service, token string, want apperr.Code) {
	t.Helper()
	got, err := s.Refresh(t.Context(), token, audit.Origin{}, nil)
	if !apperr.Is(err, want) || got != (session.Session{}) {
		t.Errorf("got %+v, %v; want code %d", got, err, want)
	}
}

func wantGeneration(t *testing.T, d *database.Database, id string, want int32) {
	t.Helper()
	if row, err := d.Queries().GetSession(t.Context(), id); err != nil || row.Generation != want {
		t.Errorf("session %s is in generation %d, %v; want %d", id, row.Generation, err, want)
	}
}

// wantAlive checks a session by all that stands for it.
func wantAlive(t *testing.T, s *session.Service, of session.Session) {
	t.Helper()
	got, err := s.VerifyAccessToken(t.Context(), accessToken(t, s, of))
	wantSession(t, got, err, of)
	got, err = s.VerifyCookie(t.Context(), s.Cookie(of))
	wantSession(t, got, err, of)
}

func wantEnded(t *testing.T, s *session.Service, of session.Session) {
	t.Helper()
	got, err := s.VerifyAccessToken(t.Context(), accessToken(t, s, of))
	wantNotLoggedIn(t, got, err)
	got, err = s.VerifyCookie(t.Context(), s.Cookie(of))
	wantNotLoggedIn(t, got, err)
	wantRefused(t, s, of.RefreshToken, apperr.InvalidRefreshToken)
}

// wantAudit checks what was noted of a user, the newest first.
func wantAudit(t *testing.T, d *database.Database, userID string, want ...audit.Action) []audit.Event {
	t.Helper()
	events, _, err := audit.New(audit.Options{Database: d}).List(t.Context(), userID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]audit.Action, len(events))
	for i, event := range events {
		got[i] = event.Action
	}
	if len(got) != len(want) {
		t.Fatalf("noted are %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("noted are %v, want %v", got, want)
		}
	}
	return events
}

func TestRefresh(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := openAs(t, s, uuid.NewString(), audit.Origin{Device: "phone", Address: "192.0.2.1"})
		if !opened.ExpiresAt.Equal(c.Now().Add(refreshIdle)) || !opened.RefreshExpiresAt.Equal(opened.ExpiresAt) {
			t.Errorf("opened until %s and %s", opened.ExpiresAt, opened.RefreshExpiresAt)
		}
		seen := map[string]bool{opened.RefreshToken: true}
		last := opened
		for i := range int32(5) {
			c.advance(time.Hour)
			device := []string{"", "tablet"}[i%2]
			next, err := s.Refresh(t.Context(), last.RefreshToken, audit.Origin{Address: "198.51.100.1", Device: device}, nil)
			wantSession(t, next, err, opened)
			if seen[next.RefreshToken] {
				t.Fatal("a token came twice")
			}
			seen[next.RefreshToken] = true
			if want := c.Now().Add(refreshIdle); !next.ExpiresAt.Equal(want) || !next.RefreshExpiresAt.Equal(want) {
				t.Errorf("refreshed until %s and %s, want %s", next.ExpiresAt, next.RefreshExpiresAt, want)
			}
			last = next
		}
		wantGeneration(t, d, opened.ID, 5)
		wantAlive(t, s, last)
		if got := list(t, s, opened.UserID)[0]; got.Device != "tablet" || got.Address != "198.51.100.1" || !got.LastSeenAt.Equal(c.Now()) {
			t.Errorf("the session is listed as %+v", got)
		}
	})
}

// committing prepares a commit that is told of the session.
func committing(commit func(*db.Queries, session.Session) error) session.Prepare {
	return func(of session.Session) (func(*db.Queries) error, error) {
		return func(q *db.Queries) error { return commit(q, of) }, nil
	}
}

// TestParallelRefreshes uses one token on two nodes at once: an app with many requests in the air.
func TestParallelRefreshes(t *testing.T) {
	const parallel = 100
	record := func(ctx context.Context, c *clock) session.Prepare {
		return committing(func(q *db.Queries, of session.Session) error {
			return audit.Record(ctx, q, of.UserID, audit.Exported, audit.Origin{}, c.Now())
		})
	}
	for name, withCommit := range map[string]bool{"alone": false, "with a commit": true} {
		t.Run(name, func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				c := newClock()
				nodes := []*session.Service{newService(t, options(d, c)), newService(t, options(d, c))}
				opened := open(t, nodes[0])
				var prepare session.Prepare
				if withCommit {
					prepare = record(t.Context(), c)
				}
				answers := make([]session.Session, parallel)
				var refreshing sync.WaitGroup
				for i := range parallel {
					refreshing.Go(func() {
						var err error
						if answers[i], err = nodes[i%2].Refresh(t.Context(), opened.RefreshToken, audit.Origin{}, prepare); err != nil {
							t.Error(err)
						}
					})
				}
				refreshing.Wait()
				for _, answer := range answers {
					if answer != answers[0] || answer.ID != opened.ID || answer.RefreshToken == opened.RefreshToken {
						t.Fatalf("answers are %+v and %+v", answers[0], answer)
					}
				}
				wantGeneration(t, d, opened.ID, 1)
				if got := len(list(t, nodes[0], opened.UserID)); got != 1 {
					t.Errorf("the user has %d sessions, want 1", got)
				}
				if withCommit { // each answer can be repeated
					events, _, err := audit.New(audit.Options{Database: d}).List(t.Context(), opened.UserID, "", 2*parallel)
					if err != nil || len(events) != parallel {
						t.Errorf("%d answers were stored, %v; want %d", len(events), err, parallel)
					}
				}
				refresh(t, nodes[1], answers[0].RefreshToken)
			})
		})
	}
}

func TestOldTokens(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for name, test := range map[string]struct {
			rotations int // after the token that is used again
			after     time.Duration
			want      apperr.Code
		}{
			"lost answer":                   {1, 0, apperr.OK},
			"lost answer, at the last":      {1, 30*time.Second - time.Microsecond, apperr.OK},
			"too late":                      {1, 30 * time.Second, apperr.RefreshTokenReused},
			"much too late":                 {1, refreshIdle - time.Second, apperr.RefreshTokenReused},
			"the new one was used":          {2, 0, apperr.RefreshTokenReused},
			"many others were used":         {20, 0, apperr.RefreshTokenReused},
			"too late for an ended session": {1, refreshIdle, apperr.InvalidRefreshToken},
		} {
			t.Run(name, func(t *testing.T) {
				c := newClock()
				s := newService(t, options(d, c))
				opened := open(t, s)
				old, newest := refresh(t, s, opened.RefreshToken), session.Session{}
				for token := old.RefreshToken; test.rotations > 0; test.rotations-- {
					newest = refresh(t, s, token)
					token = newest.RefreshToken
				}
				c.advance(test.after)
				if test.want == apperr.OK {
					for range 3 {
						if got := refresh(t, s, old.RefreshToken); got != newest {
							t.Errorf("the answer is repeated as %+v, want %+v", got, newest)
						}
					}
					refresh(t, s, newest.RefreshToken)
					return
				}
				from := audit.Origin{Address: "203.0.113.1"}
				if got, err := s.Refresh(t.Context(), old.RefreshToken, from, nil); !apperr.Is(err, test.want) {
					t.Errorf("got %+v, %v; want code %d", got, err, test.want)
				}
				wantEnded(t, s, newest)
				wantRefused(t, s, old.RefreshToken, apperr.InvalidRefreshToken)
				if test.want == apperr.RefreshTokenReused {
					event := wantAudit(t, d, opened.UserID, audit.TokenReused)[0]
					if event.Origin.Actor != audit.Server || event.Origin.Address != "203.0.113.1" {
						t.Errorf("noted is %+v", event)
					}
				}
			})
		}
	})
}

// TestMadeUpTokens checks that who knows a session's id, but none of its tokens, cannot end it.
func TestMadeUpTokens(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		first := open(t, s)
		second := refresh(t, s, first.RefreshToken)
		last := refresh(t, s, second.RefreshToken)
		other := refresh(t, s, open(t, s).RefreshToken)
		c.advance(time.Minute)
		const id, generation = 21, 27 // the first bytes' characters
		for name, token := range map[string]string{
			"empty":                       "",
			"garbage":                     "password",
			"an access token":             accessToken(t, s, last),
			"cut off":                     last.RefreshToken[:len(last.RefreshToken)-1],
			"too long":                    last.RefreshToken + "A",
			"other letters":               last.RefreshToken[:69] + "=",
			"the current generation":      session.ForgeToken(first.ID, 2),
			"the previous generation":     session.ForgeToken(first.ID, 1),
			"the first generation":        session.ForgeToken(first.ID, 0),
			"a generation to come":        session.ForgeToken(first.ID, 3),
			"the last generation of all":  session.ForgeToken(first.ID, 1<<32-1),
			"another session's secret":    last.RefreshToken[:generation] + other.RefreshToken[generation:],
			"an old secret as the newest": last.RefreshToken[:generation] + second.RefreshToken[generation:],
			"the newest secret as an old": second.RefreshToken[:generation] + last.RefreshToken[generation:],
			"another session's id":        other.RefreshToken[:id] + last.RefreshToken[id:],
			"no such session":             session.ForgeToken(uuid.NewString(), 2),
		} {
			t.Run(name, func(t *testing.T) {
				wantRefused(t, s, token, apperr.InvalidRefreshToken)
				wantGeneration(t, d, first.ID, 2)
				wantGeneration(t, d, other.ID, 1)
			})
		}
		wantAudit(t, d, first.UserID)
		wantAlive(t, s, last)
		refresh(t, s, last.RefreshToken)
	})
}

func TestSessionsExpire(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		idle, used := open(t, s), open(t, s)
		end := c.Now().Add(refreshLifetime)
		c.advance(refreshIdle - time.Second)
		idle, used = refresh(t, s, idle.RefreshToken), refresh(t, s, used.RefreshToken)
		c.advance(refreshIdle - time.Second)
		used = refresh(t, s, used.RefreshToken)
		c.advance(time.Second)
		wantRefused(t, s, idle.RefreshToken, apperr.InvalidRefreshToken)
		for c.Now().Add(refreshIdle).Before(end) {
			c.advance(refreshIdle / 2)
			used = refresh(t, s, used.RefreshToken)
		}
		if !used.ExpiresAt.Equal(end) {
			t.Errorf("the session goes on until %s, want %s", used.ExpiresAt, end)
		}
		c.advance(end.Sub(c.Now()) - time.Second)
		used = refresh(t, s, used.RefreshToken)
		c.advance(time.Second)
		wantRefused(t, s, used.RefreshToken, apperr.InvalidRefreshToken)
	})
}

func TestRefreshIsOneWithItsCommit(t *testing.T) {
	failure := errors.New("the answer cannot be stored")
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := open(t, s)
		var told session.Session
		store := func(q *db.Queries, of session.Session) error {
			told = of
			return audit.Record(t.Context(), q, of.UserID, audit.Exported, audit.Origin{}, c.Now())
		}
		fail := func(q *db.Queries, of session.Session) error { return errors.Join(store(q, of), failure) }

		with := func(commit func(*db.Queries, session.Session) error) (session.Session, error) {
			return s.Refresh(t.Context(), opened.RefreshToken, audit.Origin{}, committing(commit))
		}
		if got, err := with(fail); !errors.Is(err, failure) || got != (session.Session{}) {
			t.Errorf("got %+v, %v; want the commit's error", got, err)
		}
		wantGeneration(t, d, opened.ID, 0)
		wantAudit(t, d, opened.UserID)

		first, err := with(store)
		if err != nil || told != first {
			t.Errorf("the commit was told %+v, the caller %+v, %v", told, first, err)
		}
		wantAudit(t, d, opened.UserID, audit.Exported)
		if got, err := with(fail); !errors.Is(err, failure) || got != (session.Session{}) {
			t.Errorf("got %+v, %v; want the commit's error", got, err)
		}
		if repeated, err := with(store); err != nil || repeated != first || told != first {
			t.Errorf("repeated is %+v, %v; want %+v", repeated, err, first)
		}
		wantGeneration(t, d, opened.ID, 1)
		wantAudit(t, d, opened.UserID, audit.Exported, audit.Exported)
	})
}

// TestLostRace rotates the token while a refresh of it is under way: all that the refresh did is undone,
// and it tries again.
func TestLostRace(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := open(t, s)
		now, calls := c.Now(), 0
		for _, races := range []int{1, 3} {
			calls = 0
			got, err := s.Refresh(t.Context(), opened.RefreshToken, audit.Origin{}, committing(func(q *db.Queries, of session.Session) error {
				if calls++; calls <= races {
					_, err := q.RotateSession(t.Context(), db.RotateSessionParams{
						ID: of.ID, CurrentHash: session.TokenHash(opened.RefreshToken), NextHash: make([]byte, 32),
						Generation: 1, RotatedAt: &now, ExpiresAt: of.ExpiresAt,
					})
					return err
				}
				return audit.Record(t.Context(), q, of.UserID, audit.Exported, audit.Origin{}, now)
			}))
			if races == 3 {
				wantBusy(t, got, err)
				break
			}
			wantSession(t, got, err, opened)
			wantGeneration(t, d, opened.ID, 1)
			wantAudit(t, d, opened.UserID, audit.Exported)
			opened = got
		}
		if calls != 3 {
			t.Errorf("the last refresh was tried %d times, want 3", calls)
		}
		wantGeneration(t, d, opened.ID, 1)
	})
}

func TestLastGeneration(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := open(t, s)
		token, now := session.ForgeToken(opened.ID, session.MaxGenerations-1), c.Now()
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			_, err := q.RotateSession(t.Context(), db.RotateSessionParams{
				ID: opened.ID, CurrentHash: session.TokenHash(opened.RefreshToken), NextHash: session.TokenHash(token),
				Generation: session.MaxGenerations - 1, RotatedAt: &now, ExpiresAt: opened.ExpiresAt,
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		last := refresh(t, s, token)
		wantRefused(t, s, last.RefreshToken, apperr.InvalidRefreshToken)
		wantAlive(t, s, last)
		c.advance(time.Minute)
		wantRefused(t, s, token, apperr.RefreshTokenReused)
	})
}
