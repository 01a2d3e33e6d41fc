package storage

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"gatehouse/internal/trace"
)

// What comes of an operation.
const (
	outcomeOK          = "ok"
	outcomeNotFound    = "not-found"
	outcomeFull        = "full"
	outcomeUnavailable = "unavailable"
	outcomeFailed      = "failed"
)

// operation is a call of a shelf that is under way.
type operation struct {
	store *Store
	name  string
	start time.Time
	span  trace.Span
}

func (s *Store) begin(ctx context.Context, name string) (context.Context, operation) {
	ctx, span := trace.Start(ctx, "storage "+name)
	return ctx, operation{store: s, name: name, start: time.Now(), span: span}
}

// end tells who observes the store. What is read from a file after it was opened is not in it.
func (o operation) end(err error) {
	outcome := outcomeOf(err)
	o.store.observe(o.name, outcome, time.Since(o.start))
	o.span.Set("gatehouse.outcome", outcome)
	if outcome == outcomeNotFound { // as often as not
		err = nil
	}
	o.span.End(err)
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return outcomeOK
	case errors.Is(err, fs.ErrNotExist):
		return outcomeNotFound
	case IsFull(err):
		return outcomeFull
	case IsUnavailable(err):
		return outcomeUnavailable
	}
	return outcomeFailed
}
