package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Batch is files that appear together or not at all. Its way is Create for each file, Place,
// then Keep or Discard. It is used by one goroutine at a time.
type Batch struct {
	disk    *Disk
	names   []string
	entries []string // what in incoming bears witness to the files placed, in the order of names
	over    bool
}

// NewBatch returns an empty batch.
func (d *Disk) NewBatch() *Batch {
	return &Batch{disk: d}
}

// Create makes a file that nobody sees yet. The caller writes and closes it.
func (b *Batch) Create(name string) (*os.File, error) {
	if !valid(name) {
		return nil, fmt.Errorf("create file %q: %w", name, fs.ErrInvalid)
	}
	f, err := os.OpenFile(filepath.Join(b.disk.own, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	b.names = append(b.names, name)
	return f, nil
}

// Place makes every file of the batch appear under its name. It is undone by Discard, or by a
// sweep after this process has died, unless Keep is called.
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

// Keep decides that the placed files stay. They do, even if Keep fails to tidy up: a sweep will.
func (b *Batch) Keep() error {
	b.over = true
	var failed error
	for _, entry := range b.entries {
		failed = errors.Join(failed, os.Remove(entry))
	}
	return failed
}

// Leave decides nothing: the files stay placed until a sweep, after this process has ended, asks
// again whether they are to stay.
func (b *Batch) Leave() {
	b.over = true
}

// Discard removes every file of the batch, unless Keep or Leave came before. A defer may call it.
func (b *Batch) Discard() error {
	if b.over {
		return nil
	}
	b.over = true
	var failed error
	for i, name := range b.names {
		failed = errors.Join(failed, b.disk.discard(name, i < len(b.entries)))
	}
	return failed
}

// discard removes a file of this process, what the world sees first: the entry in incoming must
// not go before it.
func (d *Disk) discard(name string, placed bool) error {
	entry := filepath.Join(d.own, name)
	if placed {
		if err := d.remove(name); err != nil {
			return err
		}
		if err := removeIfThere(entry + moved); err != nil {
			return err
		}
	}
	return removeIfThere(entry)
}
