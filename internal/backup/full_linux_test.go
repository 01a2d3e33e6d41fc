package backup

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

// TestFullDestination fills the place of the backups. The backup that was there stays, and is whole.
func TestFullDestination(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("gatehouse", dir, "tmpfs", 0, "size=1m"); err != nil {
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
	s := newServer(t, "", storage.OpenDiskFolder(dir))
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
