// Package storage stores the bytes of pictures. A Store puts files that are finished on a Shelf, and
// keeps those that are not in its spool, a folder on this machine. Several server processes may share
// both.
//
// A shelf is a Disk:
//
//	<folder>/<ab>/<name>                     a file, in the shard named by the first two letters of its name
//	<folder>/variants/<ab>/<name>/<variant>  what was derived from it
//	<folder>/incoming                        the spool
//
// or a bucket of S3, whose spool is a folder that the caller names:
//
//	<prefix>/files/<name>                    a file
//	<prefix>/variants/<name>/<variant>       what was derived from it
//	<prefix>/direct/<name>                   what a client uploaded past the server
//
// The spool has the same layout for both:
//
//	<spool>/<process>/<name>                 a file of an unfinished upload
//	<spool>/<process>/<name>~…               the mark of a file that may lack its row
//	<spool>/<process>/.lock                  held while the process runs
//
// A file and its row in the database appear together or not at all, whenever a process is killed.
// The entry in the spool is written first and removed last, so every file that may lack its row has
// an entry. What a killed process leaves behind, and what Store.Sweep does about it:
//
//	killed while the file is written    entry only, no row          remove the entry
//	… in Place                          entry, perhaps file, no row remove the file or its parts, then the entry
//	… after Place                       entry and file, no row      remove the file, then the entry
//	… while the database commits        entry and file, row or not  ask the database, then as above or below
//	… after the commit, before Keep     entry and file, row         remove the entry
//	… in Drop or Discard                entry, perhaps file         remove the file, then the entry
//	… in Copy                           entry, perhaps file, row    remove the entry
//
//	… in Removal, before the commit     mark and file, row          remove the mark
//	… while the database commits        mark and file, row or not   ask the database, then as above or below
//	… after the commit                  mark, perhaps file, no row  remove the file, its variants, then the mark
//
//	… in PutVariant                     temporary file              remove it
//
// Killed at its end, PutVariant may also leave a variant of a file that is removed at the same moment:
// WalkVariants finds it.
//
// The variants of a file are bounded, in number and in bytes: the oldest make room for a new one. Several
// that are stored at the same time may together exceed the bounds a little, until the next one is stored.
//
// If a sweep is killed, the next one repeats it. A sweep reads only the folders in the spool whose
// lock is free, never the shelf. Of its own process it decides what was left to it. So a machine that
// never comes back takes its spool with it: what it placed on S3 and did not commit stays there, and
// Walk finds it.
//
// S3 may still carry out a request that this process has given up. Such a file keeps its entry, and
// the next sweep removes it.
//
// Nothing is synced to the disk: a kill loses nothing, a power failure may lose the last seconds.
package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"
)

// Options of a Store.
type Options struct {
	Shelf           Shelf  // required
	Fallback        Shelf  // may be nil; only read and removed from: where files are that are being moved
	Spool           string // a folder, required for S3; a Disk uses its own
	MaxVariants     int    // most variants stored for each file; 0: 64
	MaxVariantBytes int64  // most bytes of all variants of each file; 0: 16 MiB

	// Observe is told how long each operation on a shelf took, and what came of it. It may be nil.
	Observe func(operation, outcome string, took time.Duration)
}

const (
	defaultMaxVariants     = 64
	defaultMaxVariantBytes = 16 << 20
)

// Store stores files. Its methods may be called by several goroutines at once.
//
// The names of files are lower-case letters, digits and dots, and are never reused. Those of variants
// may have - and _ too.
type Store struct {
	shelf           Shelf
	fallback        Shelf // or nil
	maxVariants     int
	maxVariantBytes int64
	spools          []string // the folders that are swept; the first is the spool of this store
	processDir      string   // the folder of this process in the spool
	lock            *flock.Flock
	observe         func(operation, outcome string, took time.Duration)

	mu   sync.Mutex
	left []string // entries of this process that are left to a sweep
}

// Open opens the spool, and creates it if it is missing.
func Open(o Options) (*Store, error) {
	s := &Store{
		shelf: o.Shelf, fallback: o.Fallback, spools: []string{o.Spool},
		maxVariants:     cmp.Or(o.MaxVariants, defaultMaxVariants),
		maxVariantBytes: cmp.Or(o.MaxVariantBytes, defaultMaxVariantBytes),
		observe:         o.Observe,
	}
	if s.observe == nil {
		s.observe = func(string, string, time.Duration) {}
	}
	if d, ok := o.Shelf.(*Disk); ok {
		s.spools[0] = d.incoming()
	}
	if s.spools[0] == "" {
		return nil, errors.New("storage needs a folder for unfinished files")
	}
	// What a process left undecided on the fallback, when that was still its shelf.
	if d, ok := o.Fallback.(*Disk); ok && d.incoming() != s.spools[0] {
		s.spools = append(s.spools, d.incoming())
	}
	if err := s.enroll(); err != nil {
		return nil, fmt.Errorf("create a folder for incoming files: %w", err)
	}
	return s, nil
}

// Close unlocks the folder of this process. No batch may be in use any more.
// What is still undecided is left to the next sweep.
func (s *Store) Close() error {
	entries, err := entriesOf(s.processDir)
	if err == nil && len(entries) == 0 {
		err = removeFolder(s.processDir)
	}
	return errors.Join(err, s.lock.Close())
}

// Open opens a file for reading, until ctx ends. Its error is fs.ErrNotExist if there is no such file,
// or the name is not valid.
func (s *Store) Open(ctx context.Context, name string) (_ *File, err error) {
	if !valid(name) {
		return nil, fs.ErrNotExist
	}
	ctx, o := s.begin(ctx, "open")
	defer func() { o.end(err) }()
	return lookUp(s, func(shelf Shelf) (*File, error) { return shelf.Open(ctx, name) })
}

// Stat describes a file. Its errors are those of Open.
func (s *Store) Stat(ctx context.Context, name string) (_ Entry, err error) {
	if !valid(name) {
		return Entry{}, fs.ErrNotExist
	}
	ctx, o := s.begin(ctx, "stat")
	defer func() { o.end(err) }()
	return lookUp(s, func(shelf Shelf) (Entry, error) { return shelf.Stat(ctx, name) })
}

// lookUp looks on the shelf, then on the fallback, and then on the shelf again, because the file may
// have been moved meanwhile.
func lookUp[T any](s *Store, get func(Shelf) (T, error)) (T, error) {
	found, err := get(s.shelf)
	for _, shelf := range []Shelf{s.fallback, s.shelf} {
		if s.fallback == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		found, err = get(shelf)
	}
	return found, err
}

// Walk returns all files in no particular order, while they may come and go. A file that is being
// moved may come twice. The last pair has an error if there is one.
//
// A file without a row may be one that an upload is about to commit: its time tells.
func (s *Store) Walk(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, shelf := range s.shelves() {
			for entry, err := range shelf.Walk(ctx) {
				if !yield(entry, err) || err != nil {
					return
				}
			}
		}
	}
}

// Remove removes a file, which has no row, and its variants. It is no error if there is none.
func (s *Store) Remove(ctx context.Context, name string) error {
	if !valid(name) {
		return fs.ErrInvalid
	}
	var failed error
	ctx, o := s.begin(ctx, "remove")
	defer func() { o.end(failed) }()
	for _, shelf := range s.shelves() {
		if err := shelf.Remove(ctx, name); err != nil {
			failed = errors.Join(failed, fmt.Errorf("remove file %s: %w", name, err))
		}
	}
	return failed
}

// Copy copies a file from another shelf, usually the fallback, to that of the store, with all its
// bytes or not at all. If it is there already, Copy only checks its size.
//
// The caller must then ask the database if the file still has its row, and if not, Remove it: it may
// have been deleted while it was copied. Only then may the file be removed from the other shelf.
func (s *Store) Copy(ctx context.Context, name string, from Shelf) error {
	if !valid(name) {
		return fs.ErrInvalid
	}
	if err := s.copy(ctx, name, from); err != nil {
		return fmt.Errorf("copy file %s: %w", name, err)
	}
	return nil
}

func (s *Store) copy(ctx context.Context, name string, from Shelf) error {
	source, err := from.Open(ctx, name)
	if err != nil {
		return err
	}
	defer source.Content.Close()
	if _, err := s.shelf.Stat(ctx, name); errors.Is(err, fs.ErrNotExist) {
		err = s.receive(ctx, name, source.Content)
		if err != nil {
			return err
		}
	}
	copied, err := s.shelf.Stat(ctx, name)
	if err == nil && copied.Size != source.Size {
		err = fmt.Errorf("the copy has %d bytes, not %d", copied.Size, source.Size)
	}
	return err
}

// receive places a file that has a row.
func (s *Store) receive(ctx context.Context, name string, content io.Reader) error {
	b := s.NewBatch()
	defer b.Discard(ctx)
	f, err := b.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := b.Place(ctx); err != nil {
		b.Leave() // somebody else may have placed it: only what has no row may be removed
		return err
	}
	return b.Keep()
}

// Check reports if the shelf can't be reached, for lack of a network, a bucket or the right keys.
func (s *Store) Check(ctx context.Context) error {
	return s.shelf.Check(ctx)
}

func (s *Store) shelves() []Shelf {
	if s.fallback == nil {
		return []Shelf{s.shelf}
	}
	return []Shelf{s.shelf, s.fallback}
}

// atOnce bounds the requests that one call makes to a shelf at the same time.
const atOnce = 4

// forEach calls do for every index below n, a few at the same time, and joins the errors.
func forEach(n int, do func(i int) error) error {
	failed := make([]error, n)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error {
			failed[i] = do(i)
			return nil
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

// entry is the path of an entry of this process.
func (s *Store) entry(name string) string {
	return filepath.Join(s.processDir, name)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
