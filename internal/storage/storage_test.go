package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"gatehouse/internal/dbtest"
)

func TestMain(m *testing.M) {
	minio.DefaultRetryUnit = time.Millisecond
	dbtest.Main(m)
}

// openStore opens a store until the test ends.
func openStore(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openDisk(t *testing.T, dir string) *Disk {
	t.Helper()
	d, err := OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// onDisk opens a store on a disk.
func onDisk(t *testing.T, dir string) *Store {
	t.Helper()
	return openStore(t, Options{Shelf: openDisk(t, dir)})
}

// create adds a file to the batch that contains its own name.
func create(t *testing.T, b *Batch, name string) {
	t.Helper()
	write(t, b, name, name)
}

func write(t *testing.T, b *Batch, name, content string) {
	t.Helper()
	f, err := b.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func place(t *testing.T, b *Batch) {
	t.Helper()
	if err := b.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// kill releases the lock of a store, as the death of its process does, and does nothing else.
func kill(t *testing.T, s *Store) {
	t.Helper()
	if err := s.lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantFiles checks which files can be opened, by their names, and how many entries the spool has.
func wantFiles(t *testing.T, s *Store, want []string, wantIncoming int) {
	t.Helper()
	got, incoming := namesOf(t, s.Walk(t.Context())), countEntries(t, s)
	slices.Sort(want)
	if !slices.Equal(got, want) || incoming != wantIncoming {
		t.Errorf("files %q and %d incoming, want %q and %d", got, incoming, want, wantIncoming)
	}
	for _, name := range got {
		wantContent(t, s, name)
	}
}

// namesOf returns the names in a walk, in order.
func namesOf(t *testing.T, walk iter.Seq2[Entry, error]) []string {
	t.Helper()
	var names []string
	for entry, err := range walk {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Size == 0 || time.Since(entry.ModTime).Abs() > time.Hour {
			t.Errorf("walked to %+v, want a size and a recent time", entry)
		}
		names = append(names, entry.Name)
	}
	slices.Sort(names)
	return names
}

// countEntries counts what lies in the folders of processes in the spool.
func countEntries(t *testing.T, s *Store) (n int) {
	t.Helper()
	processes, err := entriesOf(s.spools[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		entries, err := entriesOf(filepath.Join(s.spools[0], process))
		if err != nil {
			t.Fatal(err)
		}
		n += len(entries)
	}
	return n
}

// removeAll removes the files of all tests.
func removeAll(t *testing.T, s *Store) {
	t.Helper()
	for _, name := range []string{"aaa.x", "bbb.x", "bbb.y", "ccc.x"} {
		if err := s.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// removeOnlyFile removes a file as Remove does, but stops before its variants.
func removeOnlyFile(t *testing.T, s *Store, name string) {
	t.Helper()
	var err error
	switch shelf := s.shelf.(type) {
	case *Disk:
		err = os.Remove(shelf.path(name))
	case *S3:
		err = shelf.remove(t.Context(), shelf.key(filesFolder, name))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, s *Store, name string) {
	t.Helper()
	if data := read(t, s, name); string(data) != name {
		t.Errorf("%s contains %q", name, data)
	}
}

func read(t *testing.T, s *Store, name string) []byte {
	t.Helper()
	f, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Content.Close()
	data, err := io.ReadAll(f.Content)
	if err != nil || int64(len(data)) != f.Size {
		t.Fatalf("read %d bytes of %d: %v", len(data), f.Size, err)
	}
	return data
}

// shelves runs a test on a file system with hard links, as on one without, and on S3. The stores that
// it opens share a shelf and a spool.
func shelves(t *testing.T, test func(t *testing.T, open func() *Store)) {
	links := []struct {
		name string
		link func(oldname, newname string) error
	}{
		{"links", os.Link},
		{"no links", func(oldname, newname string) error {
			return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: syscall.EPERM}
		}},
		{"links not supported", func(oldname, newname string) error {
			return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: syscall.ENOTSUP}
		}},
	}
	for _, l := range links {
		t.Run(l.name, func(t *testing.T) {
			dir := t.TempDir()
			test(t, func() *Store {
				d := openDisk(t, dir)
				d.link = l.link
				return openStore(t, Options{Shelf: d})
			})
		})
	}
	t.Run("s3", func(t *testing.T) {
		shelf, spool := openS3(t), t.TempDir()
		test(t, func() *Store { return openStore(t, Options{Shelf: shelf, Spool: spool}) })
	})
}

func TestBatch(t *testing.T) {
	tests := []struct {
		name         string
		end          func(t *testing.T, b *Batch) error
		want         []string
		wantIncoming int
	}{
		{"discarded", func(t *testing.T, b *Batch) error { return b.Discard(t.Context()) }, nil, 0},
		{"placed and discarded", func(t *testing.T, b *Batch) error { place(t, b); return b.Discard(t.Context()) }, nil, 0},
		{"not placed", func(t *testing.T, b *Batch) error { return nil }, nil, 2},
		{"placed", func(t *testing.T, b *Batch) error { place(t, b); return nil }, []string{"aaa.x", "bbb.y"}, 2},
		{"kept", func(t *testing.T, b *Batch) error {
			place(t, b)
			return errors.Join(b.Keep(), b.Discard(t.Context()))
		}, []string{"aaa.x", "bbb.y"}, 0},
		{"dropped, then placed", func(t *testing.T, b *Batch) error {
			err := b.Drop(t.Context(), "aaa.x")
			place(t, b)
			return errors.Join(err, b.Keep())
		}, []string{"bbb.y"}, 0},
		{"placed, then dropped", func(t *testing.T, b *Batch) error {
			place(t, b)
			return errors.Join(b.Drop(t.Context(), "aaa.x"), b.Keep())
		}, []string{"bbb.y"}, 0},
		{"dropped and discarded", func(t *testing.T, b *Batch) error {
			place(t, b)
			return errors.Join(b.Drop(t.Context(), "aaa.x"), b.Discard(t.Context()))
		}, nil, 0},
		{"left", func(t *testing.T, b *Batch) error {
			place(t, b)
			b.Leave()
			return b.Discard(t.Context())
		}, []string{"aaa.x", "bbb.y"}, 2},
		{"placed in part and discarded", func(t *testing.T, b *Batch) error {
			if err := os.Remove(filepath.Join(b.store.processDir, "bbb.y")); err != nil {
				t.Fatal(err)
			}
			if err := b.Place(t.Context()); err == nil {
				t.Error("a missing file was placed")
			}
			return b.Discard(t.Context())
		}, nil, 0},
	}
	shelves(t, func(t *testing.T, open func() *Store) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s := open()
				b := s.NewBatch()
				create(t, b, "aaa.x")
				create(t, b, "bbb.y")
				if err := test.end(t, b); err != nil {
					t.Fatal(err)
				}
				wantFiles(t, s, test.want, test.wantIncoming)
				removeAll(t, s)
				if err := os.RemoveAll(s.processDir); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

// TestSweepAfterKill kills a process at every step, and checks what the next one does.
func TestSweepAfterKill(t *testing.T) {
	tests := []struct {
		name  string
		steps func(t *testing.T, b *Batch)
		row   bool
		want  []string
	}{
		{"while written", func(t *testing.T, b *Batch) {}, false, nil},
		{"placed", func(t *testing.T, b *Batch) { place(t, b) }, false, nil},
		{"committed", func(t *testing.T, b *Batch) { place(t, b) }, true, []string{"aaa.x"}},
		{"kept", func(t *testing.T, b *Batch) {
			place(t, b)
			if err := b.Keep(); err != nil {
				t.Fatal(err)
			}
		}, true, []string{"aaa.x"}},
		{"file discarded, entry not yet", func(t *testing.T, b *Batch) {
			place(t, b)
			if err := b.store.shelf.Remove(t.Context(), "aaa.x"); err != nil {
				t.Fatal(err)
			}
		}, false, nil},
		{"mark written, not yet moved", func(t *testing.T, b *Batch) {
			if err := os.WriteFile(filepath.Join(b.store.processDir, "aaa.x"+marked), nil, fileMode); err != nil {
				t.Fatal(err)
			}
		}, false, nil},
		{"junk", func(t *testing.T, b *Batch) {
			if err := os.WriteFile(filepath.Join(b.store.processDir, ".nfs000012"), nil, fileMode); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(b.store.processDir, "..."), folderMode); err != nil {
				t.Fatal(err)
			}
		}, false, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shelves(t, func(t *testing.T, open func() *Store) {
				killed := open()
				b := killed.NewBatch()
				create(t, b, "aaa.x")
				test.steps(t, b)
				kill(t, killed)
				next := open()
				for range 2 { // a sweep can be done again
					err := next.Sweep(t.Context(), func(context.Context, string) (bool, error) { return test.row, nil })
					if err != nil {
						t.Fatal(err)
					}
					wantFiles(t, next, test.want, 0)
				}
				if _, err := os.Stat(killed.processDir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the killed process's folder: %v, want none", err)
				}
			})
		})
	}
}

func TestSweepLeavesLivingProcessesAlone(t *testing.T) {
	dir := t.TempDir()
	one, two := onDisk(t, dir), onDisk(t, dir)
	b := one.NewBatch()
	create(t, b, "aaa.x")
	for _, s := range []*Store{one, two} {
		err := s.Sweep(t.Context(), func(context.Context, string) (bool, error) {
			t.Error("asked for a file of a living process")
			return false, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	place(t, b)
	wantFiles(t, two, []string{"aaa.x"}, 1)
}

// TestSweepLeavesWhatItCannotDecide checks that a later sweep decides it, and this one decides the rest.
func TestSweepLeavesWhatItCannotDecide(t *testing.T) {
	dir := t.TempDir()
	killed := onDisk(t, dir)
	b := killed.NewBatch()
	create(t, b, "aaa.x")
	create(t, b, "bbb.y")
	place(t, b)
	kill(t, killed)
	next := onDisk(t, dir)
	down := errors.New("database is down")
	err := next.Sweep(t.Context(), func(_ context.Context, name string) (bool, error) {
		if name == "aaa.x" {
			return false, down
		}
		return false, nil
	})
	if !errors.Is(err, down) {
		t.Errorf("error is %v, want %v", err, down)
	}
	wantFiles(t, next, []string{"aaa.x"}, 1)
	if err := next.Sweep(t.Context(), func(context.Context, string) (bool, error) { return true, nil }); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, next, []string{"aaa.x"}, 0)
}

func TestManyProcessesStartAndSweepAtOnce(t *testing.T) {
	dir := t.TempDir()
	for i := range 8 {
		s := onDisk(t, dir)
		b := s.NewBatch()
		create(t, b, fmt.Sprintf("aa%d.x", i))
		place(t, b)
		kill(t, s)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			s, err := Open(Options{Shelf: openDisk(t, dir)})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			b := s.NewBatch()
			create(t, b, fmt.Sprintf("bb%d.x", i))
			err = s.Sweep(t.Context(), func(_ context.Context, name string) (bool, error) { return name < "aa4", nil })
			if err := errors.Join(err, b.Place(t.Context()), b.Keep()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want := []string{"aa0.x", "aa1.x", "aa2.x", "aa3.x"}
	for i := range 8 {
		want = append(want, fmt.Sprintf("bb%d.x", i))
	}
	wantFiles(t, onDisk(t, dir), want, 0)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	s := onDisk(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := entriesOf(s.spools[0]); err != nil || len(names) > 0 {
		t.Errorf("the spool has %q, %v", names, err)
	}
}

func TestNames(t *testing.T) {
	s := onDisk(t, t.TempDir())
	for _, name := range []string{
		"", "a", "ab", ".lock", "..", "...", "a.b", "../x", "aa/../x", "aaa/", `aa\x`, "AAA.x", "aaa~", "aaa x", "aaa\x00",
		"图图图", strings.Repeat("a", 65),
	} {
		if _, err := s.Open(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v, want fs.ErrNotExist", name, err)
		}
		if _, err := s.NewBatch().Create(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("create %q: %v, want fs.ErrInvalid", name, err)
		}
	}
	if _, err := s.Open(t.Context(), "aaa.x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open a file that is not there: %v, want fs.ErrNotExist", err)
	}
}

func TestFileIsNotForEveryone(t *testing.T) {
	s := onDisk(t, t.TempDir())
	b := s.NewBatch()
	create(t, b, "aaa.x")
	place(t, b)
	for path, want := range map[string]fs.FileMode{s.shelf.(*Disk).path("aaa.x"): fileMode, filepath.Dir(s.shelf.(*Disk).path("aaa.x")): folderMode} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got&^want != 0 {
			t.Errorf("%s has mode %o, want at most %o", path, got, want)
		}
	}
}

func TestIsFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP: /dev/full is Linux's")
	}
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("x"); !IsFull(err) {
		t.Errorf("IsFull does not recognize %v", err)
	}
	if IsFull(fs.ErrClosed) {
		t.Error("IsFull takes a closed file for a full disk")
	}
}

func TestObserve(t *testing.T) {
	var observed []string
	s := openStore(t, Options{Shelf: openDisk(t, t.TempDir()), Observe: func(operation, outcome string, _ time.Duration) {
		observed = append(observed, operation+" "+outcome)
	}})
	b := s.NewBatch()
	create(t, b, "abc.jpg")
	place(t, b)
	if err := b.Keep(); err != nil {
		t.Fatal(err)
	}
	read(t, s, "abc.jpg")
	s.OpenVariant(t.Context(), "abc.jpg", "small") // there is none
	if err := s.Remove(t.Context(), "abc.jpg"); err != nil {
		t.Error(err)
	}
	want := []string{"place ok", "open ok", "open-variant not-found", "remove ok"}
	if got := slices.DeleteFunc(observed, func(o string) bool { return strings.HasPrefix(o, "stat ") }); !slices.Equal(got, want) {
		t.Errorf("observed are %q, want %q", got, want)
	}
}

func TestOutcomes(t *testing.T) {
	for err, want := range map[error]string{
		nil: "ok", fs.ErrNotExist: "not-found", syscall.ENOSPC: "full", errUnavailable: "unavailable", errors.New("else"): "failed",
	} {
		if got := outcomeOf(err); got != want {
			t.Errorf("the outcome of %v is %s, want %s", err, got, want)
		}
	}
}
