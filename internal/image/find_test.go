package image

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

func readerOf(link Link) Reader {
	return Reader{Expires: link.Expires.Unix(), Signature: link.Signature}
}

func wantSeen(t *testing.T, s *Service, name, who string, by Reader, want bool) {
	t.Helper()
	_, err := s.Find(t.Context(), name, by)
	if seen := err == nil; seen != want || err != nil && !apperr.Is(err, apperr.ImageNotFound) {
		t.Errorf("%s: %v, want it seen: %v", who, err, want)
	}
}

// TestWhoMaySee tries every reader on every kind of picture.
func TestWhoMaySee(t *testing.T) {
	owner := uuid.NewString()
	none := map[string]bool{}
	ownerAndModerator := map[string]bool{"owner": true, "moderator's link": true}
	tests := []struct {
		name       string
		owner      string
		visibility Visibility
		moderated  bool
		judge      func(t *testing.T, s *Service, image Image)
		want       map[string]bool
	}{
		{"public", owner, Public, false, nil, map[string]bool{
			"owner": true, "another user": true, "nobody": true, "link": true, "moderator's link": true}},
		{"private", owner, Private, false, nil, map[string]bool{"owner": true, "link": true, "moderator's link": true}},
		{"private of nobody", "", Private, false, nil, map[string]bool{"link": true, "moderator's link": true}},
		{"held", owner, Public, true, nil, ownerAndModerator},
		{"held and private", owner, Private, true, nil, ownerAndModerator},
		{"released", owner, Public, true, judged(true), map[string]bool{
			"owner": true, "another user": true, "nobody": true, "link": true, "moderator's link": true}},
		{"released and private", owner, Private, true, judged(true), map[string]bool{"owner": true, "link": true, "moderator's link": true}},
		{"refused", owner, Public, true, judged(false), none},
		{"withdrawn", owner, Public, false, func(t *testing.T, s *Service, image Image) {
			if err := s.withdraw(t.Context(), image.blob(), errPoison); err != nil {
				t.Fatal(err)
			}
		}, none},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				o := Options{}
				if test.moderated {
					o.Moderate = takeAll
				}
				s, _ := openService(t, d, o)
				images, err := s.Upload(t.Context(), UploadOptions{OwnerID: test.owner, Visibility: test.visibility},
					each(upload("a.jpg", encodeJPEG(t, 8+i, 8))))
				if err != nil {
					t.Fatal(err)
				}
				image := images[0]
				if test.judge != nil {
					test.judge(t, s, image)
				}
				for who, by := range map[string]Reader{
					"owner": {UserID: owner}, "another user": {UserID: uuid.NewString()}, "nobody": {},
					"link":             readerOf(s.linkTo(image, forAnyone, time.Hour)),
					"moderator's link": readerOf(s.linkTo(image, forModerator, time.Hour)),
				} {
					wantSeen(t, s, image.Name, who, by, test.want[who])
				}
			})
		}
	})
}

func judged(release bool) func(t *testing.T, s *Service, image Image) {
	return func(t *testing.T, s *Service, image Image) {
		t.Helper()
		if err := s.Judge(t.Context(), image.ID, Verdict{release, "because", fixedNow}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLink(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now := newClock()
		s, _ := openService(t, d, Options{Now: now.Now})
		owner := uuid.NewString()
		images, err := s.Upload(t.Context(), UploadOptions{OwnerID: owner, Visibility: Private},
			each(upload("a.jpg", encodeJPEG(t, 8, 8)), upload("b.jpg", encodeJPEG(t, 9, 9))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Link(t.Context(), uuid.NewString(), images[0].ID, time.Hour); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("a link to somebody else's picture: %v, want ImageNotFound", err)
		}
		link, err := s.Link(t.Context(), owner, images[0].ID, time.Hour)
		if err != nil || link.Name != images[0].Name || link.Expires != now.Now().Add(time.Hour).Truncate(time.Second).UTC() {
			t.Fatalf("link %+v, %v", link, err)
		}
		good := readerOf(link)
		later, cut, empty := good, good, good
		later.Expires++
		cut.Signature = cut.Signature[:42]
		empty.Signature = ""
		wantSeen(t, s, images[0].Name, "the link", good, true)
		wantSeen(t, s, images[0].Name, "a link made longer", later, false)
		wantSeen(t, s, images[0].Name, "a link cut off", cut, false)
		wantSeen(t, s, images[0].Name, "a link without signature", empty, false)
		wantSeen(t, s, images[1].Name, "a link to another picture", good, false)
		otherKey := changed(t, s, func(o *Options) { o.LinkKey = []byte("another key") })
		wantSeen(t, otherKey, images[0].Name, "a link signed with another key", good, false)
		now.advance(time.Hour - time.Second)
		wantSeen(t, s, images[0].Name, "the link in its last second", good, true)
		now.advance(time.Second)
		wantSeen(t, s, images[0].Name, "the link after its end", good, false)
	})
}

// TestChangesAreSeen makes changes on this node, which shows them at once, and on another one, a second later.
func TestChangesAreSeen(t *testing.T) {
	owner := uuid.NewString()
	private := Private
	changes := map[string]func(t *testing.T, s *Service, image Image) error{
		"deleted": func(t *testing.T, s *Service, image Image) error { return s.Delete(t.Context(), owner, image.ID) },
		"hidden": func(t *testing.T, s *Service, image Image) error {
			_, err := s.Update(t.Context(), owner, image.ID, Changes{Visibility: &private})
			return err
		},
		"refused": func(t *testing.T, s *Service, image Image) error {
			return s.Judge(t.Context(), image.ID, Verdict{At: fixedNow})
		},
		"deleted all": func(t *testing.T, s *Service, _ Image) error { return s.DeleteAll(t.Context(), owner) },
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for name, change := range changes {
			t.Run(name, func(t *testing.T) {
				now := newClock()
				here, p := openService(t, d, Options{Now: now.Now})
				there := anotherProcess(t, here, p)
				image := uploadOne(t, here, owner, encodeJPEG(t, 8, 8))
				for _, s := range []*Service{here, there} {
					wantSeen(t, s, image.Name, "before", Reader{}, true)
				}
				if err := change(t, here, image); err != nil {
					t.Fatal(err)
				}
				wantSeen(t, here, image.Name, "here", Reader{}, false)
				now.advance(rememberedFor)
				wantSeen(t, there, image.Name, "there, a second later", Reader{}, false)
			})
		}
	})
}

// TestFindWhileDeleting never finds a picture after its deletion has returned, however many look for it meanwhile.
func TestFindWhileDeleting(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		owner := uuid.NewString()
		for range 20 {
			image := uploadOne(t, s, owner, encodeJPEG(t, 8, 8))
			together(9, func(i int) {
				if i > 0 {
					s.Find(t.Context(), image.Name, Reader{})
					return
				}
				if err := s.Delete(t.Context(), owner, image.ID); err != nil {
					t.Error(err)
				}
				wantSeen(t, s, image.Name, "after the deletion", Reader{}, false)
			})
			wantSeen(t, s, image.Name, "later", Reader{}, false)
		}
	})
}
