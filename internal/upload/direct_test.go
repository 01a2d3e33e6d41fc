package upload

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

// onS3 is the service of one process whose files are in the bucket of a MinIO.
func (p *place) onS3(t *testing.T, m *dbtest.MinIO) *Service {
	t.Helper()
	shelf, err := storage.OpenS3(storage.S3Options{
		Endpoint: m.Endpoint, Region: m.Region, Bucket: m.Bucket, KeyID: m.KeyID, KeySecret: m.KeySecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(storage.Options{Shelf: shelf, Spool: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return p.service(t, store, image.Options{})
}

// everywhereOnS3 runs a test on both databases. S3 has no time of its own for tests, so the clock is right.
func everywhereOnS3(t *testing.T, test func(t *testing.T, p *place, m *dbtest.MinIO)) {
	everywhere(t, func(t *testing.T, p *place) {
		p.clock.now = time.Now()
		test(t, p, dbtest.SharedMinIO(t))
	})
}

// wantOnS3 checks how many pictures, pieces and direct uploads the bucket has.
func wantOnS3(t *testing.T, s *Service, files, uploads int) {
	t.Helper()
	for _, err := range s.Store.Walk(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		files--
	}
	for _, err := range s.Store.WalkDirect(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		uploads--
	}
	if files != 0 || uploads != 0 {
		t.Errorf("%d files and %d direct uploads are missing", files, uploads)
	}
}

func TestDirectUpload(t *testing.T) {
	everywhereOnS3(t, func(t *testing.T, p *place, m *dbtest.MinIO) {
		nodes := []*Service{p.onS3(t, m), p.onS3(t, m)}
		owner, data := uuid.NewString(), photo(t)
		to, err := nodes[0].CreateDirect(t.Context(), owner, Announcement{Bytes: int64(len(data)), Name: "a.jpg", Title: "Home"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = nodes[1].CompleteDirect(t.Context(), owner, to.ID)
		wantCode(t, err, apperr.DirectUploadMissing)
		if status := dbtest.PostForm(t, to.URL, to.Fields, append(data[:len(data):len(data)], 0)); status < 400 {
			t.Errorf("S3 took more than was announced, with status %d", status)
		}
		if status := dbtest.PostForm(t, to.URL, to.Fields, data); status >= 300 {
			t.Fatalf("S3 answers %d", status)
		}
		for _, other := range []string{uuid.NewString(), ""} {
			_, err = nodes[1].CompleteDirect(t.Context(), other, to.ID)
			wantCode(t, err, apperr.UploadSessionNotFound)
		}
		completed := race(4, func(i int) error {
			picture, err := nodes[i%2].CompleteDirect(t.Context(), owner, to.ID)
			if err == nil && (picture.Title != "Home" || picture.OwnerID != owner) {
				t.Errorf("picture %+v", picture)
			}
			return err
		})
		for _, err := range completed {
			if err != nil {
				t.Error(err)
			}
		}
		picture, err := nodes[1].CompleteDirect(t.Context(), owner, to.ID)
		if err != nil {
			t.Fatal(err)
		}
		wantImage(t, nodes[0], owner, picture.ID, data)
		wantOnS3(t, nodes[0], 1, 0)
		if images := p.count(t, "images"); images != 1 {
			t.Errorf("%d pictures, want 1", images)
		}
	})
}

func TestDirectUploadOfNoPicture(t *testing.T) {
	everywhereOnS3(t, func(t *testing.T, p *place, m *dbtest.MinIO) {
		s, owner, data := p.onS3(t, m), uuid.NewString(), bytes.Repeat([]byte("<html>"), 100)
		to, err := s.CreateDirect(t.Context(), owner, Announcement{Bytes: int64(len(data))})
		if err != nil {
			t.Fatal(err)
		}
		dbtest.PostForm(t, to.URL, to.Fields, data)
		_, err = s.CompleteDirect(t.Context(), owner, to.ID)
		wantCode(t, err, apperr.NotAnImage)
		_, err = s.CompleteDirect(t.Context(), owner, to.ID)
		wantCode(t, err, apperr.UploadSessionNotFound)
		wantOnS3(t, s, 0, 0)
	})
}

// TestDirectUploadsAreForgotten removes what nobody took over, and what was posted again afterwards.
func TestDirectUploadsAreForgotten(t *testing.T) {
	everywhereOnS3(t, func(t *testing.T, p *place, m *dbtest.MinIO) {
		s, owner, data := p.onS3(t, m), uuid.NewString(), photo(t)
		for _, complete := range []bool{false, true} {
			to, err := s.CreateDirect(t.Context(), owner, Announcement{Bytes: int64(len(data))})
			if err != nil {
				t.Fatal(err)
			}
			dbtest.PostForm(t, to.URL, to.Fields, data)
			if complete {
				if _, err := s.CompleteDirect(t.Context(), owner, to.ID); err != nil {
					t.Fatal(err)
				}
				dbtest.PostForm(t, to.URL, to.Fields, data)
			}
		}
		wantOnS3(t, s, 1, 2)
		p.clock.advance(2 * day)
		if deleted, err := s.DeleteExpired(t.Context()); deleted != 2 || err != nil {
			t.Errorf("deleted %d, %v, want 2", deleted, err)
		}
		wantOnS3(t, s, 1, 0)
	})
}

// TestDirectUploadAfterItsSession posts the form once more when its session has ended.
func TestDirectUploadAfterItsSession(t *testing.T) {
	everywhereOnS3(t, func(t *testing.T, p *place, m *dbtest.MinIO) {
		s, owner, data := p.onS3(t, m), uuid.NewString(), []byte("no picture")
		to, err := s.CreateDirect(t.Context(), owner, Announcement{Bytes: int64(len(data))})
		if err != nil {
			t.Fatal(err)
		}
		dbtest.PostForm(t, to.URL, to.Fields, data)
		_, err = s.CompleteDirect(t.Context(), owner, to.ID)
		wantCode(t, err, apperr.NotAnImage)
		dbtest.PostForm(t, to.URL, to.Fields, data)
		for _, step := range []struct {
			advance     time.Duration
			wantUploads int
		}{{0, 1}, {day, 1}, {2 * time.Hour, 0}} {
			p.clock.advance(step.advance)
			if deleted, err := s.DeleteExpired(t.Context()); deleted != 0 || err != nil {
				t.Errorf("deleted %d, %v, want 0", deleted, err)
			}
			wantOnS3(t, s, 0, step.wantUploads)
		}
	})
}

// TestPiecesOnS3 sends each piece to another node.
func TestPiecesOnS3(t *testing.T) {
	everywhereOnS3(t, func(t *testing.T, p *place, m *dbtest.MinIO) {
		nodes := []*Service{p.onS3(t, m), p.onS3(t, m)}
		owner, data := uuid.NewString(), photo(t)
		session := begin(t, nodes[0], owner, data)
		session = send(t, nodes[0], owner, session, data[:100])
		session = send(t, nodes[1], owner, session, data[100:200])
		wantOnS3(t, nodes[0], 2, 0)
		session = send(t, nodes[0], owner, session, data[200:])
		wantPicture(t, nodes[1], owner, session, data)
		wantOnS3(t, nodes[0], 1, 0)
	})
}

// TestS3IsAway keeps the session for when S3 is back.
func TestS3IsAway(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for an S3 that does not answer; make test-all runs this")
	}
	everywhere(t, func(t *testing.T, p *place) {
		p.clock.now = time.Now()
		m := dbtest.NewMinIO(t)
		s, owner, data := p.onS3(t, m), uuid.NewString(), photo(t)
		session := send(t, s, owner, begin(t, s, owner, data), data[:100])
		m.Stop()
		for _, end := range []int{200, len(data)} {
			_, err := s.Append(t.Context(), owner, session.ID, 100, nil, bytes.NewReader(data[100:end]))
			wantCode(t, err, apperr.StorageUnavailable)
			wantReceived(t, s, owner, session, 100)
		}
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		wantPicture(t, s, owner, send(t, s, owner, session, data[100:]), data)
	})
}
