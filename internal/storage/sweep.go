package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// lockName is not a valid name of a file.
const lockName = ".lock"

// enroll creates and locks the folder of this process.
func (s *Store) enroll() error {
	incoming := s.spools[0]
	if err := os.MkdirAll(incoming, folderMode); err != nil {
		return err
	}
	unlock, err := lockSpool(incoming)
	if err != nil {
		return err
	}
	defer unlock()
	s.processDir = filepath.Join(incoming, strings.ToLower(rand.Text()))
	if err := os.Mkdir(s.processDir, folderMode); err != nil {
		return err
	}
	s.lock = flock.New(filepath.Join(s.processDir, lockName))
	return s.lock.Lock()
}

// lockSpool keeps a sweep from claiming a folder that is created but not locked yet.
func lockSpool(incoming string) (unlock func() error, err error) {
	lock := flock.New(filepath.Join(incoming, lockName))
	if err := lock.Lock(); err != nil {
		return nil, err
	}
	return lock.Close, nil
}

// Sweep decides what dead processes left undecided, and what this one left to it: a file stays if
// stored returns true, everything else is removed. A file for which stored fails is left to the next
// sweep. Call it at the start and now and then; several processes may call it at the same time.
// It calls stored from several goroutines.
func (s *Store) Sweep(ctx context.Context, stored func(ctx context.Context, name string) (bool, error)) error {
	failed := s.decide(ctx, s.takeLeft(), stored)
	for _, incoming := range s.spools {
		orphaned, err := s.claim(incoming)
		failed = errors.Join(failed, err)
		for _, folder := range orphaned {
			err := s.sweepFolder(ctx, folder.dir, stored)
			failed = errors.Join(failed, err, folder.lock.Close())
		}
	}
	if failed != nil {
		return fmt.Errorf("sweep abandoned uploads: %w", failed)
	}
	return nil
}

type orphan struct {
	dir  string
	lock *flock.Flock // held
}

// claim locks every folder in a spool whose process has died. If one cannot be locked, it is in the
// error, and the others are claimed all the same.
func (s *Store) claim(incoming string) (orphaned []orphan, err error) {
	folders, err := entriesOf(incoming)
	if err != nil || len(folders) == 0 {
		return nil, err
	}
	unlock, err := lockSpool(incoming)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var failed error
	for _, name := range folders {
		dir := filepath.Join(incoming, name)
		if dir == s.processDir {
			continue
		}
		lock := flock.New(filepath.Join(dir, lockName))
		free, err := lock.TryLock()
		if free {
			orphaned = append(orphaned, orphan{dir, lock})
		}
		if !errors.Is(err, fs.ErrNotExist) { // another process has just swept it
			failed = errors.Join(failed, err)
		}
	}
	return orphaned, failed
}

// sweepFolder decides every entry of a folder, and then removes the folder.
func (s *Store) sweepFolder(ctx context.Context, dir string, stored func(context.Context, string) (bool, error)) error {
	entries, err := entriesOf(dir)
	if err != nil {
		return err
	}
	err = forEach(len(entries), func(i int) error { return s.sweepEntry(ctx, filepath.Join(dir, entries[i]), stored) })
	if err != nil {
		return err
	}
	return removeFolder(dir)
}

// removeFolder removes the folder of a process. No other process can claim it meanwhile.
func removeFolder(dir string) error {
	unlock, err := lockSpool(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer unlock()
	return os.RemoveAll(dir)
}

// decide decides entries of this process. Those that it cannot decide are left to the next sweep.
func (s *Store) decide(ctx context.Context, entries []string, stored func(context.Context, string) (bool, error)) error {
	return forEach(len(entries), func(i int) error {
		err := s.sweepEntry(ctx, entries[i], stored)
		if err != nil {
			s.leave(entries[i])
		}
		return err
	})
}

func (s *Store) leave(entry string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, entry)
}

func (s *Store) takeLeft() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.left
	s.left = nil
	return left
}

func (s *Store) sweepEntry(ctx context.Context, entry string, stored func(context.Context, string) (bool, error)) error {
	name, _, _ := strings.Cut(filepath.Base(entry), marked)
	if !valid(name) {
		return os.RemoveAll(entry)
	}
	keep, err := stored(ctx, name)
	if err != nil {
		return fmt.Errorf("sweep file %s: %w", name, err)
	}
	if !keep {
		if err := s.Remove(ctx, name); err != nil {
			return err
		}
	}
	return removeIfThere(entry)
}

// entriesOf lists a folder without its lock. A missing folder has no entries.
func entriesOf(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if entry.Name() != lockName {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
