package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/image"
)

var (
	private = query("visibility=private")
	waiting = query("wait=true")
)

// imagesOf lists the pictures of a user, and returns the page.
func (s *testServer) imagesOf(t testing.TB, u user, filter string) api.Images {
	t.Helper()
	return decoded[api.ImagesResult](t, s.send(t, get("/upload/images?"+filter, bearer(u.token)))).Data.Msg
}

func idsOf(images []api.StoredImage) []uuid.UUID {
	ids := make([]uuid.UUID, len(images))
	for i, stored := range images {
		ids[i] = stored.ID
	}
	return ids
}

func TestListOfImages(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, other := s.newUser(t), s.newUser(t)
		s.upload(t, other, tinyPNG(t))
		var newest []uuid.UUID
		for i := range 5 {
			content := tinyPNG(t)
			if i == 3 {
				content = tinyJPEG(t)
			}
			newest = slices.Insert(newest, 0, s.upload(t, u, content).ID)
			s.clock.advance(time.Second)
		}
		start := s.clock.Now().Add(-5 * time.Second)
		at := func(seconds int) string {
			return start.Add(time.Duration(seconds)*time.Second - time.Millisecond).UTC().Format(time.RFC3339Nano)
		}
		for _, test := range []struct {
			filter string
			want   []uuid.UUID
		}{
			{"", newest},
			{"limit=5", newest},
			{"type=image/jpeg", newest[1:2]},
			{"type=image/gif", nil},
			{"since=" + at(3), newest[:2]},
			{"until=" + at(3), newest[2:]},
			{"since=" + at(1) + "&until=" + at(4) + "&type=image/png", newest[2:4]},
			{"before=" + newest[1].String(), newest[2:]},
			{"before=" + newest[4].String(), nil},
			{"before=" + uuid.Nil.String(), nil},
			{"unknown=" + marker, newest},
		} {
			page := s.imagesOf(t, u, test.filter)
			if got := idsOf(page.Images); !slices.Equal(got, test.want) || page.Next != nil {
				t.Errorf("%q lists %v and then %v, want %v and no more", test.filter, got, page.Next, test.want)
			}
		}
		s.wantPages(t, u, newest)
	})
}

// wantPages walks through a list by two pictures a page.
func (s *testServer) wantPages(t testing.TB, u user, want []uuid.UUID) {
	t.Helper()
	var got []uuid.UUID
	page := s.imagesOf(t, u, "limit=2")
	for ; page.Next != nil && len(got) < len(want); page = s.imagesOf(t, u, "limit=2&before="+page.Next.String()) {
		if len(page.Images) != 2 {
			t.Errorf("a page has %d pictures, want 2", len(page.Images))
		}
		got = append(got, idsOf(page.Images)...)
	}
	if got = append(got, idsOf(page.Images)...); !slices.Equal(got, want) {
		t.Errorf("the pages list %v, want %v", got, want)
	}
}

func TestOddFiltersOfImages(t *testing.T) {
	s := newServer(t, "")
	token := bearer(s.newUser(t).token)
	for filter, field := range map[string]string{
		"limit=0": "limit", "limit=101": "limit", "limit=" + marker: "limit", "limit=1.5": "limit", "limit=-1": "limit",
		"before=" + marker: "before", "type=image/svg%2Bxml": "type", "type=" + marker: "type",
		"since=" + marker: "since", "since=2026-11-20": "since", "until=2026-13-01T00:00:00Z": "until",
	} {
		t.Run(filter, func(t *testing.T) {
			a := s.send(t, get("/upload/images?"+filter, token)).want(t, apperr.InvalidInput)
			if fields := fieldsOf(a); !slices.Equal(fields, []string{field}) {
				t.Errorf("the details name %q, want %s", fields, field)
			}
		})
	}
}

// TestTimesThatNoDatabaseHas are taken for what they mean.
func TestTimesThatNoDatabaseHas(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		stored := s.upload(t, u, tinyPNG(t))
		for filter, want := range map[string]int{
			"since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.9999999Z": 1, "since=0000-01-01T00:00:00%2B14:00": 1,
			"until=9999-12-31T23:59:59-14:00": 1, "since=9999-12-31T23:59:59.9999999-14:00": 0, "until=0000-01-01T00:00:00%2B14:00": 0,
			"since=" + stored.CreatedAt.Add(-time.Microsecond).Format("2006-01-02T15:04:05.999999999Z07:00"): 1,
		} {
			if page := s.imagesOf(t, u, filter); len(page.Images) != want {
				t.Errorf("%s lists %d pictures, want %d", filter, len(page.Images), want)
			}
		}
	})
}

func TestChangesOfAnImage(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		node := s.secondNode(t)
		u := s.newUser(t)
		stored := s.upload(t, u, tinyPNG(t))
		path, address := "/upload/images/"+stored.ID.String(), pathOf(t, stored.URL)
		node.send(t, get(address)).want(t, apperr.OK)

		change := func(members map[string]any) api.StoredImage {
			t.Helper()
			return decoded[api.ImageResult](t, s.send(t, patch(path, members, bearer(u.token)))).Data.Msg
		}
		if got := change(map[string]any{}); got != stored {
			t.Errorf("no change makes %+v of %+v", got, stored)
		}
		if got := change(map[string]any{"title": "黄山日出"}); got.Title != "黄山日出" || got.Visibility != api.VisibilityPublic {
			t.Errorf("the title is %q and the picture %s", got.Title, got.Visibility)
		}
		if got := change(map[string]any{"visibility": "private"}); got.Title != "黄山日出" || got.Visibility != api.VisibilityPrivate {
			t.Errorf("the title is %q and the picture %s", got.Title, got.Visibility)
		}
		s.send(t, get(address)).want(t, apperr.ImageNotFound)
		s.clock.advance(time.Second)
		node.send(t, get(address)).want(t, apperr.ImageNotFound)
		if got := s.describe(t, u, stored.ID); got.Title != "黄山日出" || got.Visibility != api.VisibilityPrivate {
			t.Errorf("what is stored has the title %q and is %s", got.Title, got.Visibility)
		}
		if got := change(map[string]any{"title": "", "visibility": "public"}); got.Title != "" || got.Visibility != api.VisibilityPublic {
			t.Errorf("the title is %q and the picture %s", got.Title, got.Visibility)
		}
		s.send(t, get(address)).want(t, apperr.OK)
		for _, members := range []map[string]any{
			{"title": strings.Repeat("长", 201)}, {"title": nil}, {"title": 1}, {"visibility": marker}, {"visibility": nil},
		} {
			s.send(t, patch(path, members, bearer(u.token))).want(t, apperr.InvalidInput)
		}
		change(map[string]any{"title": strings.Repeat("长", 200)})
	})
}

func TestDeletedImage(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		node := s.secondNode(t)
		u, other := s.newUser(t), s.newUser(t)
		stored, twin := s.upload(t, u, tinyPNG(t)), s.upload(t, other, tinyPNG(t))
		path, address := "/upload/images/"+stored.ID.String(), pathOf(t, stored.URL)
		node.send(t, get(address)).want(t, apperr.OK)
		s.send(t, get(address)).want(t, apperr.OK)

		s.send(t, del(path, bearer(u.token))).want(t, apperr.OK)
		s.send(t, get(address)).want(t, apperr.ImageNotFound)
		s.clock.advance(time.Second)
		node.send(t, get(address)).want(t, apperr.ImageNotFound)
		for _, r := range s.requestsOf(u, stored.ID) {
			s.send(t, r).want(t, apperr.ImageNotFound)
		}
		s.send(t, get(pathOf(t, twin.URL))).want(t, apperr.OK) // the same bytes, somebody else's
		if page := s.imagesOf(t, u, ""); len(page.Images) > 0 {
			t.Errorf("%d pictures are listed", len(page.Images))
		}
	})
}

// requestsOf are those that only an owner may send about a picture.
func (s *testServer) requestsOf(u user, id uuid.UUID) []*http.Request {
	path, token := "/upload/images/"+id.String(), bearer(u.token)
	return []*http.Request{
		get(path, token), patch(path, map[string]any{"title": marker}, token),
		postJSON(path+"/link", map[string]any{"expiresIn": 60}, token), del(path, token),
	}
}

func TestImagesOfOthers(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, other := s.newUser(t), s.newUser(t)
		stored := s.upload(t, u, tinyPNG(t))
		for _, id := range []uuid.UUID{stored.ID, uuid.New(), uuid.Nil} {
			for _, r := range s.requestsOf(other, id) {
				s.send(t, r).want(t, apperr.ImageNotFound)
			}
		}
		token := bearer(u.token)
		for _, r := range []*http.Request{
			get("/upload/images/"+marker, token), patch("/upload/images/"+marker, map[string]any{}, token), del("/upload/images/"+marker, token),
			postJSON("/upload/images/"+marker+"/link", map[string]any{"expiresIn": 60}, token),
		} {
			s.send(t, r).want(t, apperr.InvalidInput)
		}
		if got := s.describe(t, u, stored.ID); got != stored {
			t.Errorf("the picture is %+v now, it was %+v", got, stored)
		}
	})
}

// TestImagesByCookie lets pages of this site do what apps do, and those of others nothing.
func TestImagesByCookie(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	ours := cookie(s.newCookie(t, u))
	stored := s.upload(t, u, tinyPNG(t))
	path := "/upload/images/" + stored.ID.String()
	requests := map[string]func() *http.Request{
		"upload": func() *http.Request { return uploadOf([]file{{"a", tinyPNG(t)}}, ours) },
		"update": func() *http.Request { return patch(path, map[string]any{"title": "here"}, ours) },
		"link":   func() *http.Request { return postJSON(path+"/link", map[string]any{"expiresIn": 60}, ours) },
		"list":   func() *http.Request { return get("/upload/images", ours) },
		"see":    func() *http.Request { return get(path, ours) },
		"delete": func() *http.Request { return del(path, ours) },
	}
	for name, request := range requests {
		r := request()
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		want := apperr.CrossOrigin
		if r.Method == http.MethodGet {
			want = apperr.OK // which scripts of other sites cannot read
		}
		t.Run(name+" from elsewhere", func(t *testing.T) { s.send(t, r).want(t, want) })
	}
	for _, name := range []string{"upload", "update", "link", "list", "see", "delete"} {
		r := requests[name]()
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		t.Run(name, func(t *testing.T) { s.send(t, r).want(t, apperr.OK) })
	}
}

func TestPrivateImage(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, other := s.newUser(t), s.newUser(t)
		ours, theirs := cookie(s.newCookie(t, u)), cookie(s.newCookie(t, other))
		content := photograph(t, 100, 60)
		stored := s.upload(t, u, content, private)
		if stored.Visibility != api.VisibilityPrivate {
			t.Errorf("the picture is %s", stored.Visibility)
		}
		for _, size := range []string{"", "?w=32"} {
			path := pathOf(t, stored.URL) + size
			for _, owner := range []change{bearer(u.token), ours} {
				s.send(t, get(path, owner)).want(t, apperr.OK).wantHeader(t, "Cache-Control", "private, no-cache")
				s.send(t, head(path, owner)).wantStatus(t, http.StatusOK).wantHeader(t, "Cache-Control", "private, no-cache")
			}
			etag := s.send(t, get(path, ours)).header.Get("ETag")
			s.send(t, get(path, ours, with("If-None-Match", etag))).wantStatus(t, http.StatusNotModified).wantHeader(t, "Cache-Control", "private, no-cache")
			for _, stranger := range []change{bearer(other.token), theirs, with("Cookie", ""), cookie(marker)} {
				s.send(t, get(path, stranger)).want(t, apperr.ImageNotFound).wantHeader(t, "Cache-Control", "no-store")
				s.send(t, head(path, stranger)).wantStatus(t, http.StatusNotFound)
			}
			s.send(t, get(path, bearer(marker))).want(t, apperr.NotLoggedIn)
		}
	})
}

// link makes a link to a picture.
func (s *testServer) link(t testing.TB, u user, id uuid.UUID, lifetime time.Duration) api.ImageLink {
	t.Helper()
	r := postJSON("/upload/images/"+id.String()+"/link", map[string]any{"expiresIn": int(lifetime.Seconds())}, bearer(u.token))
	return decoded[api.ImageLinkResult](t, s.send(t, r)).Data.Msg
}

func TestLinkToAPrivateImage(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		node := s.secondNode(t)
		u := s.newUser(t)
		stored, another := s.upload(t, u, photograph(t, 100, 60), private), s.upload(t, u, tinyPNG(t), private)
		link := s.link(t, u, stored.ID, 90*time.Second)
		if want := s.clock.Now().Add(90 * time.Second).Truncate(time.Second); !link.ExpiresAt.Equal(want) {
			t.Errorf("it ends at %s, want %s", link.ExpiresAt, want)
		}
		path := pathOf(t, link.URL)
		for _, server := range []*testServer{s, node} {
			a := server.send(t, get(path)).want(t, apperr.OK)
			if seconds := 0; !scans(a.header.Get("Cache-Control"), "private, max-age=%d", &seconds) || seconds < 80 || seconds > 90 {
				t.Errorf("Cache-Control is %q", a.header.Get("Cache-Control"))
			}
			server.send(t, get(path+"&w=32&format=png")).want(t, apperr.OK).wantHeader(t, "Content-Type", "image/png")
			server.send(t, get(path+"&w=32", bearer(s.newUser(t).token))).want(t, apperr.OK)
		}
		for name, altered := range alteredLinks(t, link.URL, another.URL) {
			t.Run(name, func(t *testing.T) { s.send(t, get(altered)).want(t, apperr.ImageNotFound) })
		}
		s.clock.advance(90 * time.Second)
		s.send(t, get(path)).want(t, apperr.ImageNotFound)
		s.send(t, get(path, bearer(u.token))).want(t, apperr.OK).wantHeader(t, "Cache-Control", "private, max-age=0")
		long := pathOf(t, s.link(t, u, stored.ID, 7*day).URL)
		s.send(t, get(long)).wantHeader(t, "Cache-Control", "private, max-age=3600")
		s.send(t, del("/upload/images/"+stored.ID.String(), bearer(u.token))).want(t, apperr.OK)
		s.send(t, get(long)).want(t, apperr.ImageNotFound)
	})
}

func scans(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return n == len(into) && err == nil
}

// alteredLinks are the paths of links that nobody has made.
func alteredLinks(t testing.TB, link, other string) map[string]string {
	t.Helper()
	made, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	altered := func(path, key, value string) string {
		query := made.Query()
		query.Set(key, value)
		return path + "?" + query.Encode()
	}
	signature := made.Query().Get("signature")
	return map[string]string{
		"without anything":   made.Path,
		"longer":             altered(made.Path, "expires", made.Query().Get("expires")+"0"),
		"without an end":     made.Path + "?signature=" + signature,
		"without signature":  made.Path + "?expires=" + made.Query().Get("expires"),
		"empty signature":    altered(made.Path, "signature", ""),
		"another signature":  altered(made.Path, "signature", strings.Repeat("A", len(signature))),
		"shorter signature":  altered(made.Path, "signature", signature[:42]),
		"of another picture": altered(pathOf(t, other), "expires", made.Query().Get("expires")),
	}
}

func TestOddLinks(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	stored := s.upload(t, u, tinyPNG(t), private)
	path := "/upload/images/" + stored.ID.String() + "/link"
	for _, lifetime := range []any{0, -1, 604_801, 1.5, "60", nil, 1e30} {
		s.send(t, postJSON(path, map[string]any{"expiresIn": lifetime}, bearer(u.token))).want(t, apperr.InvalidInput)
	}
	s.send(t, postJSON(path, map[string]any{}, bearer(u.token))).want(t, apperr.InvalidInput)
	for _, query := range []string{
		"expires=" + marker + "&signature=x", "expires=-1&signature=x", "expires=99999999999999999999&signature=x",
		"expires=1&signature=" + strings.Repeat("x", 65),
	} {
		s.send(t, get(pathOf(t, stored.URL)+"?"+query)).want(t, apperr.InvalidInput)
	}
}

// TestImagesOfWhoAsksToBeDeleted hides them until the owner comes back.
func TestImagesOfWhoAsksToBeDeleted(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		node := s.secondNode(t)
		u := s.newUser(t)
		public, hidden := s.upload(t, u, tinyPNG(t)), s.upload(t, u, photograph(t, 40, 30), private)
		link := s.link(t, u, hidden.ID, day)
		paths := []string{pathOf(t, public.URL), pathOf(t, public.URL) + "?w=32", pathOf(t, link.URL)}
		wantAll := func(code apperr.Code) {
			t.Helper()
			for _, path := range paths {
				for _, server := range []*testServer{s, node} {
					server.send(t, get(path)).want(t, code)
				}
			}
		}
		wantAll(apperr.OK)
		s.send(t, postJSON("/users/me/deletion", map[string]any{"password": password}, bearer(u.token))).want(t, apperr.OK)
		s.clock.advance(time.Second)
		wantAll(apperr.ImageNotFound)
		s.login(t, u.phone)
		s.clock.advance(time.Second)
		wantAll(apperr.OK)
	})
}

// TestDamagedImageIsWithdrawn uploads one whose pixels nobody can decode.
func TestDamagedImageIsWithdrawn(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		s.send(t, uploadOf([]file{{"a", brokenPixels(t)}}, bearer(u.token), waiting)).want(t, apperr.ImageDamaged)
		s.wantNoPictures(t)
		damaged, good := s.upload(t, u, brokenPixels(t)), s.upload(t, u, photograph(t, 60, 40))
		if damaged.Status != api.ImageStatusNew || damaged.BlurHash != nil || damaged.Color != nil || damaged.Reason != nil {
			t.Errorf("what was not decoded yet is %+v", damaged)
		}
		s.decodeAll(t)
		s.send(t, get(pathOf(t, damaged.URL))).want(t, apperr.ImageNotFound)
		s.send(t, get(pathOf(t, damaged.URL), bearer(u.token))).want(t, apperr.ImageNotFound)
		if got := s.describe(t, u, damaged.ID); got.Status != api.ImageStatusWithdrawn || got.Reason == nil {
			t.Errorf("what cannot be decoded is %s since %q", got.Status, value(got.Reason))
		}
		if got := s.describe(t, u, good.ID); got.Status != api.ImageStatusReady || got.BlurHash == nil || got.Color == nil {
			t.Errorf("what was decoded is %+v", got)
		}
		s.send(t, uploadOf([]file{{"a", brokenPixels(t)}}, bearer(u.token))).want(t, apperr.ImageDamaged) // it is known now
	})
}

// TestDamagedImageIsFoundByWhoAsksForASize withdraws it then, before anybody else has decoded it.
func TestDamagedImageIsFoundByWhoAsksForASize(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	damaged := s.upload(t, u, brokenPixels(t))
	s.send(t, get(pathOf(t, damaged.URL)+"?w=32")).want(t, apperr.ImageNotFound)
	if got := s.describe(t, u, damaged.ID); got.Status != api.ImageStatusWithdrawn {
		t.Errorf("it is %s", got.Status)
	}
	s.clock.advance(time.Second)
	s.send(t, get(pathOf(t, damaged.URL))).want(t, apperr.ImageNotFound)
}

func TestUploadThatWaits(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	stored := s.upload(t, u, photograph(t, 60, 40), waiting)
	if stored.Status != api.ImageStatusReady || stored.BlurHash == nil || stored.Color == nil {
		t.Errorf("it is %+v", stored)
	}
	twin := s.upload(t, s.newUser(t), photograph(t, 60, 40))
	if twin.Status != api.ImageStatusReady || value(twin.BlurHash) != value(stored.BlurHash) || twin.URL == stored.URL {
		t.Errorf("the same picture of somebody else is %+v", twin)
	}
	for _, odd := range []string{"wait=" + marker, "wait=1.5", "visibility=" + marker, "visibility="} {
		s.send(t, uploadOf([]file{{"a", tinyPNG(t)}}, bearer(u.token), query(odd))).want(t, apperr.InvalidInput)
	}
}

func TestQuotaOfImages(t *testing.T) {
	picture := jpegOf(t, 10_000)
	for _, test := range []struct {
		name     string
		quota    image.Quota
		wantCode apperr.Code
	}{
		{"count", image.Quota{Images: 2}, apperr.ImageCountExceeded},
		{"bytes", image.Quota{Bytes: 29_999}, apperr.ImageBytesExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			dbtest.RunURL(t, func(t *testing.T, url string) {
				s := newServer(t, url, func(s *setup) { s.images.Quota = test.quota })
				u, other := s.newUser(t), s.newUser(t)
				s.send(t, uploadOf(slices.Repeat([]file{{"a", picture}}, 3), bearer(u.token))).want(t, test.wantCode)
				first := s.upload(t, u, picture)
				s.upload(t, u, picture)
				s.send(t, uploadOf([]file{{"a", picture}}, bearer(u.token))).want(t, test.wantCode)
				s.upload(t, other, picture)
				if rows := s.count(t, "images"); rows != 3 {
					t.Errorf("%d pictures are stored, want 3", rows)
				}
				s.send(t, del("/upload/images/"+first.ID.String(), bearer(u.token))).want(t, apperr.OK)
				s.upload(t, u, picture)
			})
		})
	}
}

// TestCleanPictures looks for what pictures say of their owners, in all that is loaded.
func TestCleanPictures(t *testing.T) {
	s := newServer(t, "", func(s *setup) { s.images.KeepDetails = true })
	u := s.newUser(t)
	stored := s.upload(t, u, withPosition(t))
	loaded := s.send(t, get(pathOf(t, stored.URL))).want(t, apperr.OK)
	if !slices.Equal(loaded.body, tinyJPEG(t)) {
		t.Errorf("%d bytes are loaded, want the %d of the picture alone", len(loaded.body), len(tinyJPEG(t)))
	}
	if value(stored.Camera) != "Cam" {
		t.Errorf("the camera is %q", value(stored.Camera))
	}
	other := s.upload(t, u, append(tinyPNG(t), "PK\x03\x04 and what else follows"...))
	if loaded := s.send(t, get(pathOf(t, other.URL))); !slices.Equal(loaded.body, tinyPNG(t)) {
		t.Error("what followed the picture is loaded")
	}
}

// TestPictureOfAPhone becomes a JPEG.
func TestPictureOfAPhone(t *testing.T) {
	if !codec.CanConvert(codec.HEIC) {
		t.Fatal("HEIC is not read")
	}
	s := newServer(t, "")
	stored := s.upload(t, s.newUser(t), phonePicture(t))
	if stored.ContentType != "image/jpeg" || !strings.HasSuffix(stored.URL, ".jpg") || stored.Name != "a" {
		t.Errorf("it is stored as %+v", stored)
	}
	loaded := s.send(t, get(pathOf(t, stored.URL))).want(t, apperr.OK).wantHeader(t, "Content-Type", "image/jpeg")
	if width, height := sizeOf(t, loaded); int64(width) != stored.Width || int64(height) != stored.Height || int64(len(loaded.body)) != stored.Bytes {
		t.Errorf("%d × %d pixels in %d bytes are loaded, want %+v", width, height, len(loaded.body), stored)
	}
}

// TestURLsOfImages sends readers of public pictures to a CDN, which may not have private ones.
func TestURLsOfImages(t *testing.T) {
	s := newServer(t, "", func(s *setup) {
		s.api.ImageURL, s.api.PublicURL = "https://cdn.example.com", "https://app.example.com"
	})
	u := s.newUser(t)
	public, hidden := s.upload(t, u, tinyPNG(t)), s.upload(t, u, tinyPNG(t), private)
	if !strings.HasPrefix(public.URL, "https://cdn.example.com/static/image/") {
		t.Errorf("a public picture is at %s", public.URL)
	}
	if !strings.HasPrefix(hidden.URL, "https://app.example.com/static/image/") {
		t.Errorf("a private picture is at %s", hidden.URL)
	}
	if link := s.link(t, u, public.ID, hour); !strings.HasPrefix(link.URL, "https://app.example.com/static/image/") {
		t.Errorf("a link leads to %s", link.URL)
	}
}
