package storage

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

// post uploads a file as a client does, and returns the status.
func post(t *testing.T, p Presigned, content string) int {
	t.Helper()
	return dbtest.PostForm(t, p.URL, p.Fields, []byte(content))
}

func presign(t *testing.T, s *Store, name string, maxBytes int64, expires time.Time) Presigned {
	t.Helper()
	p, err := s.PresignDirect(t.Context(), name, maxBytes, expires)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDirectUpload(t *testing.T) {
	s := openStore(t, Options{Shelf: openS3(t), Spool: t.TempDir()})
	if !s.Direct() {
		t.Fatal("S3 takes no direct uploads")
	}
	soon := time.Now().Add(time.Minute)
	if status := post(t, presign(t, s, "aaa", 5, soon), "bytes"); status != http.StatusNoContent {
		t.Fatalf("upload: status %d", status)
	}
	f, err := s.OpenDirect(t.Context(), "aaa")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Content.Close()
	if data, err := io.ReadAll(f.Content); string(data) != "bytes" || f.Size != 5 || err != nil {
		t.Errorf("uploaded %q of %d bytes, %v", data, f.Size, err)
	}
	wantFiles(t, s, nil, 0)
	if got := namesOf(t, s.WalkDirect(t.Context())); len(got) != 1 || got[0] != "aaa" {
		t.Errorf("direct uploads %q, want aaa", got)
	}
	for range 2 {
		if err := s.RemoveDirect(t.Context(), "aaa"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.OpenDirect(t.Context(), "aaa"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open what was removed: %v, want fs.ErrNotExist", err)
	}
}

func TestRefusedDirectUploads(t *testing.T) {
	s := openStore(t, Options{Shelf: openS3(t), Spool: t.TempDir()})
	soon := time.Now().Add(time.Minute)
	otherKey, otherBucket, noSignature := presign(t, s, "aaa", 5, soon), presign(t, s, "aaa", 5, soon), presign(t, s, "aaa", 5, soon)
	otherKey.Fields["key"] = strings.Replace(otherKey.Fields["key"], "direct/aaa", "files/aaa", 1)
	otherBucket.URL = strings.Replace(otherBucket.URL, s.shelf.(*S3).bucket, openS3(t).bucket, 1)
	delete(noSignature.Fields, "x-amz-signature")
	tests := []struct {
		name    string
		form    Presigned
		content string
	}{
		{"too large", presign(t, s, "aaa", 5, soon), "bytes!"},
		{"empty", presign(t, s, "aaa", 5, soon), ""},
		{"expired", presign(t, s, "aaa", 5, time.Now().Add(-time.Second)), "bytes"},
		{"other key", otherKey, "bytes"},
		{"other bucket", otherBucket, "bytes"},
		{"no signature", noSignature, "bytes"},
	}
	for _, test := range tests {
		if status := post(t, test.form, test.content); status < 400 || status >= 500 {
			t.Errorf("%s: status %d, want a refusal", test.name, status)
		}
	}
	if got := namesOf(t, s.WalkDirect(t.Context())); got != nil {
		t.Errorf("direct uploads %q, want none", got)
	}
	wantFiles(t, s, nil, 0)
	if _, err := s.PresignDirect(t.Context(), "../aaa", 5, soon); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("presign an invalid name: %v, want fs.ErrInvalid", err)
	}
}

func TestNoDirectUploadsToDisk(t *testing.T) {
	s := onDisk(t, t.TempDir())
	if s.Direct() {
		t.Error("a disk takes direct uploads")
	}
	_, presignErr := s.PresignDirect(t.Context(), "aaa", 5, time.Now())
	_, openErr := s.OpenDirect(t.Context(), "aaa")
	for _, err := range []error{presignErr, openErr, s.RemoveDirect(t.Context(), "aaa")} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("error is %v, want errors.ErrUnsupported", err)
		}
	}
	if got := namesOf(t, s.WalkDirect(t.Context())); got != nil {
		t.Errorf("direct uploads %q, want none", got)
	}
}
