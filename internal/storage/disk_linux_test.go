package storage

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/dbtest"
)

// mount mounts a file system of 1 MiB until the test ends.
func mount(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("gatehouse", dir, "tmpfs", 0, "size=1m")
	if err != nil && (os.Getuid() != 0 || !dbtest.NoSkip()) {
		t.Skip("SKIP: only root can mount a small disk:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("gatehouse", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	s := onDisk(t, mount(t))
	keep(t, s, "aaa.x")
	b := s.NewBatch()
	f, err := b.Create("bbb.x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Repeat("x", 2<<20)); !IsFull(err) || IsUnavailable(err) {
		t.Errorf("error %v, want one that says that the storage is full", err)
	}
	if err := s.PutVariant(t.Context(), "aaa.x", "w64", []byte("xx")); !IsFull(err) {
		t.Errorf("variant: error %v, want one that says that the storage is full", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, []string{"aaa.x"}, 0)
	wantVariants(t, s, nil)
}

func TestReadOnlyDisk(t *testing.T) {
	dir := mount(t)
	s := onDisk(t, dir)
	keep(t, s, "aaa.x")
	b := s.NewBatch()
	create(t, b, "bbb.x")
	removal := mark(t, s, "aaa.x")
	remount(t, dir, syscall.MS_RDONLY)
	_, createErr := s.NewBatch().Create("ccc.x")
	_, markErr := s.Mark("aaa.x")
	for call, err := range map[string]error{
		"create":      createErr,
		"mark":        markErr,
		"place":       b.Place(t.Context()),
		"discard":     b.Discard(t.Context()),
		"finish":      removal.Finish(t.Context(), answer(false, nil)),
		"put variant": s.PutVariant(t.Context(), "aaa.x", "w64", []byte("x")),
	} {
		if !IsUnavailable(err) || IsFull(err) {
			t.Errorf("%s: error %v, want one that says that the storage is unavailable", call, err)
		}
	}
	wantFiles(t, s, []string{"aaa.x"}, 2)
	remount(t, dir, 0)
	if err := s.Sweep(t.Context(), answer(true, nil)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, []string{"aaa.x"}, 0)
}
