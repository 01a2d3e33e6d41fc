package limit

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"gatehouse/internal/dbtest"
	"gatehouse/internal/redis"
)

// hang is how long something may take that takes a second at most, before it is said to hang.
const hang = 30 * time.Second

func newLimiter(tb testing.TB, o Options) *Limiter {
	tb.Helper()
	l, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// newNode returns the limiter of a node of its own that shares its counts through a server.
func newNode(tb testing.TB, server *dbtest.Redis) *Limiter {
	tb.Helper()
	client, err := redis.Open(redis.Options{URL: server.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := client.Close(); err != nil {
			tb.Error(err)
		}
	})
	return newLimiter(tb, Options{Redis: client})
}

func take(tb testing.TB, l *Limiter, rate Rate, who string) Result {
	tb.Helper()
	r, err := l.Take(tb.Context(), Read, rate, who)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// awaitShared takes until the count comes from Redis, and not from a node that found it too slow.
func awaitShared(tb testing.TB, l *Limiter) {
	tb.Helper()
	rate := Rate{1000, time.Second}
	for deadline := time.Now().Add(hang); take(tb, l, rate, "awaiting").Limit != rate.Count; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatal("waited in vain for counts from Redis")
		}
	}
}

func TestMemory(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := newLimiter(t, Options{Now: func() time.Time { return now }})
	rate := Rate{3, time.Minute}
	for _, tt := range []struct {
		after time.Duration
		want  Result
	}{
		{0, Result{Limit: 3, Remaining: 2, ResetAfter: 20 * time.Second}},
		{0, Result{Limit: 3, Remaining: 1, ResetAfter: 40 * time.Second}},
		{0, Result{Limit: 3, Remaining: 0, ResetAfter: 60 * time.Second}},
		{0, Result{Limited: true, Limit: 3, Remaining: 0, ResetAfter: 60 * time.Second, RetryAfter: 20 * time.Second}},
		{15 * time.Second, Result{Limited: true, Limit: 3, Remaining: 0, ResetAfter: 45 * time.Second, RetryAfter: 5 * time.Second}},
		{5 * time.Second, Result{Limit: 3, Remaining: 0, ResetAfter: 60 * time.Second}},
		{time.Hour, Result{Limit: 3, Remaining: 2, ResetAfter: 20 * time.Second}},
	} {
		now = now.Add(tt.after)
		if got := take(t, l, rate, "who"); got != tt.want {
			t.Errorf("at %s: %+v, want %+v", now.Format(time.TimeOnly), got, tt.want)
		}
	}
}

// untilWhole repeats a round of requests, each time by somebody else, until a node counted none of
// them alone, as it rightly does if this machine stands still for 50 ms.
func untilWhole(t *testing.T, round func(who string) (whole bool)) {
	t.Helper()
	for try := range 100 {
		if round(fmt.Sprint("who", try)) {
			return
		}
	}
	t.Fatal("Redis was too slow for 100 rounds")
}

// TestRedisCountsAsMemory compares with the same requests in memory; the clock of Redis can't be set.
func TestRedisCountsAsMemory(t *testing.T) {
	l := newNode(t, dbtest.NewRedis(t))
	for _, rate := range []Rate{{2, time.Hour}, {3, time.Hour}, {7, time.Hour}, {10, time.Hour}, {50, 24 * time.Hour}} {
		untilWhole(t, func(who string) bool {
			awaitShared(t, l)
			return compare(t, l, rate, rate.String()+who)
		})
	}
}

// compare reports whether Redis counted every request.
func compare(t *testing.T, shared *Limiter, rate Rate, who string) (whole bool) {
	t.Helper()
	now := time.Now()
	memory := newLimiter(t, Options{Now: func() time.Time { return now }})
	for i := range rate.Count + 2 {
		got, want := take(t, shared, rate, who), take(t, memory, rate, who)
		if got.Limit != rate.Count {
			return false
		}
		if got.Limited != want.Limited || got.Limit != want.Limit || got.Remaining != want.Remaining {
			t.Errorf("request %d of %s: %+v, want %+v", i+1, rate, got, want)
		}
		if d := want.ResetAfter - got.ResetAfter; d < -time.Millisecond || d > hang {
			t.Errorf("request %d of %s: reset after %s, want %s", i+1, rate, got.ResetAfter, want.ResetAfter)
		}
		if d := want.RetryAfter - got.RetryAfter; d < -time.Millisecond || d > hang || want.Limited != (got.RetryAfter > 0) {
			t.Errorf("request %d of %s: retry after %s, want %s", i+1, rate, got.RetryAfter, want.RetryAfter)
		}
	}
	return true
}

func TestRedisAllowsMoreInTime(t *testing.T) {
	l := newNode(t, dbtest.NewRedis(t))
	awaitShared(t, l)
	rate := Rate{1, time.Second}
	take(t, l, rate, "who")
	for deadline := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		r := take(t, l, rate, "who")
		if !r.Limited {
			return
		}
		if r.RetryAfter <= 0 || r.RetryAfter > time.Second {
			t.Errorf("retry after %s, want up to a second", r.RetryAfter)
		}
		if time.Now().After(deadline) {
			t.Fatal("never allowed again")
		}
	}
}

// parallel makes 100 requests at once, spread over the limiters. It returns how many were allowed,
// and whether none was counted by a node alone.
func parallel(t *testing.T, limiters []*Limiter, rate Rate, who string) (allowed int, whole bool) {
	t.Helper()
	var count, alone atomic.Int64
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			r, err := limiters[i%len(limiters)].Take(t.Context(), Read, rate, who)
			if err != nil {
				t.Error(err)
			}
			if !r.Limited {
				count.Add(1)
			}
			if r.Limit != rate.Count {
				alone.Add(1)
			}
		})
	}
	all.Wait()
	return int(count.Load()), alone.Load() == 0
}

func TestParallelRequestsInMemory(t *testing.T) {
	l := newLimiter(t, Options{})
	for _, want := range []int{10, 100} {
		allowed, _ := parallel(t, []*Limiter{l}, Rate{want, time.Hour}, fmt.Sprint("who", want))
		if allowed != want {
			t.Errorf("%d requests allowed, want %d", allowed, want)
		}
	}
}

func TestParallelRequestsOnTwoNodes(t *testing.T) {
	server := dbtest.NewRedis(t)
	nodes := []*Limiter{newNode(t, server), newNode(t, server)}
	rate := Rate{10, time.Hour}
	untilWhole(t, func(who string) bool {
		for _, l := range nodes {
			awaitShared(t, l)
		}
		allowed, whole := parallel(t, nodes, rate, who)
		if whole && allowed != rate.Count {
			t.Errorf("%d requests allowed, want %d", allowed, rate.Count)
		}
		return whole
	})
}

func TestAwayIsStricterAndEnds(t *testing.T) {
	server := dbtest.NewRedis(t)
	l := newNode(t, server)
	awaitShared(t, l)
	server.Stop()
	wantAlone(t, l, Rate{20, time.Hour}, 5)
	wantAlone(t, l, Rate{1, time.Hour}, 1)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	awaitShared(t, l)
}

func TestHangingRedis(t *testing.T) {
	server := dbtest.NewRedis(t)
	l := newNode(t, server)
	awaitShared(t, l)
	if err := server.Suspend(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wantAlone(t, l, Rate{20, time.Hour}, 5)
	}()
	select {
	case <-done:
	case <-time.After(hang):
		t.Fatal("Take hangs")
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitShared(t, l)
}

// wantAlone checks how many requests of a new client are allowed on this node, without Redis.
func wantAlone(t *testing.T, l *Limiter, rate Rate, want int) {
	t.Helper()
	allowed := 0
	for range 2 * rate.Count {
		r, err := l.Take(t.Context(), Write, rate, rate.String())
		if err != nil {
			t.Error(err)
		}
		if !r.Limited {
			allowed++
		}
		if r.Limit != want {
			t.Errorf("limit %d, want %d", r.Limit, want)
		}
	}
	if allowed != want {
		t.Errorf("%d requests of %s allowed, want %d", allowed, rate, want)
	}
}

// TestGoneCallerIsCounted checks that a client that hangs up early is limited too.
func TestGoneCallerIsCounted(t *testing.T) {
	l := newNode(t, dbtest.NewRedis(t))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	allowed := 0
	for range 40 {
		r, err := l.Take(gone, Read, Rate{20, time.Hour}, "who")
		if err != nil {
			t.Fatal(err)
		}
		if !r.Limited {
			allowed++
		}
	}
	if allowed != 5 {
		t.Errorf("%d requests allowed, want 5", allowed)
	}
}

func TestKeysInRedisEnd(t *testing.T) {
	server := dbtest.NewRedis(t)
	l := newNode(t, server)
	awaitShared(t, l)
	take(t, l, Rate{1, time.Hour}, "192.0.2.1")
	o, err := goredis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(o)
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("keys %q, %v; want some", keys, err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "gatehouse:") {
			t.Errorf("key %s, want one with our prefix", key)
		}
		if ttl := client.TTL(t.Context(), key).Val(); ttl == -1 || ttl > time.Hour { // -2: it has ended
			t.Errorf("key %s ends after %s, want an hour at most", key, ttl)
		}
	}
}

// TestRaisedRateHoldsAtOnce keeps nobody waiting for the rate of before.
func TestRaisedRateHoldsAtOnce(t *testing.T) {
	l := newNode(t, dbtest.NewRedis(t))
	awaitShared(t, l)
	untilWhole(t, func(who string) bool {
		low, high := Rate{4, 24 * time.Hour}, Rate{100, time.Hour}
		before := take(t, l, low, who)
		raised, next := take(t, l, high, who), take(t, l, high, who)
		if before.Limit != low.Count || raised.Limit != high.Count || next.Limit != high.Count {
			return false
		}
		if raised.Limited || !next.Limited || next.RetryAfter > high.interval() {
			t.Errorf("after the rate was raised: %+v, then %+v; want one that is allowed, and one that soon is", raised, next)
		}
		return true
	})
}

func TestClassesAndClientsAreCountedApart(t *testing.T) {
	l := newLimiter(t, Options{})
	for _, key := range []struct{ class, who string }{{Read, "a"}, {Read, "b"}, {Write, "a"}} {
		if r, err := l.Take(t.Context(), key.class, Rate{1, time.Hour}, key.who); err != nil || r.Limited {
			t.Errorf("first request of %s: %+v, %v", key, r, err)
		}
	}
}

func TestInvalidRate(t *testing.T) {
	l := newLimiter(t, Options{})
	for _, rate := range []Rate{{}, {0, time.Second}, {-1, time.Second}, {1, 0}, {1, -time.Second}, {10, time.Microsecond}} {
		if r, err := l.Take(t.Context(), Read, rate, "who"); err == nil {
			t.Errorf("%+v: %+v, want an error", rate, r)
		}
	}
}

func BenchmarkTakeInMemory(b *testing.B) {
	benchmarkTake(b, newLimiter(b, Options{}))
}

func BenchmarkTakeInRedis(b *testing.B) {
	l := newNode(b, dbtest.NewRedis(b))
	awaitShared(b, l)
	benchmarkTake(b, l)
}

func benchmarkTake(b *testing.B, l *Limiter) {
	rate := Rate{maxCount, time.Second}
	var alone atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r, err := l.Take(b.Context(), Read, rate, "192.0.2.1")
			if err != nil {
				b.Error(err)
			}
			if r.Limit != rate.Count {
				alone.Add(1)
			}
		}
	})
	b.ReportMetric(float64(alone.Load())/float64(b.N), "alone/op")
}

func TestObserveRefusal(t *testing.T) {
	var refused []string
	l := newLimiter(t, Options{ObserveRefusal: func(class string) { refused = append(refused, class) }})
	for range 3 {
		take(t, l, Rate{1, time.Hour}, "somebody")
	}
	if len(refused) != 2 || refused[0] != Read {
		t.Errorf("refused are %q, want two of %s", refused, Read)
	}
}
