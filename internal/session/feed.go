package session

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/database"
)

const (
	// An ended session is refused within a second: a poll counts for trustFor from its start, and the
	// next one has 400 ms to answer before it no longer does.
	pollInterval = 500 * time.Millisecond
	trustFor     = 900 * time.Millisecond
	// A poll that takes longer is given up, for a connection that works.
	pollTimeout = 2 * time.Second
	// How often endings are forgotten that no access token outlives.
	forgetInterval = time.Minute

	endingsChannel = "gatehouse:session-endings" // of Redis
	idSeparator    = ","
)

// feed knows the sessions that have ended and of which an access token may still be valid. It
// follows what all nodes note in the database; Redis is only faster.
type feed struct {
	database *database.Database
	log      *slog.Logger
	now      func() time.Time
	keep     time.Duration // how long an ending matters

	interval, trust time.Duration // pollInterval and trustFor, but in tests

	since   time.Time                 // the next poll asks for the endings from then on; only poll uses it
	current atomic.Pointer[time.Time] // when the last poll that succeeded began, by the monotonic clock

	mu    sync.RWMutex
	ended map[string]time.Time // by session id: when it may be forgotten
}

func newFeed(options Options) *feed {
	f := &feed{
		database: options.Database, log: options.Logger, now: options.Now, keep: tokensGone(options),
		interval: pollInterval, trust: trustFor, ended: map[string]time.Time{},
	}
	f.since = f.now().Add(-f.keep)
	f.current.Store(&time.Time{})
	return f
}

// isCurrent reports whether the feed knows every session that ended more than a second ago. It must
// be asked before isEnded. It goes by the machine's own time, which the injected clock is not.
func (f *feed) isCurrent() bool {
	return time.Since(*f.current.Load()) < f.trust
}

func (f *feed) isEnded(id string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ended := f.ended[id]
	return ended
}

func (f *feed) add(ids ...string) {
	until := f.now().Add(f.keep)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.ended[id] = until
	}
}

func (f *feed) forget() {
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.ended, func(_ string, until time.Time) bool { return now.After(until) })
}

// hear adds the endings that another node has published. Redis is not believed to send only those.
func (f *feed) hear(message string) {
	for id := range strings.SplitSeq(message, idSeparator) {
		if len(id) == 36 && uuid.Validate(id) == nil {
			f.add(id)
		}
	}
}

// follow polls until ctx ends.
func (f *feed) follow(ctx context.Context) {
	poll, forget := time.NewTicker(f.interval), time.NewTicker(forgetInterval)
	defer poll.Stop()
	defer forget.Stop()
	for failing := false; ; {
		err := f.catchUp(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			f.log.WarnContext(ctx, "cannot follow which sessions end; each request asks the database itself", "error", err)
		}
		if err == nil && failing {
			f.log.InfoContext(ctx, "following which sessions end again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-forget.C:
			f.forget()
		case <-poll.C:
		}
	}
}

// catchUp polls, and is current from when it began to.
func (f *feed) catchUp(ctx context.Context) error {
	began := time.Now()
	if err := f.poll(ctx); err != nil {
		return err
	}
	f.current.Store(&began)
	return nil
}

// poll adds the endings since the last poll. It asks again for those of a while before: the clocks
// of the nodes differ by up to clockSkew, and a transaction is seen later than its time.
func (f *feed) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	now := f.now()
	ids, err := f.database.Queries().ListSessionEndings(ctx, database.Timestamp(f.since))
	if err != nil {
		return fmt.Errorf("list the sessions that ended: %w", database.Refusal(err))
	}
	f.add(ids...)
	f.since = now.Add(-2 * clockSkew)
	return nil
}
