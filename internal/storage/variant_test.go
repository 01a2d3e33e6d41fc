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
	"time"
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
		wantStoredVariants(t, s, "aaa.x", "w320-q80.webp", "w_64.jpeg")
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

// TestOldestVariantsMakeRoom fills what a file's variants may take: what is new is stored nevertheless.
func TestOldestVariantsMakeRoom(t *testing.T) {
	tests := []struct {
		name     string
		most     int
		bytes    int64
		variants []string // with their own names as bytes
		want     []string
	}{
		{"they fit", 3, 6, []string{"w0", "w1", "w2"}, []string{"w0", "w1", "w2"}},
		{"too many", 3, 100, []string{"w0", "w1", "w2", "w3", "w4"}, []string{"w2", "w3", "w4"}},
		{"too many bytes", 9, 5, []string{"w0", "w1", "w2"}, []string{"w1", "w2"}},
		{"a large one for several", 9, 8, []string{"w0", "w1", "w2", "large"}, []string{"large", "w2"}},
		{"a large one for all", 9, 5, []string{"w0", "w1", "large"}, []string{"large"}},
		{"too large alone", 9, 4, []string{"w0", "w1", "large"}, []string{"w0", "w1"}},
		{"one again", 3, 6, []string{"w0", "w1", "w2", "w0", "w0"}, []string{"w0", "w1", "w2"}},
		{"the one that is not the oldest any more", 3, 6, []string{"w0", "w1", "w2", "w0", "w3"}, []string{"w0", "w2", "w3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shelves(t, func(t *testing.T, open func() *Store) {
				s := open()
				s.maxVariants, s.maxVariantBytes = test.most, test.bytes
				keep(t, s, "aaa.x", "bbb.x")
				putVariant(t, s, "bbb.x", "w0")
				for _, variant := range test.variants {
					putVariant(t, s, "aaa.x", variant)
					time.Sleep(10 * time.Millisecond) // file systems and S3 tell times no better
				}
				wantStoredVariants(t, s, "aaa.x", test.want...)
				wantStoredVariants(t, s, "bbb.x", "w0")
			})
		})
	}
}

// TestVariantBoundsAtOnce stores variants at the same time. The bounds hold again after the next one.
func TestVariantBoundsAtOnce(t *testing.T) {
	shelves(t, func(t *testing.T, open func() *Store) {
		one, two := open(), open()
		keep(t, one, "aaa.x")
		for _, s := range []*Store{one, two} {
			s.maxVariants, s.maxVariantBytes = 4, 8
		}
		var group sync.WaitGroup
		for i := range 20 {
			s := []*Store{one, two}[i%2]
			group.Go(func() {
				if err := s.PutVariant(t.Context(), "aaa.x", fmt.Sprintf("a%d", i%10), []byte("xx")); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		putVariant(t, one, "aaa.x", "w0")
		stored, err := one.shelf.Variants(t.Context(), "aaa.x")
		if err != nil || len(stored) > 4 {
			t.Errorf("stored %+v, %v, want 4 at most", stored, err)
		}
		wantVariant(t, one, "aaa.x", "w0")
	})
}

// wantStoredVariants checks which variants of a file are stored, by their names in order.
func wantStoredVariants(t *testing.T, s *Store, name string, want ...string) {
	t.Helper()
	stored, err := s.shelf.Variants(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range stored {
		if entry.Size != int64(len(entry.Name)) || time.Since(entry.ModTime).Abs() > time.Hour {
			t.Errorf("stored %+v, want its size and a recent time", entry)
		}
		got = append(got, entry.Name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("stored variants %q, want %q", got, want)
	}
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
