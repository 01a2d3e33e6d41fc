package httpapi

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/image"
)

// verdict is what the moderator says of a picture, signed now.
func verdict(t testing.TB, id string, members map[string]any) *http.Request {
	t.Helper()
	return signedVerdict(t, id, members, verdictSecret, time.Now())
}

func signedVerdict(t testing.TB, id string, members map[string]any, secret string, at time.Time) *http.Request {
	t.Helper()
	if members["id"] == nil {
		members = maps.Clone(members)
		members["id"] = id
	}
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return signed(t, "/upload/images/"+id+"/verdict", string(body), secret, at)
}

// signed is a request that bears the signature of who knows a secret.
func signed(t testing.TB, path, body, secret string, at time.Time) *http.Request {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	const message = "msg_5f1c7a0e"
	signature, err := signer.Sign(message, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return post(path, jsonType, body, with(standardwebhooks.HeaderWebhookID, message),
		with(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10)),
		with(standardwebhooks.HeaderWebhookSignature, signature))
}

// moderator is told of the pictures that are held back.
type moderator struct{ links map[string]image.Link } // by the ids of pictures

func (m *moderator) take(_ context.Context, held image.Image, link image.Link) error {
	m.links[held.ID] = link
	return nil
}

// moderated is a server that shows no picture before the moderator released it.
func moderated(m *moderator) func(*setup) {
	m.links = map[string]image.Link{}
	return func(s *setup) { s.images.Moderate = m.take }
}

func TestModeration(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		var m moderator
		s := newServer(t, url, moderated(&m))
		u, other := s.newUser(t), s.newUser(t)
		held := s.upload(t, u, tinyJPEG(t))
		if held.Status != api.ImageStatusHeld {
			t.Errorf("the status is %s, want held", held.Status)
		}
		path := pathOf(t, held.URL)
		wantSeen := func(byOwner, byOthers apperr.Code) {
			t.Helper()
			s.send(t, get(path, bearer(u.token))).want(t, byOwner)
			s.send(t, get(path, bearer(other.token))).want(t, byOthers)
			s.send(t, get(path)).want(t, byOthers)
		}
		wantSeen(apperr.OK, apperr.ImageNotFound)
		s.send(t, get(path, bearer(u.token))).wantHeader(t, "Cache-Control", "private, no-cache")
		s.wantModeratorSees(t, &m, held, u)

		judge := func(members map[string]any) {
			t.Helper()
			s.send(t, verdict(t, held.ID.String(), members)).want(t, apperr.OK)
		}
		judge(map[string]any{"verdict": "release"})
		wantSeen(apperr.OK, apperr.OK)
		s.send(t, get(path)).wantHeader(t, "Cache-Control", publicCaching)

		judge(map[string]any{"verdict": "refuse", "reason": "含有广告"})
		wantSeen(apperr.ImageNotFound, apperr.ImageNotFound)
		refused := s.describe(t, u, held.ID)
		if refused.Status != api.ImageStatusWithdrawn || value(refused.Reason) != "含有广告" {
			t.Errorf("the picture is %s since %q", refused.Status, value(refused.Reason))
		}

		judge(map[string]any{"verdict": "release", "reason": "a mistake"})
		wantSeen(apperr.OK, apperr.OK)
		s.send(t, verdict(t, held.ID.String(), map[string]any{"id": uuid.NewString(), "verdict": "refuse"})).want(t, apperr.InvalidInput)
		older := time.Now().Add(-time.Minute)
		s.send(t, signedVerdict(t, held.ID.String(), map[string]any{"verdict": "refuse"}, verdictSecret, older)).want(t, apperr.InvalidSignature)
		wantSeen(apperr.OK, apperr.OK)
		if released := s.describe(t, u, held.ID); released.Status != api.ImageStatusNew || released.Reason != nil {
			t.Errorf("the picture is %s since %q", released.Status, value(released.Reason))
		}
	})
}

// wantModeratorSees checks that the moderator is told, and given a link that the owner does not have.
func (s *testServer) wantModeratorSees(t testing.TB, m *moderator, held api.StoredImage, u user) {
	t.Helper()
	if err := s.options.Images.Notify(t.Context()); err != nil {
		t.Fatal(err)
	}
	link, told := m.links[held.ID.String()]
	if !told {
		t.Fatal("the moderator was told nothing")
	}
	s.send(t, get(pathOf(t, LinkURL(s.base.String(), link)))).wantStatus(t, http.StatusOK)
	s.send(t, get(pathOf(t, LinkURL(s.base.String(), link))+"&w=32")).wantStatus(t, http.StatusOK)
	s.send(t, get(pathOf(t, s.link(t, u, held.ID, hour).URL))).want(t, apperr.ImageNotFound)
}

// TestReasonOfADamagedPicture says in the language of who asks that a picture could not be decoded.
func TestReasonOfADamagedPicture(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	damaged := s.upload(t, u, brokenPixels(t))
	s.decodeAll(t)
	for language, want := range map[string]string{"zh-CN": "图片不完整或已损坏", "en": "The picture is cut off or damaged"} {
		a := s.send(t, get("/upload/images/"+damaged.ID.String(), bearer(u.token), with("Accept-Language", language)))
		if got := decoded[api.ImageResult](t, a).Data.Msg; value(got.Reason) != want {
			t.Errorf("the reason in %s is %q, want %q", language, value(got.Reason), want)
		}
	}
}

func TestVerdictsThatNobodySigned(t *testing.T) {
	const otherSecret = "whsec_b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="
	var m moderator
	s := newServer(t, "", moderated(&m))
	u := s.newUser(t)
	held := s.upload(t, u, tinyJPEG(t))
	id, release := held.ID.String(), map[string]any{"verdict": "release"}
	for name, r := range map[string]*http.Request{
		"unsigned":          postJSON("/upload/images/"+id+"/verdict", release),
		"of the owner":      postJSON("/upload/images/"+id+"/verdict", release, bearer(u.token)),
		"by another secret": signedVerdict(t, id, release, otherSecret, time.Now()),
		"ten minutes old":   signedVerdict(t, id, release, verdictSecret, time.Now().Add(-10*time.Minute)),
		"from the future":   signedVerdict(t, id, release, verdictSecret, time.Now().Add(10*time.Minute)),
	} {
		t.Run(name, func(t *testing.T) { s.send(t, r).want(t, apperr.InvalidSignature) })
	}
	t.Run("another body", func(t *testing.T) {
		r, changed := verdict(t, id, map[string]any{"verdict": "refuse"}), postJSON("/", release)
		r.Body, r.ContentLength, r.GetBody = changed.Body, changed.ContentLength, changed.GetBody
		s.send(t, r).want(t, apperr.InvalidSignature)
	})
	if got := s.describe(t, u, held.ID).Status; got != api.ImageStatusHeld {
		t.Errorf("the picture is %s now", got)
	}
}

func TestOddVerdicts(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	id := s.upload(t, u, tinyJPEG(t)).ID.String()
	path, now := "/upload/images/"+id+"/verdict", time.Now()
	twice := func() *http.Request {
		return signedVerdict(t, id, map[string]any{"verdict": "refuse"}, verdictSecret, now)
	}
	s.send(t, twice()).want(t, apperr.OK)
	s.send(t, twice()).want(t, apperr.OK) // as a moderator does that missed the answer
	for name, body := range map[string]string{
		"empty": "", "no JSON": marker, "no verdict": "{}", "another verdict": `{"verdict":"` + marker + `"}`,
		"long reason": `{"verdict":"refuse","reason":"` + strings.Repeat("长", 201) + `"}`, "cut off": `{"verdict":"release"`,
	} {
		t.Run(name, func(t *testing.T) {
			s.send(t, signed(t, path, body, verdictSecret, time.Now())).want(t, apperr.InvalidInput)
		})
	}
	s.send(t, verdict(t, marker, map[string]any{"verdict": "release"})).want(t, apperr.InvalidInput)
	s.send(t, verdict(t, uuid.NewString(), map[string]any{"verdict": "release"})).want(t, apperr.ImageNotFound)
	s.send(t, signed(t, path, strings.Repeat(" ", maxBodyBytes)+"{}", verdictSecret, time.Now())).want(t, apperr.BodyTooLarge)
	s.send(t, verdict(t, id, map[string]any{"verdict": "refuse", "reason": strings.Repeat("长", 200)})).want(t, apperr.OK)
}
