package image

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

func TestGetIsForTheOwner(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		owner := uuid.NewString()
		mine, nobodys := uploadFor(t, s, owner, 1)[0], uploadFor(t, s, "", 1)[0]
		got, err := s.Get(t.Context(), owner, mine.ID)
		if err != nil || !reflect.DeepEqual(got, mine) {
			t.Errorf("got %+v, %v, want %+v", got, err, mine)
		}
		tests := []struct{ name, owner, id string }{
			{"of another user", uuid.NewString(), mine.ID},
			{"of nobody", owner, nobodys.ID},
			{"for nobody", "", nobodys.ID},
			{"unknown", owner, uuid.NewString()},
			{"no id", owner, ""},
			{"its name", owner, mine.Name},
		}
		for _, test := range tests {
			if got, err := s.Get(t.Context(), test.owner, test.id); !apperr.Is(err, apperr.ImageNotFound) {
				t.Errorf("%s: got %+v, %v, want ImageNotFound", test.name, got, err)
			}
		}
	})
}

func TestList(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now := newClock()
		s, _ := openService(t, d, Options{Now: now.Now})
		owner := uuid.NewString()
		uploadFor(t, s, uuid.NewString(), 2)
		all := uploadFor(t, s, owner, 6)
		now.advance(time.Hour)
		all = append([]Image{uploadOne(t, s, owner, encodePNG(t, paint(8, 8)))}, all...)
		uploadFor(t, s, uuid.NewString(), 2)
		tests := []struct {
			name     string
			owner    string
			filter   Filter
			limit    int
			want     []Image
			wantMore bool
		}{
			{"first page", owner, Filter{}, 3, all[:3], true},
			{"second page", owner, Filter{Before: all[2].ID}, 3, all[3:6], true},
			{"last page", owner, Filter{Before: all[5].ID}, 3, all[6:], false},
			{"after the last", owner, Filter{Before: all[6].ID}, 3, []Image{}, false},
			{"exactly all", owner, Filter{}, 7, all, false},
			{"all but one", owner, Filter{}, 6, all[:6], true},
			{"nothing asked for", owner, Filter{}, 0, all[:1], true},
			{"negative", owner, Filter{}, -5, all[:1], true},
			{"boundless", owner, Filter{}, 1 << 40, all, false},
			{"user without pictures", uuid.NewString(), Filter{}, 3, []Image{}, false},
			{"of a type", owner, Filter{ContentType: "image/png"}, 3, all[:1], false},
			{"of another type, in pages", owner, Filter{ContentType: "image/jpeg", Before: all[1].ID}, 3, all[2:5], true},
			{"since then", owner, Filter{Since: &all[0].CreatedAt}, 3, all[:1], false},
			{"until then", owner, Filter{Until: &all[0].CreatedAt}, 10, all[1:], false},
			{"between", owner, Filter{Since: &all[1].CreatedAt, Until: &all[0].CreatedAt}, 10, all[1:], false},
			{"none between", owner, Filter{Since: &all[0].CreatedAt, Until: &all[0].CreatedAt}, 10, []Image{}, false},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				got, more, err := s.List(t.Context(), test.owner, test.filter, test.limit)
				if err != nil || more != test.wantMore || !reflect.DeepEqual(got, test.want) {
					t.Errorf("got %q, %v, %v, want %q, %v", namesOf(got), more, err, namesOf(test.want), test.wantMore)
				}
			})
		}
	})
}

func TestUpdate(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		owner := uuid.NewString()
		image := uploadOne(t, s, owner, encodeJPEG(t, 8, 8))
		title, unsafe, empty, private := "海边", "\u202e海\x00 ", "", Private
		steps := []struct {
			name    string
			changes Changes
			change  func(want *Image)
		}{
			{"nothing", Changes{}, func(*Image) {}},
			{"title", Changes{Title: &title}, func(want *Image) { want.Title = title }},
			{"visibility", Changes{Visibility: &private}, func(want *Image) { want.Visibility = Private }},
			{"unsafe title", Changes{Title: &unsafe}, func(want *Image) { want.Title = "海" }},
			{"no title", Changes{Title: &empty}, func(want *Image) { want.Title = "" }},
		}
		for _, step := range steps {
			step.change(&image)
			got, err := s.Update(t.Context(), owner, image.ID, step.changes)
			if err != nil || !reflect.DeepEqual(got, image) {
				t.Errorf("%s: got %+v, %v, want %+v", step.name, got, err, image)
			}
		}
		if _, err := s.Update(t.Context(), uuid.NewString(), image.ID, Changes{Title: &title}); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("somebody else: %v, want ImageNotFound", err)
		}
	})
}

// TestNobodyOwnsNothing checks that pictures of visitors are not taken for those of one person.
func TestNobodyOwnsNothing(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		images := uploadFor(t, s, "", 2)
		if got, _, err := s.List(t.Context(), "", Filter{}, 10); err == nil {
			t.Errorf("listed %q for nobody", namesOf(got))
		}
		if err := s.DeleteAll(t.Context(), ""); err == nil {
			t.Error("deleted the pictures of nobody")
		}
		wantFiles(t, p, filesOf(images...)...)
		wantConsistent(t, pool, p)
	})
}

func TestDelete(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		owner := uuid.NewString()
		images := uploadFor(t, s, owner, 2)
		if err := s.Delete(t.Context(), uuid.NewString(), images[0].ID); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("somebody else: %v, want ImageNotFound", err)
		}
		if err := s.Delete(t.Context(), owner, images[0].ID); err != nil {
			t.Error(err)
		}
		if err := s.Delete(t.Context(), owner, images[0].ID); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("again: %v, want ImageNotFound", err)
		}
		if left, _, err := s.List(t.Context(), owner, Filter{}, 9); err != nil || !reflect.DeepEqual(left, images[1:]) {
			t.Errorf("left are %q, %v, want %q", namesOf(left), err, namesOf(images[1:]))
		}
		wantConsistent(t, pool, p)
		wantAllOwned(t, pool)
	})
}

func TestDeleteAll(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		now := newClock()
		s, p := openService(t, d, Options{MaxFiles: 2*deletedAtOnce + 1, Now: now.Now})
		owner := uuid.NewString()
		kept := append(uploadFor(t, s, uuid.NewString(), 2), uploadFor(t, s, "", 2)...)
		deleted := uploadFor(t, s, owner, 2*deletedAtOnce+1)
		for range 2 { // a deletion can be done again
			if err := s.DeleteAll(t.Context(), owner); err != nil {
				t.Fatal(err)
			}
			wantCount(t, pool, "images", len(kept))
			wantConsistent(t, pool, p)
		}
		if found, err := s.Find(t.Context(), deleted[0].Name, Reader{UserID: owner}); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("found %v, %v, want ImageNotFound", found, err)
		}
		sweepBlobsAfter(t, s, now, 2*deletedAtOnce-1) // two are somebody else's too
		wantFiles(t, p, filesOf(kept...)...)
	})
}

// sweepBlobsAfter deletes blobs that nobody has any more, once it is time.
func sweepBlobsAfter(t *testing.T, s *Service, now *clock, want int64) {
	t.Helper()
	now.advance(s.UnownedKept + time.Second)
	if swept, err := s.SweepBlobs(t.Context()); err != nil || swept != want {
		t.Errorf("swept %d blobs, %v, want %d", swept, err, want)
	}
}

// TestFailedDeletionLeavesPictures goes away before the rows are deleted, or has no database.
func TestFailedDeletionLeavesPictures(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		images := uploadFor(t, s, uuid.NewString(), 2)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.delete(gone, images); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want context.Canceled", err)
		}
		closed, _ := openDatabase(t, "")
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		cutOff := changed(t, s, func(o *Options) { o.Database = closed })
		if _, err := cutOff.delete(t.Context(), images); err == nil {
			t.Error("deleted without a database")
		}
		wantFiles(t, p, filesOf(images...)...)
		wantCount(t, pool, "images", 2)
	})
}

// TestDeleteAllWhileUploading deletes on two nodes while both upload for the same owner.
func TestDeleteAllWhileUploading(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		now := newClock()
		one, p := openService(t, d, Options{Now: now.Now})
		two := anotherProcess(t, one, p)
		owner := uuid.NewString()
		uploadFor(t, one, owner, 9)
		data := distinct(t, 2)
		together(36, func(i int) {
			s := []*Service{one, two}[i%2]
			if i%3 == 0 {
				if err := s.DeleteAll(t.Context(), owner); err != nil {
					t.Error(err)
				}
				return
			}
			uploads := []*Upload{upload("a.jpg", data[i/3%2]), upload("b.jpg", data[1-i/3%2])}
			if _, err := s.Upload(t.Context(), UploadOptions{OwnerID: owner}, each(uploads...)); err != nil {
				t.Error(err)
			}
		})
		wantConsistent(t, pool, p)
		wantAllOwned(t, pool)
		if err := one.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		wantCount(t, pool, "images", 0)
		sweepBlobsAfter(t, two, now, 9)
		wantFiles(t, p)
	})
}
