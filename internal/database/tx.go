package database

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"gatehouse/internal/db"
)

const (
	maxTries   = 10
	retryFor   = 3 * time.Second // a try under way is not cut off
	firstPause = 2 * time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// InTx runs fn in a transaction and stores what it wrote, unless fn returns an error or panics.
//
// Where the database reports a deadlock, a lock timeout, a write conflict, that it is busy, or a
// lost connection, InTx runs fn again, up to ten times and for up to three seconds. So fn must
// touch nothing but the database, through q alone, and must return each error that it doesn't
// understand; after a duplicate (see IsDuplicate) it may go on. It must not call InTx.
//
// A context that ends makes InTx give up before the commit, never during it: the error is then
// the context's and nothing was stored. See ErrCommitUnknown for the one doubtful outcome,
// and Refusal for the codes that its errors bear.
func (d *Database) InTx(ctx context.Context, fn func(q *db.Queries) error) error {
	return Refusal(retry(ctx, func() error { return d.engine.transact(ctx, fn) }))
}

// Exec runs one statement, which needs no transaction around it: on MySQL that saves two of three
// round trips. The statement takes the context that fn is given, which does not end with the
// caller's: a statement under way is not left in doubt. It fails, and is tried again, as in InTx.
func (d *Database) Exec(ctx context.Context, fn func(ctx context.Context, q *db.Queries) error) error {
	return Refusal(retry(ctx, func() error { return d.engine.exec(ctx, fn) }))
}

// retry calls f until it returns something other than a busy database, or was called often enough.
func retry(ctx context.Context, f func() error) error {
	pause, start := firstPause, time.Now()
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f()
		if !isBusy(err) {
			return err
		}
		if try == maxTries || time.Since(start) > retryFor {
			return fmt.Errorf("tried %d times: %w", try, err)
		}
		if err := sleep(ctx, rand.N(pause)); err != nil {
			return err
		}
		pause = min(2*pause, maxPause)
	}
}

// commitError tells apart the ways in which a COMMIT fails.
func commitError(err error) error {
	if err == nil || isDefinite(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
}

// sleep returns early, with the context's error, when the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
