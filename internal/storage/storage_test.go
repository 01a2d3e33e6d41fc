package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func openDisk(t *testing.T, dir string) *Disk {
	t.Helper()
	d, err := OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// create adds a file to the batch that contains its own name.
func create(t *testing.T, b *Batch, name string) {
	t.Helper()
	f, err := b.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, name); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func place(t *testing.T, b *Batch) {
	t.Helper()
	if err := b.Place(); err != nil {
		t.Fatal(err)
	}
}

// kill releases the lock of a disk, as the death of its process does, and does nothing else.
func kill(t *testing.T, d *Disk) {
	t.Helper()
	if err := d.lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantFiles checks which files can be opened, by their names, and how many entries incoming has.
func wantFiles(t *testing.T, d *Disk, want []string, wantIncoming int) {
	t.Helper()
	var got []string
	incoming := 0
	err := filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir() || entry.Name() == lockName:
		case strings.HasPrefix(path, d.incoming):
			incoming++
		default:
			got = append(got, entry.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) || incoming != wantIncoming {
		t.Errorf("files %q and %d incoming, want %q and %d", got, incoming, want, wantIncoming)
	}
	for _, name := range got {
		wantContent(t, d, name)
	}
}

func wantContent(t *testing.T, d *Disk, name string) {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != name {
		t.Errorf("%s contains %q, %v", name, data, err)
	}
}

// fileSystems runs a test as on a file system with hard links, and as on one without.
func fileSystems(t *testing.T, test func(t *testing.T, open func() *Disk)) {
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
			test(t, func() *Disk {
				d := openDisk(t, dir)
				d.link = l.link
				return d
			})
		})
	}
}

func TestBatch(t *testing.T) {
	tests := []struct {
		name         string
		end          func(t *testing.T, b *Batch) error
		want         []string
		wantIncoming int
	}{
		{"discarded", func(t *testing.T, b *Batch) error { return b.Discard() }, nil, 0},
		{"placed and discarded", func(t *testing.T, b *Batch) error { place(t, b); return b.Discard() }, nil, 0},
		{"not placed", func(t *testing.T, b *Batch) error { return nil }, nil, 2},
		{"placed", func(t *testing.T, b *Batch) error { place(t, b); return nil }, []string{"aaa.x", "bbb.y"}, 2},
		{"kept", func(t *testing.T, b *Batch) error {
			place(t, b)
			return errors.Join(b.Keep(), b.Discard())
		}, []string{"aaa.x", "bbb.y"}, 0},
		{"left", func(t *testing.T, b *Batch) error {
			place(t, b)
			b.Leave()
			return b.Discard()
		}, []string{"aaa.x", "bbb.y"}, 2},
		{"placed in part and discarded", func(t *testing.T, b *Batch) error {
			if err := os.Remove(filepath.Join(b.disk.processDir, "bbb.y")); err != nil {
				t.Fatal(err)
			}
			if err := b.Place(); err == nil {
				t.Error("a missing file was placed")
			}
			return b.Discard()
		}, nil, 0},
	}
	fileSystems(t, func(t *testing.T, open func() *Disk) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				d := open()
				b := d.NewBatch()
				create(t, b, "aaa.x")
				create(t, b, "bbb.y")
				if err := test.end(t, b); err != nil {
					t.Fatal(err)
				}
				wantFiles(t, d, test.want, test.wantIncoming)
				if err := errors.Join(d.remove("aaa.x"), d.remove("bbb.y"), os.RemoveAll(d.processDir)); err != nil {
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
			if err := b.disk.remove("aaa.x"); err != nil {
				t.Fatal(err)
			}
		}, false, nil},
		{"mark written, not yet moved", func(t *testing.T, b *Batch) {
			if err := os.WriteFile(filepath.Join(b.disk.processDir, "aaa.x"+marked), nil, fileMode); err != nil {
				t.Fatal(err)
			}
		}, false, nil},
		{"junk", func(t *testing.T, b *Batch) {
			if err := os.WriteFile(filepath.Join(b.disk.processDir, ".nfs000012"), nil, fileMode); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(b.disk.processDir, "..."), folderMode); err != nil {
				t.Fatal(err)
			}
		}, false, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fileSystems(t, func(t *testing.T, open func() *Disk) {
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
	one, two := openDisk(t, dir), openDisk(t, dir)
	b := one.NewBatch()
	create(t, b, "aaa.x")
	for _, d := range []*Disk{one, two} {
		err := d.Sweep(t.Context(), func(context.Context, string) (bool, error) {
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
	killed := openDisk(t, dir)
	b := killed.NewBatch()
	create(t, b, "aaa.x")
	create(t, b, "bbb.y")
	place(t, b)
	kill(t, killed)
	next := openDisk(t, dir)
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
		d := openDisk(t, dir)
		b := d.NewBatch()
		create(t, b, fmt.Sprintf("aa%d.x", i))
		place(t, b)
		kill(t, d)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			d, err := OpenDisk(dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			b := d.NewBatch()
			create(t, b, fmt.Sprintf("bb%d.x", i))
			err = d.Sweep(t.Context(), func(_ context.Context, name string) (bool, error) { return name < "aa4", nil })
			if err := errors.Join(err, b.Place(), b.Keep()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want := []string{"aa0.x", "aa1.x", "aa2.x", "aa3.x"}
	for i := range 8 {
		want = append(want, fmt.Sprintf("bb%d.x", i))
	}
	wantFiles(t, openDisk(t, dir), want, 0)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := entriesOf(d.incoming); err != nil || len(names) > 0 {
		t.Errorf("incoming has %q, %v", names, err)
	}
}

func TestNames(t *testing.T) {
	d := openDisk(t, t.TempDir())
	for _, name := range []string{
		"", "a", "ab", ".lock", "..", "...", "a.b", "../x", "aa/../x", "aaa/", `aa\x`, "AAA.x", "aaa~", "aaa x", "aaa\x00",
		"图图图", strings.Repeat("a", 65),
	} {
		if _, err := d.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v, want fs.ErrNotExist", name, err)
		}
		if _, err := d.NewBatch().Create(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("create %q: %v, want fs.ErrInvalid", name, err)
		}
	}
	if _, err := d.Open("aaa.x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open a file that is not there: %v, want fs.ErrNotExist", err)
	}
}

func TestFileIsNotForEveryone(t *testing.T) {
	d := openDisk(t, t.TempDir())
	b := d.NewBatch()
	create(t, b, "aaa.x")
	place(t, b)
	for path, want := range map[string]fs.FileMode{d.path("aaa.x"): fileMode, filepath.Dir(d.path("aaa.x")): folderMode} {
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
