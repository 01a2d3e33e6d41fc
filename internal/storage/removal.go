package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Removal removes files together with their rows. Make one with Mark, delete the rows, then call
// Finish, also if the rows could not be deleted. Removals of the same file may run at the same time,
// in several processes: each has a mark of its own.
type Removal struct {
	store   *Store
	entries []string // the marks in the spool
}

// Mark marks files that are about to lose their rows. If it fails, it marks none.
func (s *Store) Mark(names ...string) (*Removal, error) {
	r := &Removal{store: s}
	for _, name := range names {
		if err := r.mark(name); err != nil {
			return nil, errors.Join(fmt.Errorf("mark file %q: %w", name, err), r.unmark())
		}
	}
	return r, nil
}

func (r *Removal) mark(name string) error {
	if !valid(name) {
		return fs.ErrInvalid
	}
	entry := r.store.entry(name + marked + rand.Text())
	if err := os.WriteFile(entry, nil, fileMode); err != nil {
		return err
	}
	r.entries = append(r.entries, entry)
	return nil
}

func (r *Removal) unmark() error {
	var failed error
	for _, entry := range r.entries {
		failed = errors.Join(failed, removeIfThere(entry))
	}
	return failed
}

// Finish removes the files for which stored returns false, and then every mark. What fails is left to
// the next sweep.
func (r *Removal) Finish(ctx context.Context, stored func(ctx context.Context, name string) (bool, error)) error {
	return r.store.decide(ctx, r.entries, stored)
}
