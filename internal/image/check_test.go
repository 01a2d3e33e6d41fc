package image

import (
	"context"
	"reflect"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// checkAll decodes what is overdue, once it is time.
func checkAll(t *testing.T, s *Service, now *clock) {
	t.Helper()
	now.advance(checkTimeout + time.Second)
	if err := s.CheckOverdue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantStatus(t *testing.T, s *Service, image Image, want Status) {
	t.Helper()
	got, err := s.get(t.Context(), image.ID)
	if err != nil || got.Status != want {
		t.Errorf("%s is %s, %v, want %s", image.OriginalName, got.Status, err, want)
	}
	if decoded := got.BlurHash != "" && len(got.Color) == len("#a0522d"); decoded != (want == StatusReady) {
		t.Errorf("%s is %s, its BlurHash %q and its colour %q", image.OriginalName, got.Status, got.BlurHash, got.Color)
	}
}

// TestPlaceholdersAppear decodes each kind of picture, in a process that did not receive it.
func TestPlaceholdersAppear(t *testing.T) {
	eachPlace(t, func(t *testing.T, url string, p place) {
		d, _ := openDatabase(t, url)
		now := newClock()
		s := openServiceIn(t, p, d, Options{Now: now.Now})
		var images []Image
		for _, sample := range samples(t) {
			image := uploadOne(t, s, "", sample.data)
			image.OriginalName = sample.name
			images = append(images, image)
			wantStatus(t, s, image, StatusNew)
		}
		next := anotherProcess(t, s, p)
		if err := next.CheckOverdue(t.Context()); err != nil { // it is not time yet: s may still do it
			t.Fatal(err)
		}
		wantStatus(t, s, images[0], StatusNew)
		checkAll(t, next, now)
		for _, image := range images {
			wantStatus(t, s, image, StatusReady)
		}
	})
}

// TestRunDecodes has the process decode what it received.
func TestRunDecodes(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		good, bad := uploadOne(t, s, "", encodeJPEG(t, 24, 16)), uploadOne(t, s, "", undecodable(t))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Run(ctx)
		}()
		for _, image := range []Image{good, bad} {
			for status := StatusNew; status == StatusNew; time.Sleep(5 * time.Millisecond) {
				got, err := s.get(t.Context(), image.ID)
				if err != nil {
					t.Fatal(err)
				}
				status = got.Status
			}
		}
		cancel()
		<-ended
		wantStatus(t, s, good, StatusReady)
		wantStatus(t, s, bad, StatusWithdrawn)
	})
}

func TestDamagedPictureIsWithdrawn(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now := newClock()
		s, p := openService(t, d, Options{Now: now.Now})
		owner := "6f2f4b34-0000-7000-8000-000000000001"
		image := uploadOne(t, s, owner, undecodable(t))
		if _, err := s.Find(t.Context(), image.Name, Reader{}); err != nil {
			t.Fatal(err)
		}
		checkAll(t, s, now)
		if _, err := s.Find(t.Context(), image.Name, Reader{UserID: owner}); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("found: %v, want ImageNotFound", err)
		}
		wantStatus(t, s, image, StatusWithdrawn)
		_, err := s.Upload(t.Context(), UploadOptions{}, each(upload("b.jpg", undecodable(t))))
		want := []apperr.Detail{{Field: "/image/0", Reason: apperr.ImageDamaged.Text()}}
		if !apperr.Is(err, apperr.ImageDamaged) || !reflect.DeepEqual(apperr.From(err).Details, want) {
			t.Errorf("uploaded again: %v, want ImageDamaged", err)
		}
		wantFiles(t, p, image.file)
	})
}

// TestVariantOfDamagedPicture withdraws a picture when it is shown, unless it was decoded before.
func TestVariantOfDamagedPicture(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		image := uploadOne(t, s, "", undecodable(t))
		if _, err := s.OpenResized(t.Context(), image, Resize{Width: 64}, false); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("opened: %v, want ImageNotFound", err)
		}
		wantStatus(t, s, image, StatusWithdrawn)

		good := uploadOne(t, s, "", encodeJPEG(t, 24, 16))
		b := good.blob()
		b.state, b.placeholder.BlurHash, b.placeholder.Color = stateReady, "LEHV6nWB2yk8", "#a0522d"
		if err := s.setChecked(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := s.withdraw(t.Context(), b, errPoison); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, s, good, StatusReady)
	})
}

func TestWait(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		early := uploadOne(t, s, "", encodeJPEG(t, 9, 9)) // not decoded yet
		wait := UploadOptions{Wait: true}
		for _, data := range [][]byte{encodeJPEG(t, 24, 16), largePhoto(t, 2*memorySize), encodeJPEG(t, 9, 9), heic(t)} {
			images, err := s.Upload(t.Context(), wait, each(upload("a.jpg", data), upload("again.jpg", data)))
			if err != nil {
				t.Fatal(err)
			}
			for _, image := range images {
				wantStatus(t, s, image, StatusReady)
				if got, err := s.get(t.Context(), image.ID); err != nil || !reflect.DeepEqual(got, image) {
					t.Errorf("row %+v, %v, want %+v", got, err, image)
				}
			}
		}
		wantStatus(t, s, early, StatusReady)
		_, err := s.Upload(t.Context(), wait, each(upload("a.jpg", encodeJPEG(t, 10, 10)), upload("b.jpg", undecodable(t))))
		if !apperr.Is(err, apperr.ImageDamaged) {
			t.Errorf("error is %v, want ImageDamaged", err)
		}
		wantConsistent(t, pool, p)
		wantCount(t, pool, "images", 9)
	})
}

// TestPoison gives a picture up that ends the process each time it is decoded.
func TestPoison(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now := newClock()
		s, _ := openService(t, d, Options{Now: now.Now})
		poison, good := uploadOne(t, s, "", encodeJPEG(t, 8, 8)), uploadOne(t, s, "", encodeJPEG(t, 9, 9))
		for checks := range int32(maxChecks) {
			claimAndDie(t, s, poison, checks)
			wantStatus(t, s, poison, StatusNew)
			now.advance(checkTimeout + time.Second)
		}
		checkAll(t, s, now)
		wantStatus(t, s, poison, StatusWithdrawn)
		wantStatus(t, s, good, StatusReady)
	})
}

// claimAndDie does what a process has done that a picture ends.
func claimAndDie(t *testing.T, s *Service, image Image, checks int32) {
	t.Helper()
	next := s.timestamp().Add(checkTimeout)
	var claimed int64
	err := s.Database.InTx(t.Context(), func(q *db.Queries) (err error) {
		claimed, err = q.ClaimBlobCheck(t.Context(), db.ClaimBlobCheckParams{Hash: image.SHA256[:], Checks: checks, NextAt: &next})
		return err
	})
	if err != nil || claimed != 1 {
		t.Fatalf("claimed %d, %v, want 1", claimed, err)
	}
}

// TestFailingStorageWithdrawsNothing reads pictures again and again from a disk that fails, that has lost them, and
// with decoders that have no time.
func TestFailingStorageWithdrawsNothing(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		shelf := &troubled{Shelf: diskIn(t, t.TempDir()).shelf}
		now := newClock()
		s := openServiceIn(t, place{shelf, t.TempDir()}, d, Options{Now: now.Now})
		image := uploadOne(t, s, "", encodeJPEG(t, 24, 16))
		wantPutOff := func(name string, s *Service) {
			t.Helper()
			for range 2 * maxChecks {
				now.advance(checkTimeout + time.Second)
				if err := s.CheckOverdue(t.Context()); err == nil {
					t.Errorf("%s: no error", name)
				}
				wantStatus(t, s, image, StatusNew)
			}
		}
		shelf.failReading(true)
		wantPutOff("broken", s)
		if _, err := s.OpenResized(t.Context(), image, Resize{Width: 64}, false); !apperr.Is(err, apperr.StorageUnavailable) {
			t.Errorf("opened: %v, want StorageUnavailable", err)
		}
		shelf.failReading(false)
		empty := changed(t, s, func(o *Options) { o.Store = diskIn(t, t.TempDir()).open(t) })
		wantPutOff("not mounted", empty)
		if _, err := empty.OpenResized(t.Context(), image, Resize{Width: 64}, false); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("opened: %v, want ImageNotFound", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 * maxChecks { // the process is told to stop
			now.advance(checkTimeout + time.Second)
			s.CheckOverdue(gone)
		}
		checkAll(t, s, now)
		wantStatus(t, s, image, StatusReady)
	})
}

// TestDecodersDoNotPanic survives a decoder with a bug.
func TestDecodersDoNotPanic(t *testing.T) {
	decodes := newDecodes(1, 1)
	for range 2 { // its turn is free again
		err := decodes.do(t.Context(), time.Minute, work{memory: 100}, func() error { panic("index out of range") })
		if err == nil || isBadPicture(err) {
			t.Errorf("error is %v", err)
		}
	}
}
