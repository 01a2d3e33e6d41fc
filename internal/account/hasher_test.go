package account

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/apperr"
)

var cheap = HasherOptions{Memory: 64, Iterations: 1, Parallelism: 1, Concurrency: 2, Wait: time.Minute}

func TestHash(t *testing.T) {
	h := NewHasher(cheap)
	first, err := h.Hash(t.Context(), "open sesame")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(first, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("the hash is %s", first)
	}
	if second, err := h.Hash(t.Context(), "open sesame"); err != nil || second == first {
		t.Errorf("the same password has the same hash twice, or %v", err)
	}
	for _, test := range []struct {
		password string
		want     bool
	}{{"open sesame", true}, {"Open sesame", false}, {"open sesame ", false}, {"", false}} {
		matches, outdated, err := h.Matches(t.Context(), test.password, first)
		if matches != test.want || outdated || err != nil {
			t.Errorf("%q: matches %t, outdated %t, %v; want %t", test.password, matches, outdated, err, test.want)
		}
	}
}

func TestPasswordsAreTheSameOnEveryKeyboard(t *testing.T) {
	h := NewHasher(cheap)
	const composed, decomposed = "caf\u00e9 \ud55c\uad6d", "cafe\u0301 \u1112\u1161\u11ab\u1100\u116e\u11a8"
	for _, test := range []struct{ registered, sent string }{{composed, decomposed}, {decomposed, composed}} {
		hash, err := h.Hash(t.Context(), test.registered)
		if err != nil {
			t.Fatal(err)
		}
		if matches, _, err := h.Matches(t.Context(), test.sent, hash); !matches || err != nil {
			t.Errorf("%+q does not match the hash of %+q: %v", test.sent, test.registered, err)
		}
	}
}

func TestHashOfOtherParametersIsOutdated(t *testing.T) {
	hash, err := NewHasher(cheap).Hash(t.Context(), "open sesame")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*HasherOptions){
		"memory": func(o *HasherOptions) { o.Memory = 128 }, "iterations": func(o *HasherOptions) { o.Iterations = 2 },
		"parallelism": func(o *HasherOptions) { o.Parallelism = 2 },
	} {
		options := cheap
		change(&options)
		matches, outdated, err := NewHasher(options).Matches(t.Context(), "open sesame", hash)
		if !matches || !outdated || err != nil {
			t.Errorf("%s changed: matches %t, outdated %t, %v", name, matches, outdated, err)
		}
	}
}

func TestBrokenHashIsAnErrorAndGivesItsTurnBack(t *testing.T) {
	h := NewHasher(cheap)
	for _, hash := range []string{"", "demo123456", "$argon2id$v=19$m=64,t=1$YWJj$YWJj", "$2a$10$abcdefghijklmnopqrstuv"} {
		if matches, _, err := h.Matches(t.Context(), "open sesame", hash); matches || err == nil {
			t.Errorf("%q: matches %t, %v", hash, matches, err)
		}
	}
	wantAllTurnsFree(t, h)
}

// wantAllTurnsFree checks that no hash has kept its turn.
func wantAllTurnsFree(t *testing.T, h *Hasher) {
	t.Helper()
	if !h.turns.TryAcquire(int64(cheap.Concurrency)) {
		t.Error("a turn was not given back")
	}
}

// everyUse is each way to spend a hash.
var everyUse = map[string]func(ctx context.Context, h *Hasher) error{
	"Hash": func(ctx context.Context, h *Hasher) error { _, err := h.Hash(ctx, "open sesame"); return err },
	"Matches": func(ctx context.Context, h *Hasher) error {
		_, _, err := h.Matches(ctx, "open sesame", h.decoy)
		return err
	},
	"Waste": func(ctx context.Context, h *Hasher) error { return h.Waste(ctx, "open sesame") },
}

func TestNoTurnIsBusy(t *testing.T) {
	for name, use := range everyUse {
		t.Run(name, func(t *testing.T) {
			options := cheap
			options.Wait = time.Nanosecond
			h := NewHasher(options)
			if !h.turns.TryAcquire(int64(options.Concurrency)) {
				t.Fatal("the turns are not free")
			}
			err := use(t.Context(), h)
			if !apperr.Is(err, apperr.ServerBusy) || apperr.From(err).RetryAfter < time.Second {
				t.Errorf("error is %v, want ServerBusy with a time to come back after", err)
			}
			h.turns.Release(int64(options.Concurrency))
			wantAllTurnsFree(t, h)
		})
	}
}

func TestFreeTurnTakesNoTime(t *testing.T) {
	for name, use := range everyUse {
		t.Run(name, func(t *testing.T) {
			options := cheap
			options.Wait = 0
			if err := use(t.Context(), NewHasher(options)); err != nil {
				t.Errorf("error is %v, though nobody was before it", err)
			}
		})
	}
}

func TestWhoGoesAwayLeavesTheQueue(t *testing.T) {
	for name, use := range everyUse {
		t.Run(name, func(t *testing.T) {
			h := NewHasher(cheap)
			if !h.turns.TryAcquire(int64(cheap.Concurrency)) {
				t.Fatal("the turns are not free")
			}
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error)
			go func() { result <- use(ctx, h) }()
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) || apperr.Is(err, apperr.ServerBusy) {
				t.Errorf("error is %v, want the context's", err)
			}
			h.turns.Release(int64(cheap.Concurrency))
			wantAllTurnsFree(t, h)
		})
	}
}

// TestNeverMoreHashesThanAllowed looks at the stacks of all goroutines while many hash.
func TestNeverMoreHashesThanAllowed(t *testing.T) {
	options := cheap
	options.Memory = 4096
	h := NewHasher(options)
	var hashing sync.WaitGroup
	for range 40 {
		hashing.Go(func() {
			if _, err := h.Hash(t.Context(), "open sesame"); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	go func() { hashing.Wait(); close(done) }()
	most := 0
	for stacks := make([]byte, 1<<20); ; {
		most = max(most, strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "argon2.processBlocks("))
		select {
		case <-done:
			if most == 0 || most > options.Concurrency {
				t.Errorf("%d hashes ran at once, want 1 to %d", most, options.Concurrency)
			}
			return
		default:
			runtime.Gosched()
		}
	}
}

func TestHasherStats(t *testing.T) {
	options, waits := cheap, make(chan time.Duration, 1)
	options.ObserveWait = func(waited time.Duration) { waits <- waited }
	h := NewHasher(options)
	wantStats := func(want HasherStats) {
		t.Helper()
		want.Turns = options.Concurrency
		if got := h.Stats(); got != want {
			t.Errorf("stats are %+v, want %+v", got, want)
		}
	}
	wantStats(HasherStats{})
	if err := h.takeTurn(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-waits
	wantStats(HasherStats{Running: 1, Computed: 1})
	h.endTurn()
	wantStats(HasherStats{Computed: 1})

	h.turns.TryAcquire(int64(options.Concurrency))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- h.takeTurn(ctx) }()
	for h.Stats().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel() // who goes away is not refused
	<-result
	h.wait = time.Nanosecond
	if err := h.takeTurn(t.Context()); !apperr.Is(err, apperr.ServerBusy) {
		t.Errorf("error is %v, want ServerBusy", err)
	}
	wantStats(HasherStats{Computed: 1, Refused: 1})
	if len(waits) > 0 {
		t.Error("a wait without a turn was observed")
	}
}
