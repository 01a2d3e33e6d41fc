package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// OpenVariant opens what was derived from a file, for reading, until ctx ends. Its error is
// fs.ErrNotExist if it is not stored, or a name is not valid. Variants are a cache: they may vanish at any time.
func (s *Store) OpenVariant(ctx context.Context, name, variant string) (*File, error) {
	if !valid(name) || !validVariant(variant) {
		return nil, fs.ErrNotExist
	}
	f, err := s.shelf.openVariant(ctx, name, variant)
	if err == nil && f.Size == 0 { // a power failure may cut what was not synced
		return nil, errors.Join(fs.ErrNotExist, f.Content.Close())
	}
	return f, err
}

// PutVariant stores what was derived from a file, with all its bytes or not at all. If the file has
// too many variants already, nothing is stored, without an error; of several calls at the same time,
// each may still store one. The error is fs.ErrNotExist if the file is gone meanwhile.
func (s *Store) PutVariant(ctx context.Context, name, variant string, data []byte) error {
	if !valid(name) || !validVariant(variant) {
		return fmt.Errorf("store variant %q of %q: %w", variant, name, fs.ErrInvalid)
	}
	if err := s.putVariant(ctx, name, variant, data); err != nil {
		return fmt.Errorf("store variant %s of %s: %w", variant, name, err)
	}
	return nil
}

func (s *Store) putVariant(ctx context.Context, name, variant string, data []byte) error {
	stored, err := s.CountVariants(ctx, name)
	if err != nil || stored >= s.maxVariants {
		return err
	}
	failed := s.shelf.putVariant(ctx, s.processDir, name, variant, data)
	// Whoever removes the file removes its variants after it, so one of the two finds this variant.
	if _, err := s.Stat(ctx, name); err != nil {
		return errors.Join(err, s.shelf.removeVariants(context.WithoutCancel(ctx), name))
	}
	return failed
}

// CountVariants returns how many variants of a file are stored.
func (s *Store) CountVariants(ctx context.Context, name string) (int, error) {
	if !valid(name) {
		return 0, fs.ErrInvalid
	}
	return s.shelf.countVariants(ctx, name)
}
