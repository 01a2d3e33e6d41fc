package storage

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gatehouse/internal/dbtest"
)

// onBothFolders runs a test on a folder of this machine, and in a bucket.
func onBothFolders(t *testing.T, test func(t *testing.T, folder Folder)) {
	t.Run("disk", func(t *testing.T) {
		test(t, OpenDiskFolder(filepath.Join(t.TempDir(), "new")))
	})
	t.Run("s3", func(t *testing.T) {
		m := dbtest.SharedMinIO(t)
		folder, err := OpenS3Folder(S3Options{
			Endpoint: m.Endpoint, Region: m.Region, Bucket: m.Bucket, Prefix: "saved", KeyID: m.KeyID, KeySecret: m.KeySecret,
		}, filepath.Join(t.TempDir(), "spool"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, folder)
	})
}

func store(t *testing.T, folder Folder, path, content string) {
	t.Helper()
	err := folder.Create(t.Context(), path, func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	})
	if err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
}

func wantStored(t *testing.T, folder Folder, path, want string) {
	t.Helper()
	file, err := folder.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	defer file.Content.Close()
	got, err := io.ReadAll(file.Content)
	if err != nil || string(got) != want || file.Size != int64(len(want)) {
		t.Errorf("%s: %q of %d bytes, %v; want %q", path, got, file.Size, err, want)
	}
}

func listed(t *testing.T, folder Folder, path string) (names []string) {
	t.Helper()
	for entry, err := range folder.List(t.Context(), path) {
		if err != nil {
			t.Fatalf("list %q: %v", path, err)
		}
		names = append(names, entry.Name)
	}
	slices.Sort(names)
	return names
}

func TestFolder(t *testing.T) {
	onBothFolders(t, func(t *testing.T, folder Folder) {
		store(t, folder, "a/b/one", "first")
		store(t, folder, "a/two", "second")
		store(t, folder, "a/two", "in its place")
		wantStored(t, folder, "a/b/one", "first")
		wantStored(t, folder, "a/two", "in its place")
		for path, want := range map[string][]string{"": {"a/"}, "a": {"b/", "two"}, "a/b": {"one"}, "none": nil} {
			if got := listed(t, folder, path); !slices.Equal(got, want) {
				t.Errorf("list %q: %q, want %q", path, got, want)
			}
		}
		for range 2 {
			if err := folder.Remove(t.Context(), "a/b/one"); err != nil {
				t.Errorf("remove: %v", err)
			}
		}
		if _, err := folder.Open(t.Context(), "a/b/one"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open what was removed: %v, want that it does not exist", err)
		}
		if err := folder.Check(t.Context()); err != nil {
			t.Errorf("check: %v", err)
		}
	})
}

// TestFolderKeepsNothingHalf fails in the middle of a file that was there before.
func TestFolderKeepsNothingHalf(t *testing.T) {
	onBothFolders(t, func(t *testing.T, folder Folder) {
		store(t, folder, "there", "as it was")
		failure := errors.New("cut off")
		for _, path := range []string{"there", "new"} {
			err := folder.Create(t.Context(), path, func(w io.Writer) error {
				if _, err := w.Write(bytes.Repeat([]byte("half"), 1<<18)); err != nil {
					return err
				}
				return failure
			})
			if !errors.Is(err, failure) {
				t.Errorf("create %s: %v, want what failed", path, err)
			}
		}
		wantStored(t, folder, "there", "as it was")
		if got := listed(t, folder, ""); !slices.Equal(got, []string{"there"}) {
			t.Errorf("files %q, want only what was there", got)
		}
	})
}

// TestFolderSweeps finds what a killed process left, and what is somebody else's.
func TestFolderSweeps(t *testing.T) {
	dir := t.TempDir()
	others := filepath.Join(dir, "unfinished", "novel")
	if err := errors.Join(os.Mkdir(filepath.Dir(others), 0o700), os.WriteFile(others, []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	folder := OpenDiskFolder(dir)
	left := filepath.Join(dir, unfinished, "left")
	if err := errors.Join(os.Mkdir(filepath.Dir(left), 0o700), os.WriteFile(left, []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := folder.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left: %v, want that it is gone", err)
	}
	if _, err := os.Stat(others); err != nil {
		t.Errorf("what is somebody else's: %v", err)
	}
	store(t, folder, "new", "still works")
}
