package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// keep stores files of a batch for good.
func keep(t *testing.T, s *Store, names ...string) {
	t.Helper()
	b := s.NewBatch()
	for _, name := range names {
		create(t, b, name)
	}
	place(t, b)
	if err := b.Keep(); err != nil {
		t.Fatal(err)
	}
}

func mark(t *testing.T, s *Store, names ...string) *Removal {
	t.Helper()
	r, err := s.Mark(names...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answer returns what the database says of every file.
func answer(stored bool, err error) func(context.Context, string) (bool, error) {
	return func(context.Context, string) (bool, error) { return stored, err }
}

func TestRemoval(t *testing.T) {
	down := errors.New("database is down")
	tests := []struct {
		name         string
		stored       bool
		err          error
		want         []string
		wantIncoming int
		wantSwept    []string // by a sweep of the same process, when the rows are deleted
	}{
		{"rows deleted", false, nil, []string{"ccc.x"}, 0, []string{"ccc.x"}},
		{"rows not deleted", true, nil, []string{"aaa.x", "bbb.x", "ccc.x"}, 0, []string{"aaa.x", "bbb.x", "ccc.x"}},
		{"unknown", false, down, []string{"aaa.x", "bbb.x", "ccc.x"}, 2, []string{"ccc.x"}},
	}
	shelves(t, func(t *testing.T, open func() *Store) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s := open()
				keep(t, s, "aaa.x", "bbb.x", "ccc.x")
				r := mark(t, s, "aaa.x", "bbb.x")
				if err := r.Finish(t.Context(), answer(test.stored, test.err)); !errors.Is(err, test.err) {
					t.Errorf("error is %v, want %v", err, test.err)
				}
				wantFiles(t, s, test.want, test.wantIncoming)
				for range 2 {
					if err := s.Sweep(t.Context(), answer(false, nil)); err != nil {
						t.Fatal(err)
					}
					wantFiles(t, s, test.wantSwept, 0)
				}
				removeAll(t, s)
			})
		}
	})
}

// TestSweepAfterKillInRemoval kills a process between the steps, and checks what the next one does.
func TestSweepAfterKillInRemoval(t *testing.T) {
	tests := []struct {
		name  string
		steps func(t *testing.T, s *Store)
		row   bool
		want  []string
	}{
		{"marked", func(t *testing.T, s *Store) {}, true, []string{"aaa.x"}},
		{"row deleted", func(t *testing.T, s *Store) {}, false, nil},
		{"file removed", func(t *testing.T, s *Store) { removeOnlyFile(t, s, "aaa.x") }, false, nil},
		{"variants removed", func(t *testing.T, s *Store) { removeAll(t, s) }, false, nil},
		{"marked twice", func(t *testing.T, s *Store) { mark(t, s, "aaa.x") }, false, nil},
	}
	shelves(t, func(t *testing.T, open func() *Store) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				killed := open()
				keep(t, killed, "aaa.x")
				putVariant(t, killed, "aaa.x", "small.x")
				mark(t, killed, "aaa.x")
				test.steps(t, killed)
				kill(t, killed)
				next := open()
				for range 2 {
					if err := next.Sweep(t.Context(), answer(test.row, nil)); err != nil {
						t.Fatal(err)
					}
					wantFiles(t, next, test.want, 0)
					wantVariants(t, next, test.want)
				}
				removeAll(t, next)
			})
		}
	})
}

// TestRemovalsDoNotUnmarkEachOther ends one removal in vain while another one of the same file goes on.
func TestRemovalsDoNotUnmarkEachOther(t *testing.T) {
	s := onDisk(t, t.TempDir())
	keep(t, s, "aaa.x")
	vain, other := mark(t, s, "aaa.x"), mark(t, s, "aaa.x")
	if err := vain.Finish(t.Context(), answer(true, nil)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, []string{"aaa.x"}, 1)
	if err := other.Finish(t.Context(), answer(false, nil)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, nil, 0)
}

func TestRemovalsAtOnce(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("aaa%d.x", i))
	}
	keep(t, onDisk(t, dir), names...)
	var group sync.WaitGroup
	for range 4 {
		s := onDisk(t, dir)
		group.Go(func() {
			r, err := s.Mark(names...)
			if err != nil {
				t.Error(err)
				return
			}
			if err := r.Finish(t.Context(), answer(false, nil)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	wantFiles(t, onDisk(t, dir), nil, 0)
}

func TestMarkMarksAllOrNone(t *testing.T) {
	s := onDisk(t, t.TempDir())
	keep(t, s, "aaa.x")
	if _, err := s.Mark("aaa.x", "../aaa.x"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("error is %v, want fs.ErrInvalid", err)
	}
	wantFiles(t, s, []string{"aaa.x"}, 0)
}

// TestFileThatCannotBeRemoved leaves the mark until it can.
func TestFileThatCannotBeRemoved(t *testing.T) {
	s := onDisk(t, t.TempDir())
	stubborn := s.shelf.(*Disk).path("aaa.x") // a folder that is not empty
	if err := os.MkdirAll(filepath.Join(stubborn, "x"), folderMode); err != nil {
		t.Fatal(err)
	}
	if err := mark(t, s, "aaa.x").Finish(t.Context(), answer(false, nil)); err == nil {
		t.Error("removed a folder")
	}
	if err := os.Remove(filepath.Join(stubborn, "x")); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context(), answer(false, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stubborn); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	wantFiles(t, s, nil, 0)
}

// TestLeftUploadIsSwept checks that an undecided upload does not wait for the end of its process.
func TestLeftUploadIsSwept(t *testing.T) {
	shelves(t, func(t *testing.T, open func() *Store) {
		for _, stored := range []bool{false, true} {
			s := open()
			b := s.NewBatch()
			create(t, b, "aaa.x")
			place(t, b)
			b.Leave()
			if err := s.Sweep(t.Context(), answer(stored, nil)); err != nil {
				t.Fatal(err)
			}
			want := []string{"aaa.x"}
			if !stored {
				want = nil
			}
			wantFiles(t, s, want, 0)
		}
	})
}
