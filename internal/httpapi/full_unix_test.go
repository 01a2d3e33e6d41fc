//go:build unix

package httpapi

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"gatehouse/internal/apperr"
)

// limitFiles makes every file of this process full at a size, until the test ends.
func limitFiles(t testing.TB, bytes int64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = uint64(bytes)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	lift = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
	t.Cleanup(lift)
	return lift
}

func TestDiskIsFull(t *testing.T) {
	s := newServer(t, "")
	token := bearer(s.newUser(t).token)
	large := uploadOf([]file{{"small.png", tinyPNG(t)}, {"large.jpg", jpegOf(t, 1_000_000)}}, token)
	lift := limitFiles(t, 900_000)
	s.send(t, large).want(t, apperr.StorageFull)
	s.wantNoPictures(t)
	s.send(t, uploadOf([]file{{"small.png", tinyPNG(t)}}, token)).want(t, apperr.OK)
	lift()
	s.send(t, uploadOf([]file{{"large.jpg", jpegOf(t, 1_000_000)}}, token)).want(t, apperr.OK)
}

// TestDatabaseIsFull leaves SQLite's log no room to grow.
func TestDatabaseIsFull(t *testing.T) {
	s := newServer(t, "", inDevelopment)
	u := s.newUser(t)
	requests := s.declaring(t, u, apperr.StorageFull)
	log, err := os.Stat(filepath.Join(s.dataDir, "gatehouse.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	lift := limitFiles(t, log.Size())
	for id, request := range requests {
		if !isOfS3(id) {
			t.Run(id, func(t *testing.T) { s.send(t, request()).want(t, apperr.StorageFull) })
		}
	}
	lift()
	s.send(t, uploadOf([]file{{"small.png", tinyPNG(t)}}, bearer(u.token))).want(t, apperr.OK)
	s.send(t, registration("18866668888")).want(t, apperr.OK)
}
