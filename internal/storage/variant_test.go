package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// putVariant stores a variant that contains its own name.
func putVariant(t *testing.T, s *Store, name, variant string) {
	t.Helper()
	if err := s.PutVariant(t.Context(), name, variant, []byte(variant)); err != nil {
		t.Fatal(err)
	}
}

// wantVariants checks which names have variants.
func wantVariants(t *testing.T, s *Store, want []string) {
	t.Helper()
	var got []string
	for name, err := range s.shelf.WalkVariants(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("variants of %q, want of %q", got, want)
	}
}

func wantVariant(t *testing.T, s *Store, name, variant string) {
	t.Helper()
	f, err := s.OpenVariant(t.Context(), name, variant)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Content.Close()
	if data, err := io.ReadAll(f.Content); err != nil || string(data) != variant || f.Size != int64(len(data)) {
		t.Errorf("%s contains %q of %d bytes, %v", variant, data, f.Size, err)
	}
}

func TestVariants(t *testing.T) {
	shelves(t, func(t *testing.T, open func() *Store) {
		s := open()
		keep(t, s, "aaa.x", "aaab.x")
		for _, variant := range []string{"w320-q80.webp", "w_64.jpeg"} {
			putVariant(t, s, "aaa.x", variant)
			putVariant(t, s, "aaa.x", variant) // another process derived it too
			wantVariant(t, s, "aaa.x", variant)
		}
		putVariant(t, s, "aaab.x", "w_64.jpeg")
		wantVariants(t, s, []string{"aaa.x", "aaab.x"})
		wantFiles(t, s, []string{"aaa.x", "aaab.x"}, 0)
		if n, err := s.CountVariants(t.Context(), "aaa.x"); n != 2 || err != nil {
			t.Errorf("%d variants, %v; want 2", n, err)
		}
		for _, missing := range [][2]string{{"aaa.x", "w65"}, {"aaac.x", "w64"}, {"aaa.x", "../aaa"}, {"aaa.x", ""}, {"../aaa", "w64"}} {
			if _, err := s.OpenVariant(t.Context(), missing[0], missing[1]); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open variant %q: %v, want fs.ErrNotExist", missing, err)
			}
		}
		if err := s.Remove(t.Context(), "aaa.x"); err != nil {
			t.Fatal(err)
		}
		wantVariants(t, s, []string{"aaab.x"})
	})
}

func TestInvalidVariants(t *testing.T) {
	s := onDisk(t, t.TempDir())
	keep(t, s, "aaa.x")
	for _, variant := range []string{"", ".", "..", ".x", "../x", "a/b", "A", "a b"} {
		if err := s.PutVariant(t.Context(), "aaa.x", variant, []byte("x")); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("put variant %q: %v, want fs.ErrInvalid", variant, err)
		}
	}
}

func TestVariantsAreBounded(t *testing.T) {
	shelves(t, func(t *testing.T, open func() *Store) {
		s := open()
		s.maxVariants = 3
		keep(t, s, "aaa.x", "bbb.x")
		for i := range 5 {
			putVariant(t, s, "aaa.x", fmt.Sprintf("w%d", i))
		}
		putVariant(t, s, "bbb.x", "w0")
		if n, err := s.CountVariants(t.Context(), "aaa.x"); n != 3 || err != nil {
			t.Errorf("%d variants, %v; want 3", n, err)
		}
		wantVariants(t, s, []string{"aaa.x", "bbb.x"})
	})
}

// TestVariantOfRemovedFile derives a variant while its file is removed.
func TestVariantOfRemovedFile(t *testing.T) {
	shelves(t, func(t *testing.T, open func() *Store) {
		s := open()
		if err := s.PutVariant(t.Context(), "aaa.x", "w64", []byte("x")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error is %v, want fs.ErrNotExist", err)
		}
		wantVariants(t, s, nil)
	})
}

// TestVariantsAndRemovalsAtOnce checks that no removed file keeps a variant.
func TestVariantsAndRemovalsAtOnce(t *testing.T) {
	shelves(t, func(t *testing.T, open func() *Store) {
		s := open()
		for i := range 10 {
			name := fmt.Sprintf("aaa%d.x", i)
			keep(t, s, name)
			var group sync.WaitGroup
			for j := range 4 {
				group.Go(func() {
					err := s.PutVariant(t.Context(), name, fmt.Sprintf("w%d", j), []byte("x"))
					if err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Error(err)
					}
				})
			}
			removal := mark(t, s, name)
			removal.Finish(t.Context(), answer(false, nil)) // if it fails, the sweep does it
			group.Wait()
		}
		if err := s.Sweep(t.Context(), answer(false, nil)); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, s, nil, 0)
		wantVariants(t, s, nil)
	})
}

func TestEmptyVariantIsMissing(t *testing.T) {
	s := onDisk(t, t.TempDir())
	keep(t, s, "aaa.x")
	putVariant(t, s, "aaa.x", "w64")
	if err := os.Truncate(filepath.Join(s.shelf.(*Disk).variantsOf("aaa.x"), "w64"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenVariant(t.Context(), "aaa.x", "w64"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v, want fs.ErrNotExist", err)
	}
}

// TestKilledVariant checks that a sweep removes the temporary file of a killed process.
func TestKilledVariant(t *testing.T) {
	dir := t.TempDir()
	killed := onDisk(t, dir)
	if _, err := writeTemporary(killed.processDir, []byte("x")); err != nil {
		t.Fatal(err)
	}
	kill(t, killed)
	next := onDisk(t, dir)
	if err := next.Sweep(t.Context(), answer(true, nil)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, next, nil, 0)
}
