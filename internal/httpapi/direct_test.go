package httpapi

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

// onS3 stores pictures in the bucket of a MinIO.
func onS3(t testing.TB, m *dbtest.MinIO) func(*setup) {
	t.Helper()
	shelf, err := storage.OpenS3(storage.S3Options{
		Endpoint: m.Endpoint, Region: m.Region, Bucket: m.Bucket, KeyID: m.KeyID, KeySecret: m.KeySecret, Patience: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	store := openStore(t, storage.Options{Shelf: shelf, Spool: t.TempDir()})
	return func(s *setup) { s.images.Store = store }
}

// direct is a request for an upload past the server.
func direct(bytes int, changes ...change) *http.Request {
	return postJSON("/upload/direct", map[string]any{"bytes": bytes, "name": "a.jpg"}, changes...)
}

func complete(id uuid.UUID, changes ...change) *http.Request {
	return post("/upload/direct/"+id.String(), "", "", changes...)
}

// postDirectly uploads past the server, and returns the id of the upload.
func (s *testServer) postDirectly(t testing.TB, token change, content []byte) uuid.UUID {
	t.Helper()
	to := decoded[api.DirectUploadResult](t, s.send(t, direct(len(content), token))).Data.Msg
	if status := dbtest.PostForm(t, to.URL, to.Fields, content); status >= 300 {
		t.Fatalf("S3 answers %d", status)
	}
	return to.ID
}

func TestDirectUpload(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, onS3(t, sharedMinIO(t)))
		u, picture := s.newUser(t), tinyJPEG(t)
		token := bearer(u.token)
		missing := decoded[api.DirectUploadResult](t, s.send(t, direct(len(picture), token))).Data.Msg
		if want := s.clock.Now().Add(time.Hour); missing.ExpiresAt.After(want) || missing.ExpiresAt.Before(want.Add(-time.Second)) {
			t.Errorf("expires at %s, want %s", missing.ExpiresAt, want)
		}
		s.send(t, complete(missing.ID, token)).want(t, apperr.DirectUploadMissing)
		s.send(t, complete(uuid.New(), token)).want(t, apperr.UploadSessionNotFound)
		id := s.postDirectly(t, token, picture)
		s.send(t, complete(id, bearer(s.newUser(t).token))).want(t, apperr.UploadSessionNotFound)
		stored := decoded[api.ImageResult](t, s.send(t, complete(id, token))).Data.Msg
		again := decoded[api.ImageResult](t, s.send(t, complete(id, token))).Data.Msg
		if again.ID != stored.ID || stored.Name != "a.jpg" {
			t.Errorf("stored %+v, and again %+v", stored, again)
		}
		if loaded := s.send(t, get(pathOf(t, stored.URL))); !bytes.Equal(loaded.body, picture) {
			t.Errorf("%d bytes came back, want %d", len(loaded.body), len(picture))
		}
	})
}

func TestDirectUploadsAreRefused(t *testing.T) {
	whole := tinyJPEG(t)
	s := newServer(t, "", onS3(t, sharedMinIO(t)), func(s *setup) { s.uploads.MaxSessions = 5 })
	token := bearer(s.newUser(t).token)
	for name, test := range map[string]struct {
		content []byte
		want    apperr.Code
	}{
		"text":    {[]byte(strings.Repeat(marker, 10)), apperr.NotAnImage},
		"cut off": {whole[:len(whole)-2], apperr.ImageDamaged},
		"huge":    {hugeGIF(t), apperr.TooManyPixels},
	} {
		t.Run(name, func(t *testing.T) {
			id := s.postDirectly(t, token, test.content)
			s.send(t, complete(id, token)).want(t, test.want)
			s.send(t, complete(id, token)).want(t, apperr.UploadSessionNotFound)
		})
	}
	s.send(t, direct(1<<20+1, token)).want(t, apperr.UploadTooLarge)
	s.send(t, direct(0, token)).want(t, apperr.InvalidInput)
	s.send(t, post("/upload/direct/1", "", "", token)).want(t, apperr.InvalidInput)
	for range 5 {
		s.send(t, direct(10, token)).want(t, apperr.OK)
	}
	s.send(t, direct(10, token)).want(t, apperr.TooManyUploadSessions)
	disk := newServer(t, "")
	disk.send(t, direct(10, bearer(disk.newUser(t).token))).want(t, apperr.DirectUploadUnavailable)
}

func TestDirectUploadQuotas(t *testing.T) {
	picture := tinyJPEG(t)
	for quota, want := range map[image.Quota]apperr.Code{{Images: 1}: apperr.ImageCountExceeded, {Bytes: int64(len(picture))}: apperr.ImageBytesExceeded} {
		s := newServer(t, "", onS3(t, sharedMinIO(t)), func(s *setup) { s.images.Quota = quota })
		token := bearer(s.newUser(t).token)
		id := s.postDirectly(t, token, picture)
		s.send(t, uploadOf([]file{{"a.jpg", picture}}, token)).want(t, apperr.OK)
		s.send(t, direct(len(picture), token)).want(t, want)
		s.send(t, complete(id, token)).want(t, want)
	}
}

// putDirectly puts an object where the form of a direct upload would.
func putDirectly(t testing.TB, m *dbtest.MinIO, to api.DirectUpload, content []byte) {
	t.Helper()
	client, err := m.Client()
	if err == nil {
		_, err = client.PutObject(t.Context(), m.Bucket, to.Fields["key"], bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEmptyDirectUpload has an object that no form lets through.
func TestEmptyDirectUpload(t *testing.T) {
	m := sharedMinIO(t)
	s := newServer(t, "", onS3(t, m))
	token := bearer(s.newUser(t).token)
	to := decoded[api.DirectUploadResult](t, s.send(t, direct(10, token))).Data.Msg
	putDirectly(t, m, to, nil)
	s.send(t, complete(to.ID, token)).want(t, apperr.EmptyUpload)
}

// TestDirectUploadAnswersAsOthers takes over the picture of the contract's examples.
func TestDirectUploadAnswersAsOthers(t *testing.T) {
	m := sharedMinIO(t)
	s := newServer(t, "", inDevelopment, likeExamples, onS3(t, m))
	s.clock.set(exampleRegistration)
	s.sendExamples(t, "registerUser", http.StatusOK, http.StatusConflict)
	s.clock.set(exampleLogin)
	login := decoded[api.LoginResult](t, s.sendExamples(t, "loginUser", http.StatusOK, http.StatusOK))
	token := bearer(login.Data.Msg.AccessToken)
	to := decoded[api.DirectUploadResult](t, s.sendExamplesAs(t, "createDirectUpload", token, http.StatusOK)).Data.Msg
	putDirectly(t, m, to, examplePicture(t))
	stored := decoded[api.ImageResult](t, s.send(t, complete(to.ID, token))).Data.Msg
	s.sendImageExamples(t, token, stored)
	s.send(t, complete(to.ID, token)).want(t, apperr.OK)
}

// TestDirectUploadAboveANewLimit lowers the limit after the upload was announced.
func TestDirectUploadAboveANewLimit(t *testing.T) {
	s := newServer(t, "", onS3(t, sharedMinIO(t)))
	token := bearer(s.newUser(t).token)
	id := s.postDirectly(t, token, jpegOf(t, 100_000))
	s.stood.images.MaxBytes = 50_000
	s.secondNode(t).send(t, complete(id, token)).want(t, apperr.UploadTooLarge)
}

// TestUploadsWhileS3IsAway asks clients to come back.
func TestUploadsWhileS3IsAway(t *testing.T) {
	m := newMinIO(t)
	s := newServer(t, "", onS3(t, m))
	u, picture := s.newUser(t), tinyJPEG(t)
	token := bearer(u.token)
	id, session := s.postDirectly(t, token, picture), s.newSession(t, u, "1000")
	m.Stop()
	s.send(t, complete(id, token)).want(t, apperr.StorageUnavailable)
	s.send(t, continueAt(session, 0, []byte("123"), token)).want(t, apperr.StorageUnavailable)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	s.send(t, complete(id, token)).want(t, apperr.OK)
	s.send(t, continueAt(session, 0, []byte("123"), token)).wantStatus(t, http.StatusNoContent)
}
