package inventory

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"testing"

	"gatehouse/internal/database"
	"gatehouse/internal/storage"
)

func TestCheckFindsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		dir := t.TempDir()
		p := newProcess(t, d, pool, openDisk(t, dir), nil)
		a, old, piece := p.upload(t), p.uploadOld(t), p.uploadPiece(t)
		for _, name := range []string{a.Name, old.Name, piece} {
			age(t, pathOn(dir, name))
		}
		if err := p.Store.PutVariant(t.Context(), a.Name, "w32", []byte("small")); err != nil {
			t.Fatal(err)
		}
		checked := p.check(t, CheckOptions{Read: true, Remove: true})
		if want := (Checked{Files: 3, Bytes: a.Bytes + old.Bytes + int64(len("the first piece"))}); checked != want {
			t.Errorf("got %+v, want %+v", checked, want)
		}
		p.wantFound(t)
		wantFiles(t, p.Shelf, a.Name, old.Name, piece)
		if variants, err := p.Shelf.Variants(t.Context(), a.Name); len(variants) != 1 || err != nil {
			t.Errorf("variants %v, %v; want the one that was there", variants, err)
		}
	})
}

func TestCheckFindsEveryFault(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		dir := t.TempDir()
		p := newProcess(t, d, pool, openDisk(t, dir), nil)
		good, gone, cut, changed, old, unowned := p.upload(t), p.upload(t), p.upload(t), p.upload(t), p.uploadOld(t), p.upload(t)
		piece := p.uploadPiece(t)
		for _, name := range []string{gone.Name, old.Name, piece} {
			if err := os.Remove(pathOn(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Truncate(pathOn(dir, cut.Name), 3); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pathOn(dir, changed.Name), make([]byte, changed.Bytes), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"stray.png", "young.png", "derived.png", "stray.part"} {
			p.place(t, name, []byte("stray"))
		}
		for _, name := range []string{"stray.png", "derived.png"} {
			if err := p.Store.PutVariant(t.Context(), name, "w32", []byte("small")); err != nil {
				t.Fatal(err)
			}
		}
		age(t, pathOn(dir, "stray.png"))
		age(t, pathOn(dir, "stray.part"))
		if err := os.Remove(pathOn(dir, "derived.png")); err != nil {
			t.Fatal(err)
		}
		p.exec(t, "DELETE FROM images WHERE id = '"+unowned.ID+"'")

		ofRows := []string{
			"missing: " + gone.Name + "; image " + gone.ID + " (" + gone.Name + ") of user " + owner,
			"missing: " + old.Name + "; image " + old.ID + " (" + old.Name + ") of nobody",
			"missing: " + piece + "; a piece of upload ",
			"damaged: " + cut.Name + ": it has 3 bytes instead of ",
		}
		strays := []string{"stray: stray.part: 5 B since ", "stray: stray.png: 5 B since ", "stray variants: derived.png"}
		want := Checked{Files: 7, Missing: 3, Damaged: 1, Strays: 2, StrayBytes: 10, StrayVariants: 1, Young: 1, Marked: 1}
		checked := p.check(t, CheckOptions{})
		want.Bytes = checked.Bytes
		if checked != want {
			t.Errorf("got %+v, want %+v", checked, want)
		}
		p.wantFound(t, append(ofRows, strays...)...)

		want.Damaged, want.Marked = 2, 0
		if checked := p.check(t, CheckOptions{Read: true, Remove: true}); checked != want {
			t.Errorf("reading and removing: got %+v, want %+v", checked, want)
		}
		ofRows = append(ofRows, "damaged: "+changed.Name+": its SHA-256")
		p.wantFound(t, append(ofRows, strays...)...)
		wantFiles(t, p.Shelf, good.Name, cut.Name, changed.Name, unowned.Name, "young.png")

		p.check(t, CheckOptions{Read: true})
		p.wantFound(t, ofRows...) // no stray is left, not even of variants
	})
}

// TestCheckLooksAtTheFallback finds files there, and strays.
func TestCheckLooksAtTheFallback(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		oldDir, newDir := t.TempDir(), t.TempDir()
		before := newProcess(t, d, pool, openDisk(t, oldDir), nil)
		a := before.upload(t)
		before.place(t, "stray.png", []byte("stray"))
		age(t, pathOn(oldDir, "stray.png"))
		p := newProcess(t, d, pool, openDisk(t, newDir), openDisk(t, oldDir))
		p.upload(t)
		checked := p.check(t, CheckOptions{Read: true, Remove: true})
		p.wantFound(t, "stray: stray.png")
		if checked.Files != 2 || checked.Strays != 1 {
			t.Errorf("got %+v, want 2 files and a stray", checked)
		}
		wantFiles(t, before.Shelf, a.Name)
	})
}

func TestCheckFindsUnreadableFiles(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		dir := t.TempDir()
		p := newProcess(t, d, pool, openDisk(t, dir), nil)
		a := p.upload(t)
		if err := os.Remove(pathOn(dir, a.Name)); err != nil {
			t.Fatal(err)
		}
		// A loop of links is there, and can't be opened, even by root.
		if err := os.Symlink(a.Name, pathOn(dir, a.Name)); err != nil {
			t.Fatal(err)
		}
		p.check(t, CheckOptions{})
		p.wantFound(t, "damaged: "+a.Name+": it can't be read: ")
	})
}

// away is a shelf that does not answer any more.
type away struct{ storage.Shelf }

var errAway = errors.New("away")

func (away) Stat(context.Context, string) (storage.Entry, error) { return storage.Entry{}, errAway }

func (away) Check(context.Context) error { return errAway }

func TestCheckEndsWithAStorageThatIsAway(t *testing.T) {
	onBoth(t, func(t *testing.T, d *database.Database, pool *sql.DB) {
		disk := newDisk(t)
		newProcess(t, d, pool, disk, nil).upload(t)
		p := newProcess(t, d, pool, away{disk}, nil)
		if _, err := p.Check(t.Context(), CheckOptions{}); !errors.Is(err, errAway) {
			t.Errorf("got %v, want that the storage is away", err)
		}
		p.wantFound(t)
	})
}
