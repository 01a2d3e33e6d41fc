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
func (d *Disk) enroll() error {
	unlock, err := d.lockIncoming()
	if err != nil {
		return err
	}
	defer unlock()
	d.processDir = filepath.Join(d.incoming, strings.ToLower(rand.Text()))
	if err := os.Mkdir(d.processDir, folderMode); err != nil {
		return err
	}
	d.lock = flock.New(filepath.Join(d.processDir, lockName))
	return d.lock.Lock()
}

// lockIncoming keeps a sweep from claiming a folder that is created but not locked yet.
func (d *Disk) lockIncoming() (unlock func() error, err error) {
	lock := flock.New(filepath.Join(d.incoming, lockName))
	if err := lock.Lock(); err != nil {
		return nil, err
	}
	return lock.Close, nil
}

// Sweep decides what dead processes left undecided, and what this one left to it: a file stays if
// stored returns true, everything else is removed. A file for which stored fails is left to the next
// sweep. Call it at the start and now and then; several processes may call it at the same time.
func (d *Disk) Sweep(ctx context.Context, stored func(ctx context.Context, name string) (bool, error)) error {
	orphaned, failed := d.claim()
	failed = errors.Join(failed, d.decide(ctx, d.takeLeft(), stored))
	for _, folder := range orphaned {
		err := d.sweepFolder(ctx, folder.dir, stored)
		failed = errors.Join(failed, err, folder.lock.Close())
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

// claim locks every folder in incoming whose process has died. If one cannot be locked, it is in the
// error, and the others are claimed all the same.
func (d *Disk) claim() (orphaned []orphan, err error) {
	unlock, err := d.lockIncoming()
	if err != nil {
		return nil, err
	}
	defer unlock()
	folders, err := entriesOf(d.incoming)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, name := range folders {
		dir := filepath.Join(d.incoming, name)
		if dir == d.processDir {
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
func (d *Disk) sweepFolder(ctx context.Context, dir string, stored func(context.Context, string) (bool, error)) error {
	entries, err := entriesOf(dir)
	if err != nil {
		return err
	}
	var failed error
	for _, entry := range entries {
		failed = errors.Join(failed, d.sweepEntry(ctx, filepath.Join(dir, entry), stored))
	}
	if failed != nil {
		return failed
	}
	return d.removeFolder(dir)
}

// removeFolder removes the folder of a process. No other process can claim it meanwhile.
func (d *Disk) removeFolder(dir string) error {
	unlock, err := d.lockIncoming()
	if err != nil {
		return err
	}
	defer unlock()
	return os.RemoveAll(dir)
}

// decide decides entries of this process. Those that it cannot decide are left to the next sweep.
func (d *Disk) decide(ctx context.Context, entries []string, stored func(context.Context, string) (bool, error)) error {
	var failed error
	for _, entry := range entries {
		if err := d.sweepEntry(ctx, entry, stored); err != nil {
			d.leave(entry)
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (d *Disk) leave(entries ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = append(d.left, entries...)
}

func (d *Disk) takeLeft() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := d.left
	d.left = nil
	return left
}

func (d *Disk) sweepEntry(ctx context.Context, entry string, stored func(context.Context, string) (bool, error)) error {
	name, _, _ := strings.Cut(filepath.Base(entry), marked)
	if !valid(name) {
		return os.RemoveAll(entry)
	}
	keep, err := stored(ctx, name)
	if err != nil {
		return fmt.Errorf("sweep file %s: %w", name, err)
	}
	if !keep {
		if err := d.remove(name); err != nil {
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
