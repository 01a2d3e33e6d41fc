package doctor

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"gatehouse/internal/dbtest"
)

// TestDisk has a small disk, fills it, and forbids to write it.
func TestDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("gatehouse", dir, "tmpfs", 0, "size=8m,nr_inodes=100000"); err != nil {
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
	look := Disk([]string{dir}, filepath.Join(dir, "log"))
	wantFinding(t, look(t.Context()), OK, "8.4 MB free of 8.4 MB")
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 8_200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, look(t.Context()), Problem, "free of 8.4 MB")
	if err := syscall.Mount("gatehouse", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, look(t.Context()), Problem, "can't be written")
	wantFinding(t, Disk([]string{filepath.Join(dir, "none")}, "")(t.Context()), Problem, "no such file")
}

// TestUser has a folder of this user, and one of root or of another one.
func TestUser(t *testing.T) {
	dir := t.TempDir()
	wantFinding(t, User(dir)(t.Context()), OK, "who runs this")
	others := "/"
	if os.Geteuid() == 0 {
		others = dir
		if err := os.Chown(dir, 65534, -1); err != nil {
			t.Fatal(err)
		}
	}
	wantFinding(t, User(others)(t.Context()), Warning, "this is run by somebody else")
}

func TestMachine(t *testing.T) {
	if found := Clock(t.Context()); len(found) != 1 || found[0].Status == Problem {
		t.Errorf("clock: %+v", found)
	}
	if found := Limits(t.Context()); len(found) != 2 {
		t.Errorf("limits: %+v, want files and memory", found)
	}
}
