package session_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/redis"
	"gatehouse/internal/session"
)

// run runs a service until the test ends.
func run(t testing.TB, s *session.Service) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// follow runs a service that trusts its feed for longer than any test takes. So nothing but the feed
// can refuse, and the feed needs no poll but the first.
func follow(t testing.TB, s *session.Service, interval time.Duration) {
	t.Helper()
	s.SetFeed(interval, time.Hour)
	if err := s.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, s)
}

func await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hang); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func logout(t *testing.T, s *session.Service, of session.Session) {
	t.Helper()
	if err := s.Logout(t.Context(), of, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
}

// awaitRefusal waits until a node refuses an access token that it has accepted.
func awaitRefusal(t *testing.T, node *session.Service, token string) {
	t.Helper()
	await(t, "the token of the ended session is refused", func() bool {
		_, err := node.VerifyAccessToken(t.Context(), token)
		if err != nil && !apperr.Is(err, apperr.NotLoggedIn) {
			t.Fatal(err)
		}
		return err != nil
	})
}

func TestEndedWithinASecond(t *testing.T) {
	for name, start := range map[string]func(testing.TB, *session.Service){
		"following": run,
		"alone":     func(testing.TB, *session.Service) {},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				c := newClock()
				here, there := newService(t, options(d, c)), newService(t, options(d, c))
				start(t, there)
				opened, other := open(t, here), open(t, here)
				token := accessToken(t, here, opened)
				got, err := there.VerifyAccessToken(t.Context(), token)
				wantSession(t, got, err, opened)
				logout(t, here, opened)
				got, err = here.VerifyAccessToken(t.Context(), token)
				wantNotLoggedIn(t, got, err)
				time.Sleep(time.Second) // the promise; it holds however busy this machine is
				got, err = there.VerifyAccessToken(t.Context(), token)
				wantNotLoggedIn(t, got, err)
				wantAlive(t, there, other)
			})
		})
	}
}

func TestFeedAloneRefuses(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		here, there := newService(t, options(d, c)), newService(t, options(d, c))
		follow(t, here, time.Hour) // knows what it ends itself at once
		follow(t, there, 10*time.Millisecond)
		for range 3 {
			c.advance(time.Hour) // endings are found wherever the clock stands
			opened := open(t, here)
			token := accessToken(t, here, opened)
			got, err := there.VerifyAccessToken(t.Context(), token)
			wantSession(t, got, err, opened)
			logout(t, here, opened)
			got, err = here.VerifyAccessToken(t.Context(), token)
			wantNotLoggedIn(t, got, err)
			awaitRefusal(t, there, token)
		}
	})
}

// TestClocksMayDiffer ends sessions by a clock that is behind or ahead.
func TestClocksMayDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-30 * time.Second, 30 * time.Second} {
		t.Run(skew.String(), func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				c, skewed := newClock(), newClock()
				here, there := newService(t, options(d, skewed)), newService(t, options(d, c))
				follow(t, there, 10*time.Millisecond)
				skewed.advance(skew)
				opened := open(t, here)
				token := accessToken(t, here, opened)
				logout(t, here, opened)
				awaitRefusal(t, there, token)
			})
		})
	}
}

func TestEndingsFromBeforeTheStart(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		first := newService(t, options(d, c))
		opened := open(t, first)
		token := accessToken(t, first, opened)
		logout(t, first, opened)
		c.advance(tokenLifetime - time.Second)
		restarted := newService(t, options(d, c))
		follow(t, restarted, time.Hour)
		got, err := restarted.VerifyAccessToken(t.Context(), token)
		wantNotLoggedIn(t, got, err)
	})
}

func TestEndingsAreForgotten(t *testing.T) {
	c := newClock()
	s := newService(t, options(dbtest.Open(t, ""), c))
	logout(t, s, open(t, s))
	c.advance(tokenLifetime + time.Minute)
	if got := s.Forget(); got != 1 {
		t.Errorf("%d endings are known while a token may be valid by another clock, want 1", got)
	}
	c.advance(time.Second)
	if got := s.Forget(); got != 0 {
		t.Errorf("%d endings are known that no token outlives", got)
	}
}

func TestHearBelievesIDsOnly(t *testing.T) {
	s := newService(t, options(dbtest.Open(t, ""), newClock()))
	first, second := uuid.NewString(), uuid.NewString()
	for _, test := range []struct {
		message string
		want    int // endings known after it
	}{
		{"", 0}, {"all", 0}, {",,,", 0}, {strings.Repeat("0", 36), 0}, {"urn:uuid:" + first, 0}, {"{" + first + "}", 0},
		{strings.ReplaceAll(first, "-", ""), 0}, {"x," + first + ",y", 1}, {first, 1}, {first + "," + second, 2},
	} {
		s.Hear(test.message)
		if got := s.Forget(); got != test.want {
			t.Errorf("%d endings are known after %q, want %d", got, test.message, test.want)
		}
	}
}

// journal is a log that a test reads while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.text.String(), text)
}

func TestDatabaseAway(t *testing.T) {
	server := dbtest.NewServer(t)
	c, log := newClock(), &journal{}
	o := options(dbtest.Open(t, server.CreateDatabase(t)), c)
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	s := newService(t, o)
	run(t, s)
	opened := open(t, s)
	token := accessToken(t, s, opened)
	got, err := s.VerifyAccessToken(t.Context(), token)
	wantSession(t, got, err, opened)

	if err := server.Suspend(); err != nil {
		t.Fatal(err)
	}
	await(t, "the feed notices", func() bool { return log.has("cannot follow which sessions end") })
	got, err = s.VerifyAccessToken(t.Context(), token)
	wantBusy(t, got, err)
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	await(t, "the feed is back", func() bool { return log.has("following which sessions end again") })
	got, err = s.VerifyAccessToken(t.Context(), token)
	wantSession(t, got, err, opened)

	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // for as long, it may be accepted
	got, err = s.VerifyAccessToken(t.Context(), token)
	wantBusy(t, got, err)
}

func wantBusy(t *testing.T, got session.Session, err error) {
	t.Helper()
	if !apperr.Is(err, apperr.ServerBusy) || got != (session.Session{}) {
		t.Errorf("got %+v, %v; want ServerBusy", got, err)
	}
}

// TestRedisTells has a node that never asks the database after its start.
func TestRedisTells(t *testing.T) {
	server := dbtest.NewRedis(t)
	d, c := dbtest.Open(t, ""), newClock()
	node := func() *session.Service {
		client, err := redis.Open(redis.Options{URL: server.URL, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		o := options(d, c)
		o.Redis = client
		return newService(t, o)
	}
	here, there := node(), node()
	follow(t, there, time.Hour)
	// What was published before there had subscribed is lost, so sessions are ended until one is heard of.
	await(t, "there hears of an ending", func() bool {
		user := uuid.NewString()
		var tokens []string
		for range 3 {
			tokens = append(tokens, accessToken(t, here, openAs(t, here, user, audit.Origin{})))
		}
		if err := here.EndOthers(t.Context(), session.Session{UserID: user}, audit.Origin{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		refused := 0
		for _, token := range tokens {
			if _, err := there.VerifyAccessToken(t.Context(), token); err != nil {
				refused++
			}
		}
		return refused == len(tokens)
	})

	server.Stop()
	opened := open(t, here)
	logout(t, here, opened) // needs no Redis
	wantEnded(t, here, opened)
}

// BenchmarkVerifyAccessToken verifies a token that is remembered, while many sessions have ended.
func BenchmarkVerifyAccessToken(b *testing.B) {
	s := newService(b, options(dbtest.Open(b, ""), newClock()))
	for range 10_000 {
		s.Hear(uuid.NewString())
	}
	follow(b, s, 500*time.Millisecond)
	token := accessToken(b, s, open(b, s))
	for _, parallel := range []bool{false, true} {
		b.Run(fmt.Sprintf("parallel=%t", parallel), func(b *testing.B) {
			b.ReportAllocs()
			verify := func() {
				if _, err := s.VerifyAccessToken(b.Context(), token); err != nil {
					b.Error(err)
				}
			}
			if !parallel {
				for b.Loop() {
					verify()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					verify()
				}
			})
		})
	}
}
