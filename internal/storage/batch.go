package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Batch is a set of files that appear together or not at all. Call Create for each file, then Place,
// then Keep, Leave or Discard. Only one goroutine at a time may use it.
type Batch struct {
	disk    *Disk
	names   []string
	entries []string // the entries in incoming that mark the placed files, in the order of names
	decided bool     // by Keep, Leave or Discard
}

// NewBatch returns an empty batch.
func (d *Disk) NewBatch() *Batch {
	return &Batch{disk: d}
}

// Create creates a file that is not visible yet. The caller writes and closes it.
func (b *Batch) Create(name string) (*os.File, error) {
	if !valid(name) {
		return nil, fmt.Errorf("create file %q: %w", name, fs.ErrInvalid)
	}
	f, err := os.OpenFile(filepath.Join(b.disk.processDir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	b.names = append(b.names, name)
	return f, nil
}

// Place makes every file of the batch visible under its name. Unless Keep is called, Discard or a
// sweep may remove the files again.
func (b *Batch) Place() error {
	for _, name := range b.names {
		entry, err := b.disk.place(name)
		b.entries = append(b.entries, entry)
		if err != nil {
			return fmt.Errorf("place file %s: %w", name, err)
		}
	}
	return nil
}

// Keep decides that the placed files stay. They stay even if Keep fails to remove their entries:
// a sweep will remove them.
func (b *Batch) Keep() error {
	b.decided = true
	var failed error
	for _, entry := range b.entries {
		failed = errors.Join(failed, os.Remove(entry))
	}
	return failed
}

// Leave leaves the decision to the next sweep. Until then the files stay placed.
func (b *Batch) Leave() {
	b.decided = true
	b.disk.leave(b.entries...)
}

// Discard removes every file of the batch. After Keep or Leave it does nothing, so it can be deferred.
func (b *Batch) Discard() error {
	if b.decided {
		return nil
	}
	b.decided = true
	var failed error
	for i, name := range b.names {
		failed = errors.Join(failed, b.disk.discard(name, i < len(b.entries)))
	}
	return failed
}

// discard removes a file of this process: the visible file first, because its entry in incoming
// must outlive it.
func (d *Disk) discard(name string, placed bool) error {
	entry := filepath.Join(d.processDir, name)
	if placed {
		if err := d.remove(name); err != nil {
			return err
		}
		if err := removeIfThere(entry + marked); err != nil {
			return err
		}
	}
	return removeIfThere(entry)
}
