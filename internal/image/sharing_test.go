package image

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// eachPlace runs a test on both databases with files on a disk, and on SQLite with files on S3.
func eachPlace(t *testing.T, test func(t *testing.T, url string, p place)) {
	dbtest.RunURL(t, func(t *testing.T, url string) { test(t, url, diskIn(t, t.TempDir())) })
	t.Run("s3", func(t *testing.T) { test(t, "", onS3(t, dbtest.SharedMinIO(t), time.Minute)) })
}

// TestSameBytesAreStoredOnce uploads the same picture by many users, on two nodes.
func TestSameBytesAreStoredOnce(t *testing.T) {
	eachPlace(t, func(t *testing.T, url string, p place) {
		d, pool := openDatabase(t, url)
		now := newClock()
		one := openServiceIn(t, p, d, Options{Now: now.Now})
		two := anotherProcess(t, one, p)
		data := photo(t)
		images, owners := make([]Image, 64), make([]string, 64)
		together(len(images), func(i int) {
			owners[i] = uuid.NewString()
			s := []*Service{one, two}[i%2]
			stored, err := s.Upload(t.Context(), UploadOptions{OwnerID: owners[i]}, each(upload("a.jpg", data), upload("b.jpg", data)))
			if err != nil {
				t.Error(err)
				return
			}
			images[i] = stored[1]
		})
		if t.Failed() {
			return
		}
		wantCount(t, pool, "images", 2*len(images))
		wantCount(t, pool, "blobs", 1)
		wantFiles(t, p, images[0].file)
		for i, image := range images {
			wantServed(t, []*Service{two, one}[i%2], image, data)
		}
		wantLinksLiveAlone(t, one, now, images, owners)
		wantFiles(t, p)
		wantCount(t, pool, "blobs", 0)
	})
}

// wantLinksLiveAlone deletes the images of owners one by one. The bytes stay until the last is gone.
func wantLinksLiveAlone(t *testing.T, s *Service, now *clock, images []Image, owners []string) {
	t.Helper()
	last := len(images) - 1
	for i := range images[:last] {
		if err := s.DeleteAll(t.Context(), owners[i]); err != nil {
			t.Fatal(err)
		}
	}
	sweepBlobsAfter(t, s, now, 0)
	if _, err := s.Find(t.Context(), images[0].Name, Reader{}); !apperr.Is(err, apperr.ImageNotFound) {
		t.Errorf("a deleted image: %v, want ImageNotFound", err)
	}
	left, err := s.Find(t.Context(), images[last].Name, Reader{})
	if err != nil {
		t.Fatal(err)
	}
	wantServed(t, s, left, photo(t))
	if err := s.DeleteAll(t.Context(), owners[last]); err != nil {
		t.Fatal(err)
	}
	now.advance(s.UnownedKept)
	if swept, err := s.SweepBlobs(t.Context()); err != nil || swept != 0 {
		t.Errorf("swept %d blobs too early, %v", swept, err)
	}
	sweepBlobsAfter(t, s, now, 1)
}

// TestSweptBlobComesBack uploads bytes again, before their blob is swept and after it.
func TestSweptBlobComesBack(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		now := newClock()
		s, p := openService(t, d, Options{Now: now.Now})
		owner, data := uuid.NewString(), encodeJPEG(t, 8, 8)
		first := uploadOne(t, s, owner, data)
		if err := s.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		again := uploadOne(t, s, owner, data)
		sweepBlobsAfter(t, s, now, 0)
		wantServed(t, s, again, data)
		if err := s.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		sweepBlobsAfter(t, s, now, 1)
		last := uploadOne(t, s, owner, data)
		wantServed(t, s, last, data)
		if again.file != first.file || last.file == first.file {
			t.Errorf("the files are %q, %q and %q, want the first twice and then another", first.file, again.file, last.file)
		}
		wantConsistent(t, pool, p)
	})
}

// TestBlobSweptDuringUpload loses the blob that an upload was going to show, and whose bytes it has dropped.
func TestBlobSweptDuringUpload(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		now := newClock()
		s, p := openService(t, d, Options{Now: now.Now})
		owner := uuid.NewString()
		uploadOne(t, s, owner, encodeJPEG(t, 8, 8))
		batch, pictures := placed(t, s)
		if err := s.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		sweepBlobsAfter(t, s, now, 1)
		_, err := s.insert(t.Context(), batch, UploadOptions{}, pictures)
		if !apperr.Is(err, apperr.ServerBusy) || apperr.From(err).RetryAfter == 0 {
			t.Errorf("error is %v, want ServerBusy with the time to come back", err)
		}
		if err := batch.Discard(t.Context()); err != nil {
			t.Error(err)
		}
		wantFiles(t, p)
		wantCount(t, pool, "images", 0)
	})
}

// TestLostRaceIsWonAfterAll finds the blob that was in the way gone again. The upload has its own file still.
func TestLostRaceIsWonAfterAll(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		now := newClock()
		s, p := openService(t, d, Options{Now: now.Now})
		batch, pictures := placed(t, s)
		owner := uuid.NewString()
		uploadOne(t, s, owner, encodeJPEG(t, 8, 8))
		if _, err := insertOnce(t, s, pictures); err == nil || pictures[0].known == nil {
			t.Fatalf("error is %v, want one that says that the blob is known now", err)
		}
		if err := s.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		sweepBlobsAfter(t, s, now, 1)
		images, err := s.insert(t.Context(), batch, UploadOptions{}, pictures)
		if err != nil || images[0].file != pictures[0].own.file {
			t.Fatalf("stored %+v, %v", images, err)
		}
		wantConsistent(t, pool, p)
	})
}

// TestUploadDeleteSweepRounds uploads, deletes and sweeps the same few bytes on two nodes at once, with no delay
// before a sweep.
func TestUploadDeleteSweepRounds(t *testing.T) {
	eachPlace(t, func(t *testing.T, url string, p place) {
		d, pool := openDatabase(t, url)
		one := openServiceIn(t, p, d, Options{Now: time.Now, UnownedKept: time.Nanosecond})
		two := anotherProcess(t, one, p)
		data := distinct(t, 2)
		together(100, func(i int) {
			s, other := one, two
			if i%2 == 0 {
				s, other = two, one
			}
			owner := uuid.NewString()
			first, second := data[i/2%2], data[1-i/2%2]
			_, err := s.Upload(t.Context(), UploadOptions{OwnerID: owner}, each(upload("a.jpg", first), upload("b.jpg", second)))
			if err != nil && !apperr.Is(err, apperr.ServerBusy) { // a client would come back
				t.Error(err)
			}
			if i%10 > 0 {
				err = other.DeleteAll(t.Context(), owner)
			}
			if err != nil && !apperr.Is(err, apperr.ServerBusy) {
				t.Error(err)
			}
			if _, err := s.SweepBlobs(t.Context()); err != nil && !apperr.Is(err, apperr.ServerBusy) {
				t.Error(err)
			}
		})
		for _, s := range []*Service{one, two} {
			sweep(t, s)
		}
		wantConsistent(t, pool, p)
		wantAllOwned(t, pool)
		if without := queryStrings(t, pool, "SELECT name FROM images WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE hash = sha256)"); len(without) > 0 {
			t.Errorf("the images %q have no blob", without)
		}
	})
}

// TestSweepAfterEachStepOfBlobs kills a process between the steps of a sweep of blobs.
func TestSweepAfterEachStepOfBlobs(t *testing.T) {
	tests := []struct {
		name  string
		steps func(t *testing.T, s *Service, image Image)
		want  int // blobs left
	}{
		{"nothing done", func(*testing.T, *Service, Image) {}, 1},
		{"marked", func(t *testing.T, s *Service, image Image) { mark(t, s, image) }, 1},
		{"row deleted", func(t *testing.T, s *Service, image Image) {
			mark(t, s, image)
			deleteBlob(t, s, image)
		}, 0},
		{"row deleted by another process too", func(t *testing.T, s *Service, image Image) {
			mark(t, s, image)
			mark(t, s, image)
			deleteBlob(t, s, image)
			deleteBlob(t, s, image)
		}, 0},
		{"file removed", func(t *testing.T, s *Service, image Image) {
			mark(t, s, image)
			deleteBlob(t, s, image)
			if err := s.Store.Remove(t.Context(), image.file); err != nil {
				t.Fatal(err)
			}
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dbtest.RunURL(t, func(t *testing.T, url string) {
				d, pool := openDatabase(t, url)
				now := newClock()
				s, p := openService(t, d, Options{Now: now.Now})
				owner := uuid.NewString()
				image := uploadOne(t, s, owner, encodeJPEG(t, 8, 8))
				if err := s.DeleteAll(t.Context(), owner); err != nil {
					t.Fatal(err)
				}
				now.advance(2 * s.UnownedKept)
				test.steps(t, s, image)
				sweepAfter(t, s, p)
				wantConsistent(t, pool, p)
				wantCount(t, pool, "blobs", test.want)
				next := anotherProcess(t, s, p)
				if swept, err := next.SweepBlobs(t.Context()); err != nil || swept != int64(test.want) {
					t.Errorf("then swept %d, %v, want %d", swept, err, test.want)
				}
				wantFiles(t, p)
			})
		})
	}
}

func mark(t *testing.T, s *Service, images ...Image) {
	t.Helper()
	if _, err := s.Store.Mark(filesOf(images...)...); err != nil {
		t.Fatal(err)
	}
}

func deleteBlob(t *testing.T, s *Service, image Image) {
	t.Helper()
	before := s.timestamp()
	err := s.Database.InTx(t.Context(), func(q *db.Queries) error {
		_, err := q.DeleteUnownedBlob(t.Context(), db.DeleteUnownedBlobParams{Hash: image.SHA256[:], Before: &before})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSweepWithoutDatabase cannot learn whether the row is deleted: a later sweep of the same process decides.
func TestSweepWithoutDatabase(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		image := uploadOne(t, s, "", encodeJPEG(t, 8, 8))
		closed, _ := openDatabase(t, "")
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		cutOff := changed(t, s, func(o *Options) { o.Database = closed })
		suspect := db.ListSuspectBlobsRow{Hash: image.SHA256[:], File: image.file}
		if _, err := cutOff.sweepBlob(t.Context(), suspect, fixedNow); err == nil {
			t.Error("swept without a database")
		}
		if visible, incoming := p.files(t); len(visible) != 1 || len(incoming) != 1 {
			t.Errorf("files %q, incoming %q, want both to wait for the sweep", visible, incoming)
		}
		sweep(t, s)
		wantConsistent(t, pool, p)
		wantFiles(t, p, image.file)
	})
}

// TestStored says what a sweep may not remove.
func TestStored(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, p := openService(t, d, Options{})
		image := uploadOne(t, s, "", encodeJPEG(t, 8, 8))
		old := storeOld(t, s, p, "", encodeJPEG(t, 9, 9))
		tests := []struct {
			name, file string
			want       bool
		}{
			{"of a blob", image.file, true},
			{"of an image that was not adopted", old.Name, true},
			{"of nothing", newName("jpeg"), false},
		}
		for _, test := range tests {
			if got, err := s.Stored(t.Context(), test.file); err != nil || got != test.want {
				t.Errorf("%s: %v, %v, want %v", test.name, got, err, test.want)
			}
		}
		other := uploadOne(t, s, "", encodeJPEG(t, 8, 8)) // it shows the file of the first, and has none of its own
		if got, err := s.Stored(t.Context(), other.Name); err != nil || got {
			t.Errorf("the name of an image with a blob: %v, %v, want false", got, err)
		}
	})
}
