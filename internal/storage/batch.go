package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Batch is a set of files that appear together or not at all. Call Create for each file, then Place,
// then Keep, Leave or Discard. Only one goroutine at a time may use it.
type Batch struct {
	store   *Store
	files   []*batchFile
	decided bool // by Keep, Leave or Discard
}

type batchFile struct {
	name      string
	entry     string // the entry in the spool that marks it as undecided
	tried     bool   // Place may have made it visible
	mayAppear bool   // the shelf may make it visible later
}

// NewBatch returns an empty batch.
func (s *Store) NewBatch() *Batch {
	return &Batch{store: s}
}

// Create creates a file in the spool that is not visible yet. The caller writes it, may read it, and
// closes it.
func (b *Batch) Create(name string) (*os.File, error) {
	if !valid(name) {
		return nil, fmt.Errorf("create file %q: %w", name, fs.ErrInvalid)
	}
	entry := b.store.entry(name)
	f, err := os.OpenFile(entry, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	b.files = append(b.files, &batchFile{name: name, entry: entry})
	return f, nil
}

// Drop removes one file from the batch, before or after Place: one that turned out not to be needed.
// If that fails, the file is left to the next sweep, for which it must have no row.
func (b *Batch) Drop(ctx context.Context, name string) error {
	i := slices.IndexFunc(b.files, func(f *batchFile) bool { return f.name == name })
	if i < 0 {
		return fmt.Errorf("drop file %q: %w", name, fs.ErrNotExist)
	}
	dropped := b.files[i]
	b.files = slices.Delete(b.files, i, i+1)
	return b.store.discard(ctx, dropped)
}

// Place makes every file of the batch visible under its name. Unless Keep is called, Discard or a
// sweep may remove the files again.
func (b *Batch) Place(ctx context.Context) error {
	return forEach(len(b.files), func(i int) (err error) {
		f := b.files[i]
		f.tried = true
		ctx, o := b.store.begin(ctx, "place")
		defer func() { o.end(err) }()
		if f.entry, err = b.store.shelf.place(ctx, f.entry, f.name); err != nil {
			f.mayAppear = errors.Is(err, errMayAppear)
			return fmt.Errorf("place file %s: %w", f.name, err)
		}
		return nil
	})
}

// Keep decides that the placed files stay. They stay even if Keep fails to remove their entries:
// a sweep will remove them.
func (b *Batch) Keep() error {
	b.decided = true
	var failed error
	for _, f := range b.files {
		failed = errors.Join(failed, os.Remove(f.entry))
	}
	return failed
}

// Leave leaves the decision to the next sweep. Until then the files stay placed.
func (b *Batch) Leave() {
	b.decided = true
	for _, f := range b.files {
		b.store.leave(f.entry)
	}
}

// Discard removes every file of the batch, also if ctx has ended. What it can't remove is left to the
// next sweep. After Keep or Leave it does nothing, so it can be deferred.
func (b *Batch) Discard(ctx context.Context) error {
	if b.decided {
		return nil
	}
	b.decided = true
	return forEach(len(b.files), func(i int) error { return b.store.discard(ctx, b.files[i]) })
}

// discard removes a file of this process: the visible file first, because its entry in the spool
// must outlive it.
func (s *Store) discard(ctx context.Context, f *batchFile) (err error) {
	if f.tried {
		ctx, o := s.begin(ctx, "remove")
		err = s.shelf.Remove(context.WithoutCancel(ctx), f.name)
		o.end(err)
	}
	if err == nil && !f.mayAppear {
		err = errors.Join(removeIfThere(s.entry(f.name+marked)), removeIfThere(s.entry(f.name)))
	}
	if err != nil || f.mayAppear {
		s.leave(f.entry)
	}
	return err
}
