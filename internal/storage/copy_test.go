package storage

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"
)

// moves runs a test with a disk and S3, in both directions. The store has an empty shelf, and the other one as its
// fallback, where old has put the files aaa.x and bbb.x.
func moves(t *testing.T, test func(t *testing.T, old, s *Store)) {
	for _, direction := range []string{"disk to s3", "s3 to disk", "disk to disk"} {
		t.Run(direction, func(t *testing.T) {
			var from, to Shelf = openDisk(t, t.TempDir()), openDisk(t, t.TempDir())
			switch direction {
			case "disk to s3":
				to = openS3(t)
			case "s3 to disk":
				from = openS3(t)
			}
			old := openStore(t, Options{Shelf: from, Spool: t.TempDir()})
			keep(t, old, "aaa.x", "bbb.x")
			putVariant(t, old, "aaa.x", "w64")
			test(t, old, openStore(t, Options{Shelf: to, Fallback: from, Spool: t.TempDir()}))
		})
	}
}

func TestFallback(t *testing.T) {
	moves(t, func(t *testing.T, old, s *Store) {
		keep(t, s, "ccc.x")
		wantFiles(t, s, []string{"aaa.x", "bbb.x", "ccc.x"}, 0)
		if entry, err := s.Stat(t.Context(), "aaa.x"); err != nil || entry.Size != 5 || entry.Name != "aaa.x" {
			t.Errorf("stat: %+v, %v", entry, err)
		}
		putVariant(t, s, "bbb.x", "w64")
		wantVariant(t, s, "bbb.x", "w64")
		if err := mark(t, s, "aaa.x", "bbb.x", "ccc.x").Finish(t.Context(), answer(false, nil)); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, s, nil, 0)
		wantVariants(t, s, nil)
		wantVariants(t, old, nil)
	})
}

func TestCopy(t *testing.T) {
	moves(t, func(t *testing.T, old, s *Store) {
		for range 2 { // again is no error
			for entry, err := range old.shelf.Walk(t.Context()) {
				if err == nil {
					err = s.Copy(t.Context(), entry.Name, old.shelf)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, name := range []string{"aaa.x", "bbb.x"} {
			if err := old.shelf.Remove(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		wantFiles(t, old, nil, 0)
		wantFiles(t, s, []string{"aaa.x", "bbb.x"}, 0)
		if err := s.Copy(t.Context(), "ccc.x", old.shelf); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("copy what is not there: %v, want fs.ErrNotExist", err)
		}
	})
}

// TestFailedCopy checks that it removes nothing, neither then nor in a sweep.
func TestFailedCopy(t *testing.T) {
	moves(t, func(t *testing.T, old, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, from := range []Shelf{brokenShelf{old.shelf}, old.shelf} {
			// On a disk, the second one succeeds.
			if err := s.Copy(ctx, "aaa.x", from); err == nil && from != old.shelf {
				t.Error("copied half a file")
			}
			wantFiles(t, old, []string{"aaa.x", "bbb.x"}, 0)
		}
		if err := s.Sweep(t.Context(), answer(true, nil)); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, old, []string{"aaa.x", "bbb.x"}, 0)
		if n := countEntries(t, s); n != 0 {
			t.Errorf("%d entries left", n)
		}
	})
}

// brokenShelf breaks its files off in the middle.
type brokenShelf struct{ Shelf }

func (b brokenShelf) Open(ctx context.Context, name string) (*File, error) {
	f, err := b.Shelf.Open(context.WithoutCancel(ctx), name)
	if err == nil {
		f.Content = brokenContent{f.Content}
	}
	return f, err
}

type brokenContent struct{ io.ReadSeekCloser }

func (b brokenContent) Read(p []byte) (int, error) {
	n, err := b.ReadSeekCloser.Read(p[:min(len(p), 2)])
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestCopyChecksSize(t *testing.T) {
	from, to := openDisk(t, t.TempDir()), openDisk(t, t.TempDir())
	old, s := openStore(t, Options{Shelf: from}), openStore(t, Options{Shelf: to})
	keep(t, old, "aaa.x")
	keep(t, s, "aaa.x")
	if err := os.Truncate(to.path("aaa.x"), 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Copy(t.Context(), "aaa.x", from); err == nil {
		t.Error("took half a file for a copy")
	}
}

// TestSweepOfTheFallback decides what a process left when the fallback was its shelf.
func TestSweepOfTheFallback(t *testing.T) {
	disk := openDisk(t, t.TempDir())
	killed := openStore(t, Options{Shelf: disk})
	b := killed.NewBatch()
	create(t, b, "aaa.x")
	create(t, b, "bbb.x")
	place(t, b)
	kill(t, killed)
	s := openStore(t, Options{Shelf: openDisk(t, t.TempDir()), Fallback: disk})
	err := s.Sweep(t.Context(), func(_ context.Context, name string) (bool, error) { return name == "aaa.x", nil })
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, []string{"aaa.x"}, 0)
	wantFiles(t, killed, []string{"aaa.x"}, 0)
}
