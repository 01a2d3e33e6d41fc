package image

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

// limitFiles makes every file of this process full at a size.
func limitFiles(t *testing.T, bytes uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
}

func TestDiskIsFull(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		lift := limitFiles(t, 900_000)
		_, err := s.Upload(t.Context(), UploadOptions{},
			each(upload("small.jpg", encodeJPEG(t, 8, 8)), upload("large.jpg", largePhoto(t, 1_000_000))))
		lift()
		if !apperr.Is(err, apperr.StorageFull) {
			t.Errorf("error is %v, want StorageFull", err)
		}
		wantFiles(t, p)
		wantCount(t, pool, "images", 0)
		wantCount(t, pool, "blobs", 0)
		uploadOne(t, s, "", largePhoto(t, 1_000_000))
	})
}

// TestVariantsOnAFullDisk are shown, and not stored.
func TestVariantsOnAFullDisk(t *testing.T) {
	d, _ := openDatabase(t, "")
	s, p := openService(t, d, Options{})
	image := uploadOne(t, s, "", encodeJPEG(t, 1000, 1000))
	lift := limitFiles(t, 1000)
	wantVariant(t, s, image, Resize{Width: 640}, 640, 640, "jpeg")
	lift()
	if stored, err := p.shelf.Variants(t.Context(), image.file); err != nil || len(stored) != 0 {
		t.Errorf("%d variants stored, %v", len(stored), err)
	}
}

// TestDiskIsReadOnly uses a file system on which nobody creates files, not even root.
func TestDiskIsReadOnly(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		kept := uploadOne(t, s, "", encodeJPEG(t, 9, 9))
		processes, err := os.ReadDir(p.spool)
		if err != nil {
			t.Fatal(err)
		}
		var own string
		for _, entry := range processes {
			if entry.IsDir() {
				own = filepath.Join(p.spool, entry.Name())
			}
		}
		if err := os.Rename(own, own+"-away"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/sys/kernel", own); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"small": encodeJPEG(t, 8, 8), "large": largePhoto(t, 2*memorySize), "HEIC": heic(t)} {
			_, err := s.Upload(t.Context(), UploadOptions{}, each(upload("a.jpg", data)))
			if !apperr.Is(err, apperr.StorageUnavailable) || apperr.From(err).RetryAfter == 0 {
				t.Errorf("%s: %v, want StorageUnavailable with the time to come back", name, err)
			}
		}
		again := uploadOne(t, s, "", encodeJPEG(t, 9, 9)) // of bytes that are stored, no file is needed
		wantServed(t, s, again, encodeJPEG(t, 9, 9))
		wantVariant(t, s, kept, Resize{Width: 64}, 9, 9, "jpeg")
		if err := os.Remove(own); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(own+"-away", own); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, p, kept.file)
		wantCount(t, pool, "images", 2)
	})
}

// TestS3GoesAway stops and suspends a real server during uploads.
func TestS3GoesAway(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it waits for a server that does not answer")
	}
	d, pool := openDatabase(t, "")
	m := dbtest.NewMinIO(t)
	p := onS3(t, m, 2*time.Second)
	s := openServiceIn(t, p, d, Options{})
	kept := uploadOne(t, s, "", encodeJPEG(t, 9, 9))
	for name, away := range map[string]struct{ leave, comeBack func() error }{
		"suspended": {func() error { return m.Suspend() }, func() error { return m.Resume() }}, // of the process then
		"stopped":   {func() error { m.Stop(); return nil }, m.Start},
	} {
		if err := away.leave(); err != nil {
			t.Fatal(err)
		}
		_, err := s.Upload(t.Context(), UploadOptions{}, each(upload("a.jpg", encodeJPEG(t, 8, 8)), upload("b.jpg", photo(t))))
		_, openErr := s.Open(t.Context(), kept)
		_, variantErr := s.OpenResized(t.Context(), kept, Resize{Width: 64}, false)
		for call, err := range map[string]error{"upload": err, "open": openErr, "variant": variantErr} {
			if !apperr.Is(err, apperr.StorageUnavailable) || apperr.From(err).RetryAfter == 0 {
				t.Errorf("%s, %s: %v, want StorageUnavailable with the time to come back", name, call, err)
			}
		}
		if err := away.comeBack(); err != nil {
			t.Fatal(err)
		}
		sweep(t, s)
		wantFiles(t, p, kept.file)
		wantCount(t, pool, "images", 1)
		wantCount(t, pool, "blobs", 1)
	}
	wantServed(t, s, kept, encodeJPEG(t, 9, 9))
	wantStatus(t, s, kept, StatusNew)
}
