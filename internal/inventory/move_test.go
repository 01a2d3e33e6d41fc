package inventory

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/internal/database"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

func (p *process) move(t *testing.T, remove bool) Moved {
	t.Helper()
	p.found = nil
	moved, err := p.Move(t.Context(), remove)
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

func TestMove(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		for _, test := range []struct {
			name     string
			from, to func(t *testing.T) storage.Shelf
		}{
			{"disk to disk", newDisk, newDisk},
			{"disk to s3", newDisk, openS3},
			{"s3 to disk", openS3, newDisk},
		} {
			t.Run(test.name, func(t *testing.T) { testMove(t, d, pool, test.from(t), test.to(t)) })
		}
	})
}

func newDisk(t *testing.T) storage.Shelf { return openDisk(t, t.TempDir()) }

func testMove(t *testing.T, d *database.Database, pool *sql.DB, from, to storage.Shelf) {
	t.Cleanup(func() {
		for _, table := range []string{"images", "blobs", "upload_pieces", "upload_sessions"} {
			if _, err := pool.Exec("DELETE FROM " + table); err != nil {
				t.Error(err)
			}
		}
	})
	before := newProcess(t, d, pool, from, nil)
	a, old, piece := before.upload(t), before.uploadOld(t), before.uploadPiece(t)
	before.place(t, "stray.png", []byte("stray"))
	p := newProcess(t, d, pool, to, from)
	b := p.upload(t)
	all := []string{a.Name, old.Name, piece}
	moved := p.move(t, false)
	if want := (Moved{Copied: 3, CopiedBytes: a.Bytes + old.Bytes + 15, There: 1, Settled: true}); moved != want {
		t.Errorf("got %+v, want %+v", moved, want)
	}
	wantFiles(t, from, append(all, "stray.png")...)
	wantFiles(t, to, append(all, b.Name)...)
	if moved := p.move(t, false); moved != (Moved{There: 4, Settled: true}) {
		t.Errorf("again: got %+v, want that 4 are there", moved)
	}
	if moved := p.move(t, true); moved.Removed != 3 || moved.Copied != 0 || moved.Left != 1 {
		t.Errorf("removing: got %+v, want 3 removed and the stray left", moved)
	}
	wantFiles(t, from, "stray.png")
	wantFiles(t, to, append(all, b.Name)...)
	if moved := p.move(t, true); moved != (Moved{There: 4, Left: 1, Settled: true}) {
		t.Errorf("nothing to do: got %+v", moved)
	}
	alone := newProcess(t, d, pool, to, nil)
	if checked := alone.check(t, CheckOptions{Read: true}); checked.Files != 4 || checked.Strays != 0 {
		t.Errorf("got %+v, want 4 files and no strays", checked)
	}
	alone.wantFound(t)
}

func TestMoveToTheSamePlace(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		dir := t.TempDir()
		link := t.TempDir() + "/link"
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		p := newProcess(t, d, pool, openDisk(t, dir), openDisk(t, link))
		a := p.upload(t)
		if _, err := p.Move(t.Context(), true); !errors.Is(err, ErrSamePlace) {
			t.Errorf("got %v, want ErrSamePlace", err)
		}
		wantFiles(t, p.Shelf, a.Name)
	})
}

// TestMoveKeepsTheBetterFile finds files that are damaged at one place or both.
func TestMoveKeepsTheBetterFile(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		oldDir, newDir := t.TempDir(), t.TempDir()
		before := newProcess(t, d, pool, openDisk(t, oldDir), nil)
		cutCopy, changedCopy, bad, badTwice, gone := before.upload(t), before.upload(t), before.upload(t), before.upload(t), before.upload(t)
		p := newProcess(t, d, pool, openDisk(t, newDir), openDisk(t, oldDir))
		for _, damaged := range []image.Image{changedCopy, badTwice} {
			p.place(t, damaged.Name, make([]byte, damaged.Bytes))
		}
		p.place(t, cutCopy.Name, []byte("cut"))
		for _, damaged := range []image.Image{bad, badTwice} {
			if err := os.WriteFile(pathOn(oldDir, damaged.Name), make([]byte, damaged.Bytes), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(pathOn(oldDir, gone.Name)); err != nil {
			t.Fatal(err)
		}
		moved := p.move(t, true)
		if moved.Failed != 3 || moved.Removed != 2 || moved.Left != 2 {
			t.Errorf("got %+v, want 3 failed, 2 removed, 2 left", moved)
		}
		p.wantFound(t, "damaged: "+bad.Name, "damaged: "+badTwice.Name, "missing: "+gone.Name)
		wantFiles(t, p.Fallback, bad.Name, badTwice.Name)
		wantFiles(t, p.Shelf, cutCopy.Name, changedCopy.Name, badTwice.Name)
		p.check(t, CheckOptions{Read: true})
		p.wantFound(t, "damaged: "+bad.Name, "damaged: "+badTwice.Name, "missing: "+gone.Name)
	})
}

// hooked does something before a file is opened to be copied.
type hooked struct {
	storage.Shelf
	open func(name string) error
}

func (h *hooked) Open(ctx context.Context, name string) (*storage.File, error) {
	file, err := h.Shelf.Open(ctx, name)
	if err == nil {
		err = h.open(name)
	}
	return file, err
}

// TestMoveDoesNotBringBackWhatIsDeleted deletes a picture at the old place, as a server does that does not
// know the new one, while it is copied.
func TestMoveDoesNotBringBackWhatIsDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		from := openDisk(t, t.TempDir())
		before := newProcess(t, d, pool, from, nil)
		a, deleted := before.upload(t), before.upload(t)
		p := newProcess(t, d, pool, newDisk(t), &hooked{from, func(name string) error {
			if name != deleted.Name {
				return nil
			}
			_, err := pool.Exec("DELETE FROM images WHERE name = '" + name + "'")
			if err == nil {
				_, err = pool.Exec("DELETE FROM blobs WHERE file = '" + name + "'")
			}
			return errors.Join(err, from.Remove(context.Background(), name))
		}})
		if moved := p.move(t, false); moved.Copied < 1 || moved.Deleted != 1 {
			t.Errorf("got %+v, want one that was deleted", moved)
		}
		wantFiles(t, p.Shelf, a.Name)
	})
}

// TestMoveFindsWhatComesMeanwhile uploads to the old place while the first round is under way.
func TestMoveFindsWhatComesMeanwhile(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		from := openDisk(t, t.TempDir())
		before := newProcess(t, d, pool, from, nil)
		names := []string{before.upload(t).Name}
		uploads := 5
		var mu sync.Mutex
		p := newProcess(t, d, pool, newDisk(t), &hooked{from, func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if uploads--; uploads >= 0 {
				names = append(names, before.upload(t).Name)
			}
			return nil
		}})
		if moved := p.move(t, false); !moved.Settled || moved.Copied != 6 {
			t.Errorf("got %+v, want 6 copied", moved)
		}
		wantFiles(t, p.Shelf, names...)
	})
}

// TestInterruptedMoveGoesOn ends moves at every file, and lets another one finish.
func TestInterruptedMoveGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		from, to := openDisk(t, t.TempDir()), newDisk(t)
		before := newProcess(t, d, pool, from, nil)
		var names []string
		for range 5 {
			names = append(names, before.upload(t).Name)
		}
		for stop := range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			var opened atomic.Int32
			p := newProcess(t, d, pool, to, &hooked{from, func(string) error {
				if int(opened.Add(1)) > stop {
					cancel()
				}
				return nil
			}})
			if _, err := p.Move(ctx, true); stop == 0 && !errors.Is(err, context.Canceled) {
				t.Errorf("stopped after %d files: %v, want that it was cancelled", stop, err)
			}
			cancel()
			both := newProcess(t, d, pool, to, from)
			both.check(t, CheckOptions{Read: true})
			both.wantFound(t)
		}
		p := newProcess(t, d, pool, to, from)
		p.move(t, true)
		wantFiles(t, from)
		wantFiles(t, to, names...)
	})
}

func TestMoveEndsWithAStorageThatFails(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		from := openDisk(t, t.TempDir())
		a := newProcess(t, d, pool, from, nil).upload(t)
		failure := errors.New("away")
		p := newProcess(t, d, pool, newDisk(t), &hooked{from, func(string) error { return failure }})
		if _, err := p.Move(t.Context(), true); !errors.Is(err, failure) {
			t.Errorf("got %v, want what failed", err)
		}
		p.wantFound(t)
		wantFiles(t, from, a.Name)
		wantFiles(t, p.Shelf)
	})
}
