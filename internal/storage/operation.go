package storage

import (
	"errors"
	"io/fs"
	"time"
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
}

func (s *Store) begin(name string) operation {
	return operation{store: s, name: name, start: time.Now()}
}

// end tells who observes the store. What is read from a file after it was opened is not in it.
func (o operation) end(err error) {
	o.store.observe(o.name, outcomeOf(err), time.Since(o.start))
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
