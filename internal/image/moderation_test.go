package image

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

// takeAll is a moderator who takes every notice.
func takeAll(context.Context, Image, Link) error { return nil }

// moderator notes what it is told, and refuses to listen for a while.
type moderator struct {
	mu   sync.Mutex
	deaf bool
	told []Image
	link Link
}

func (m *moderator) moderate(_ context.Context, held Image, link Link) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told, m.link = append(m.told, held), link
	if m.deaf {
		return errors.New("the moderator does not listen")
	}
	return nil
}

func (m *moderator) want(t *testing.T, what string, want int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.told) != want {
		t.Errorf("%s: told of %q, want %d", what, namesOf(m.told), want)
	}
	m.told = nil
}

// notifyAll lets several processes tell the moderator at once.
func notifyAll(t *testing.T, services ...*Service) {
	t.Helper()
	together(4*len(services), func(i int) {
		if err := services[i%len(services)].Notify(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestNoticesAreRepeated until the moderator takes them, each time after a longer while, by one process each.
func TestNoticesAreRepeated(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now, m := newClock(), &moderator{deaf: true}
		one, p := openService(t, d, Options{Now: now.Now, Moderate: m.moderate})
		two := anotherProcess(t, one, p)
		for _, data := range distinct(t, 5) {
			uploadOne(t, one, uuid.NewString(), data)
		}
		for _, wait := range []time.Duration{0, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
			if wait > 0 {
				now.advance(wait - time.Second)
				notifyAll(t, one, two)
				m.want(t, "before "+wait.String(), 0)
				now.advance(time.Second)
			}
			notifyAll(t, one, two)
			m.want(t, "after "+wait.String(), 5)
		}
		m.deaf = false
		now.advance(time.Hour)
		notifyAll(t, one, two)
		m.want(t, "once it listens", 5)
		now.advance(answerWait - time.Second)
		notifyAll(t, one, two)
		m.want(t, "while it has time to answer", 0)
		now.advance(time.Second)
		notifyAll(t, one, two)
		m.want(t, "after that", 5)
	})
}

func TestJudge(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now, m := newClock(), &moderator{}
		s, _ := openService(t, d, Options{Now: now.Now, Moderate: m.moderate})
		owner := uuid.NewString()
		image := uploadOne(t, s, owner, encodeJPEG(t, 8, 8))
		if image.Status != StatusHeld || image.IsPublic() {
			t.Errorf("a new picture is %s", image.Status)
		}
		notifyAll(t, s)
		m.want(t, "once", 1)
		wantSeen(t, s, image.Name, "the moderator", readerOf(m.link), true)
		for i, step := range []struct {
			release    bool
			reason     string
			wantStatus Status
			wantReason string
		}{
			{false, "nudity", StatusWithdrawn, "nudity"},
			{true, "not needed", StatusNew, ""},
			{false, "", StatusWithdrawn, ""},
		} {
			if err := s.Judge(t.Context(), image.ID, Verdict{step.release, step.reason, fixedNow.Add(time.Duration(i) * time.Second)}); err != nil {
				t.Fatal(err)
			}
			got, err := s.Get(t.Context(), owner, image.ID)
			if err != nil || got.Status != step.wantStatus || got.Reason != step.wantReason {
				t.Errorf("the picture is %s for %q, %v, want %s for %q", got.Status, got.Reason, err, step.wantStatus, step.wantReason)
			}
		}
		replayed := Verdict{Release: true, At: fixedNow.Add(time.Second)}
		if err := s.Judge(t.Context(), image.ID, replayed); !apperr.Is(err, apperr.InvalidSignature) {
			t.Errorf("a verdict that was sent again: %v, want InvalidSignature", err)
		}
		if got, err := s.Get(t.Context(), owner, image.ID); err != nil || got.Status != StatusWithdrawn {
			t.Errorf("after that the picture is %s, %v, want withdrawn", got.Status, err)
		}
		now.advance(2 * answerWait)
		notifyAll(t, s)
		m.want(t, "after a verdict", 0)
		if err := s.Judge(t.Context(), uuid.NewString(), Verdict{Release: true, At: fixedNow}); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("an unknown picture: %v, want ImageNotFound", err)
		}
	})
}

// TestPicturesDeletedBeforeTheirNotice do not keep the others from being told of.
func TestPicturesDeletedBeforeTheirNotice(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		owner := uuid.NewString()
		var s *Service
		var told int
		s, _ = openService(t, d, Options{Moderate: func(ctx context.Context, held Image, _ Link) error {
			told++
			return s.DeleteAll(ctx, owner) // the row of the second is read already
		}})
		for _, data := range distinct(t, 2) {
			uploadOne(t, s, owner, data)
		}
		if err := s.Notify(t.Context()); err != nil || told != 1 {
			t.Errorf("told of %d pictures, %v, want 1", told, err)
		}
	})
}

// TestSameBytesAreJudgedForEach holds a picture although somebody else's with the same bytes was released.
func TestSameBytesAreJudgedForEach(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{Moderate: takeAll})
		first := uploadOne(t, s, uuid.NewString(), encodeJPEG(t, 8, 8))
		judged(true)(t, s, first)
		second := uploadOne(t, s, uuid.NewString(), encodeJPEG(t, 8, 8))
		wantSeen(t, s, first.Name, "the released one", Reader{}, true)
		wantSeen(t, s, second.Name, "the held one", Reader{}, false)
		judged(false)(t, s, second)
		wantSeen(t, s, first.Name, "the released one", Reader{}, true)
	})
}
