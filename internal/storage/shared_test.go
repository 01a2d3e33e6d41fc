package storage

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestShare stores files that a web server of the same group may read. It may not read uploads that are not decided.
func TestShare(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	keep(t, onDisk(t, dir), "aaa.x") // before it was shared
	s := onDisk(t, dir)
	if err := s.shelf.(*Disk).Share(); err != nil {
		t.Fatal(err)
	}
	keep(t, s, "bbb.x")
	putVariant(t, s, "bbb.x", "w64.jpeg")
	b := s.NewBatch()
	if _, err := b.Create("ccc.x"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{
		"": 0o750, "bb": 0o750, "bb/bbb.x": 0o640,
		"variants": 0o750, "variants/bb": 0o750, "variants/bb/bbb.x": 0o750, "variants/bb/bbb.x/w64.jpeg": 0o640,
		"incoming": 0o700, "aa": 0o700, "aa/aaa.x": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %o, want %o", path, got, want)
		}
	}
	if err := b.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
}
