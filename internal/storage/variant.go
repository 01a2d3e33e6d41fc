package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// OpenVariant opens what was derived from a file, for reading, until ctx ends. Its error is
// fs.ErrNotExist if it is not stored, or a name is not valid. Variants are a cache: they may vanish at any time.
func (s *Store) OpenVariant(ctx context.Context, name, variant string) (_ *File, err error) {
	if !valid(name) || !validVariant(variant) {
		return nil, fs.ErrNotExist
	}
	ctx, o := s.begin(ctx, "open-variant")
	defer func() { o.end(err) }()
	f, err := s.shelf.openVariant(ctx, name, variant)
	if err == nil && f.Size == 0 { // a power failure may cut what was not synced
		return nil, errors.Join(fs.ErrNotExist, f.Content.Close())
	}
	return f, err
}

// PutVariant stores what was derived from a file, with all its bytes or not at all. Where it does not fit
// among the file's other variants, the oldest of them make room; what has more bytes than all of them may
// have is not stored, without an error. The error is fs.ErrNotExist if the file is gone meanwhile.
func (s *Store) PutVariant(ctx context.Context, name, variant string, data []byte) error {
	if !valid(name) || !validVariant(variant) {
		return fmt.Errorf("store variant %q of %q: %w", variant, name, fs.ErrInvalid)
	}
	ctx, o := s.begin(ctx, "put-variant")
	err := s.putVariant(ctx, name, variant, data)
	o.end(err)
	if err != nil {
		return fmt.Errorf("store variant %s of %s: %w", variant, name, err)
	}
	return nil
}

func (s *Store) putVariant(ctx context.Context, name, variant string, data []byte) error {
	size := int64(len(data))
	if size > s.maxVariantBytes {
		return nil
	}
	if err := s.makeRoom(ctx, name, variant, size); err != nil {
		return err
	}
	failed := s.shelf.putVariant(ctx, s.processDir, name, variant, data)
	// Whoever removes the file removes its variants after it, so one of the two finds this variant.
	if _, err := s.Stat(ctx, name); err != nil {
		return errors.Join(err, s.shelf.removeVariants(context.WithoutCancel(ctx), name))
	}
	return failed
}

// makeRoom removes the oldest variants of a file until a new one fits. It does not wait for other calls:
// each of them may fill the same room.
func (s *Store) makeRoom(ctx context.Context, name, variant string, size int64) error {
	stored, err := s.shelf.Variants(ctx, name)
	if err != nil {
		return err
	}
	stored = slices.DeleteFunc(stored, func(e Entry) bool { return e.Name == variant }) // it is replaced
	slices.SortFunc(stored, func(a, b Entry) int { return a.ModTime.Compare(b.ModTime) })
	total := size
	for _, entry := range stored {
		total += entry.Size
	}
	for len(stored) > 0 && (len(stored) >= s.maxVariants || total > s.maxVariantBytes) {
		if err := s.shelf.removeVariant(ctx, name, stored[0].Name); err != nil {
			return err
		}
		total -= stored[0].Size
		stored = stored[1:]
	}
	return nil
}
