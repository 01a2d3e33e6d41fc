package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

// smallDisk returns a folder that is a file system of its own.
func smallDisk(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("gatehouse", dir, "tmpfs", 0, "size="+size); err != nil {
		if dbtest.NoSkip() && os.Getuid() == 0 {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("SKIP: a small file system can't be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDataFolder has no room for a copy of the database, which must leave some to the server.
func TestFullDataFolder(t *testing.T) {
	dir := smallDisk(t, "8m")
	onBoth(t, func(t *testing.T, s *server) {
		s.Spool = dir
		if _, err := s.Make(t.Context(), MakeOptions{}); !errors.Is(err, errSpool) || !strings.Contains(err.Error(), "8.4 MB are free; make room") {
			t.Errorf("got %v, want that the data folder is too full", err)
		}
		if stats := s.Stats(); stats.Failed != 1 {
			t.Errorf("stats %+v, want a failure", stats)
		}
	})
}

// TestFullSpool has no room for a picture that is to be sent to S3: it is not the bucket that is full.
func TestFullSpool(t *testing.T) {
	m := dbtest.SharedMinIO(t)
	folder, err := storage.OpenS3Folder(storage.S3Options{
		Endpoint: m.Endpoint, Region: m.Region, Bucket: m.Bucket, Prefix: "spool", KeyID: m.KeyID, KeySecret: m.KeySecret,
	}, filepath.Join(smallDisk(t, "1m"), "sending"))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "", folder)
	s.add(t, strings.Repeat("large", 400_000), false)
	_, err = s.Make(t.Context(), MakeOptions{})
	if !errors.Is(err, storage.ErrSpoolFull) || strings.Contains(err.Error(), "the destination is full") {
		t.Errorf("got %v, want that the spool is full", err)
	}
}

// TestFullDestination fills the place of the backups. The backup that was there stays, and is whole.
func TestFullDestination(t *testing.T) {
	s := newServer(t, "", storage.OpenDiskFolder(smallDisk(t, "1m")))
	s.add(t, "small", false)
	first := s.make(t, MakeOptions{})
	for i := range 8 {
		s.add(t, strings.Repeat(fmt.Sprint(i), 200_000), false)
	}
	if _, err := s.Make(t.Context(), MakeOptions{}); err == nil || !strings.Contains(err.Error(), "the destination is full; make room there") {
		t.Errorf("got %v, want that the destination is full", err)
	}
	backups, err := List(t.Context(), s.Folder)
	if err != nil || len(backups) != 1 || backups[0].Name != first.Name {
		t.Errorf("backups %v, %v; want the first", backups, err)
	}
	wantFound(t, s.Folder)
}
