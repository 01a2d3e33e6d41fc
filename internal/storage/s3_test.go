package storage

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"gatehouse/internal/dbtest"
)

// openS3 opens a shelf in a new bucket.
func openS3(t *testing.T) *S3 {
	t.Helper()
	return openS3With(t, s3Options(dbtest.SharedMinIO(t)))
}

func openS3With(t *testing.T, o S3Options) *S3 {
	t.Helper()
	s, err := OpenS3(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func s3Options(m *dbtest.MinIO) S3Options {
	return S3Options{
		Endpoint:  m.Endpoint,
		Region:    m.Region,
		Bucket:    m.Bucket,
		Prefix:    "some/where",
		KeyID:     m.KeyID,
		KeySecret: m.KeySecret,
		Patience:  time.Minute, // the machine of the tests may be slow
	}
}

func TestS3ThatDoesNotKnowUs(t *testing.T) {
	m := dbtest.SharedMinIO(t)
	tests := []struct {
		name   string
		change func(o *S3Options)
	}{
		{"wrong secret", func(o *S3Options) { o.KeySecret += "x" }},
		{"wrong key", func(o *S3Options) { o.KeyID += "x" }},
		{"missing bucket", func(o *S3Options) { o.Bucket = "missing" }},
		{"nobody listens", func(o *S3Options) { o.Endpoint = "127.0.0.1:1" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := s3Options(m)
			test.change(&o)
			s := openStore(t, Options{Shelf: openS3With(t, o), Spool: t.TempDir()})
			b := s.NewBatch()
			create(t, b, "aaa.x")
			_, openErr := s.Open(t.Context(), "aaa.x")
			for call, err := range map[string]error{"check": s.Check(t.Context()), "open": openErr, "place": b.Place(t.Context())} {
				if !IsUnavailable(err) {
					t.Errorf("%s: error %v, want one that says that the storage is unavailable", call, err)
				}
				if err != nil && strings.Contains(err.Error(), m.KeySecret) {
					t.Errorf("%s: the error %q tells the secret", call, err)
				}
			}
		})
	}
}

// TestS3GoesAway stops and suspends a real server.
func TestS3GoesAway(t *testing.T) {
	m := dbtest.NewMinIO(t)
	s := openStore(t, Options{Shelf: openS3With(t, s3Options(m)), Spool: t.TempDir()})
	keep(t, s, "aaa.x")
	for name, away := range map[string]struct{ leave, comeBack func() error }{
		"suspended": {func() error { return m.Suspend() }, func() error { return m.Resume() }}, // of the process then
		"stopped":   {func() error { m.Stop(); return nil }, m.Start},
	} {
		if err := away.leave(); err != nil {
			t.Fatal(err)
		}
		undo := impatient(s)
		b := s.NewBatch()
		create(t, b, "bbb.x")
		_, openErr := s.Open(t.Context(), "aaa.x")
		for call, err := range map[string]error{"open": openErr, "place": b.Place(t.Context()), "discard": b.Discard(t.Context())} {
			if !IsUnavailable(err) {
				t.Errorf("%s, %s: error %v, want one that says that the storage is unavailable", name, call, err)
			}
		}
		undo()
		if err := away.comeBack(); err != nil {
			t.Fatal(err)
		}
		if err := s.Sweep(t.Context(), answer(false, nil)); err != nil {
			t.Error(err)
		}
		wantFiles(t, s, []string{"aaa.x"}, 0)
	}
}

// TestLargeFile is sent in parts, and read in ranges.
func TestLargeFile(t *testing.T) {
	shelf, spool := openS3(t), t.TempDir()
	s := openStore(t, Options{Shelf: shelf, Spool: spool})
	content := bytes.Repeat([]byte("0123456789abcdef"), 2*partSize/16+1)
	b := s.NewBatch()
	write(t, b, "aaa.jpg", string(content))
	place(t, b)
	if err := b.Keep(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, s, "aaa.jpg"), content) {
		t.Error("the content changed")
	}
	f, err := s.Open(t.Context(), "aaa.jpg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Content.Close()
	tests := []struct {
		ranges, want string
	}{
		{"bytes=0-3", "0123"},
		{"bytes=16777215-16777217", "f01"},
		{"bytes=-2", "ef"},
		{"bytes=1-2", "12"},
	}
	for _, test := range tests {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", test.ranges)
		http.ServeContent(w, r, "aaa.jpg", f.ModTime, f.Content)
		if w.Code != http.StatusPartialContent || w.Body.String() != test.want {
			t.Errorf("%s: status %d, %q; want %q", test.ranges, w.Code, w.Body, test.want)
		}
	}
	info, err := shelf.client.StatObject(t.Context(), shelf.bucket, shelf.key(filesFolder, "aaa.jpg"), minio.StatObjectOptions{})
	if err != nil || info.ContentType != "image/jpeg" {
		t.Errorf("stored as %q, %v; want image/jpeg", info.ContentType, err)
	}
}

// TestKilledInTheMiddleOfParts checks that a sweep removes parts that nobody will complete.
func TestKilledInTheMiddleOfParts(t *testing.T) {
	shelf, spool := openS3(t), t.TempDir()
	killed := openStore(t, Options{Shelf: shelf, Spool: spool})
	create(t, killed.NewBatch(), "aaa.x")
	key := shelf.key(filesFolder, "aaa.x")
	upload, err := shelf.client.NewMultipartUpload(t.Context(), shelf.bucket, key, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	part := strings.NewReader("half of it")
	_, err = shelf.client.PutObjectPart(t.Context(), shelf.bucket, key, upload, 1, part, part.Size(), minio.PutObjectPartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kill(t, killed)
	next := openStore(t, Options{Shelf: shelf, Spool: spool})
	wantFiles(t, next, nil, 1)
	if err := next.Sweep(t.Context(), answer(false, nil)); err != nil {
		t.Fatal(err)
	}
	for left := range shelf.client.ListIncompleteUploads(t.Context(), shelf.bucket, key, true) {
		t.Errorf("left: %+v", left)
	}
	wantFiles(t, next, nil, 0)
}
