package database

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gatehouse/internal/db"
	"gatehouse/internal/trace"
)

const (
	maxTries   = 10
	retryFor   = 3 * time.Second // a running try is not interrupted
	firstPause = 2 * time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// InTx runs fn in a transaction and commits it, unless fn returns an error or panics.
//
// If the database reports a deadlock, a lock timeout, a write conflict, that it is busy, or a lost
// connection, InTx runs fn again, up to ten times and for up to three seconds. So fn must have no
// effect except through q, and must return every error that it does not handle; after a duplicate
// (see IsDuplicate) it may continue. It must not call InTx.
//
// If the context ends, InTx gives up before the commit, but never during it: it then returns the
// context's error, and nothing was stored. See ErrCommitUnknown for the one uncertain result, and
// Refusal for the codes of its errors.
func (d *Database) InTx(ctx context.Context, fn func(q *db.Queries) error) error {
	ctx, span := trace.Start(ctx, "transaction")
	err := d.write(ctx, func() error { return d.engine.transact(ctx, fn) })
	span.End(err)
	return err
}

// Exec runs one statement, which needs no transaction: on MySQL that saves two of three round trips.
// The statement must use the context passed to fn, which does not end with the caller's, so that the
// result of a running statement is not left in doubt. Errors and retries are as in InTx.
func (d *Database) Exec(ctx context.Context, fn func(ctx context.Context, q *db.Queries) error) error {
	return d.write(ctx, func() error { return d.engine.exec(ctx, fn) })
}

// write retries, counts and measures.
func (d *Database) write(ctx context.Context, try func() error) error {
	start, tries := time.Now(), 0
	err := retry(ctx, func() error {
		tries++
		return try()
	})
	d.observeWrite(time.Since(start))
	d.retries.Add(int64(max(0, tries-1)))
	if errors.Is(err, ErrCommitUnknown) {
		d.commitsUnknown.Add(1)
	}
	return Refusal(err)
}

// errFree makes Taken roll its transaction back.
var errFree = errors.New("the key is free")

// Taken reports whether a unique key of the row that fn inserts is taken, also by a row that is being
// committed: MySQL may still do so for a process that was killed. A read would miss such a row. The
// insert waits for it at the index, and is rolled back.
func (d *Database) Taken(ctx context.Context, fn func(q *db.Queries) error) (bool, error) {
	err := d.InTx(ctx, func(q *db.Queries) error {
		if err := fn(q); err != nil {
			return err
		}
		return errFree
	})
	switch {
	case errors.Is(err, errFree):
		return false, nil
	case IsDuplicate(err):
		return true, nil
	}
	return false, err
}

// retry calls f until the database is not busy, or the tries or the time are used up.
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

// commitError marks the error of a COMMIT whose result is unknown.
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
