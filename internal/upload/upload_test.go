package upload

import (
	"bytes"
	"cmp"
	"database/sql"
	"errors"
	"image/jpeg"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	stdimage "image"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	day      = 24 * time.Hour
	maxBytes = 1 << 20
)

// place is what outlives a process: a database, a folder of files, and the time.
type place struct {
	database *database.Database
	pool     *sql.DB
	dir      string
	clock    *clock
}

func newPlace(t *testing.T, url string) *place {
	t.Helper()
	dataDir := t.TempDir()
	return &place{
		database: dbtest.OpenIn(t, url, dataDir, slog.New(slog.DiscardHandler)),
		pool:     dbtest.OpenPool(t, url, dataDir),
		dir:      t.TempDir(),
		clock:    &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("CST", 8*3600))},
	}
}

// process is the service of one process. Limits that are 0 get a usual value.
func (p *place) process(t *testing.T, o image.Options) *Service {
	t.Helper()
	disk, err := storage.OpenDisk(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(storage.Options{Shelf: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return p.service(t, store, o)
}

func (p *place) service(t *testing.T, store *storage.Store, o image.Options) *Service {
	t.Helper()
	o.Database, o.Store, o.Logger, o.Now = p.database, store, slog.New(slog.DiscardHandler), p.clock.Now
	o.MaxFiles, o.MaxBytes = 1, cmp.Or(o.MaxBytes, maxBytes)
	o.Limits = codec.Limits{Pixels: 50_000_000, Side: 65_535, Frames: 100}
	o.Decodes, o.DecodeWait, o.DecodeMemory, o.Sizes = 1, time.Minute, 1<<30, []int{320}
	images, err := image.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{
		Database: p.database, Store: store, Images: images, Logger: o.Logger, Now: o.Now,
		MaxBytes: o.MaxBytes, Lifetime: day, MaxSessions: 3,
	})
}

// everywhere runs a test on both databases.
func everywhere(t *testing.T, test func(t *testing.T, p *place)) {
	dbtest.RunURL(t, func(t *testing.T, url string) { test(t, newPlace(t, url)) })
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// photo is a JPEG that no other call returns.
func photo(t *testing.T) []byte {
	t.Helper()
	picture := stdimage.NewRGBA(stdimage.Rect(0, 0, 64, 48))
	for i := range picture.Pix {
		picture.Pix[i] = byte(rand.Uint32())
	}
	var data bytes.Buffer
	if err := jpeg.Encode(&data, picture, nil); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

func begin(t *testing.T, s *Service, owner string, data []byte) Session {
	t.Helper()
	session, err := s.Create(t.Context(), owner, Announcement{Bytes: int64(len(data)), Name: "a.jpg"})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func send(t *testing.T, s *Service, owner string, session Session, piece []byte) Session {
	t.Helper()
	sent, err := s.Append(t.Context(), owner, session.ID, session.Received, nil, bytes.NewReader(piece))
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func wantCode(t *testing.T, err error, want apperr.Code) {
	t.Helper()
	if !apperr.Is(err, want) {
		t.Errorf("error is %v, want code %d", err, want)
	}
}

// wantReceived checks how far a session is.
func wantReceived(t *testing.T, s *Service, owner string, session Session, want int64) {
	t.Helper()
	got, err := s.Get(t.Context(), owner, session.ID)
	if err != nil || got.Received != want {
		t.Errorf("session %+v, %v, want %d bytes received", got, err, want)
	}
}

// wantPicture checks that a session is complete, and its picture is the data.
func wantPicture(t *testing.T, s *Service, owner string, session Session, data []byte) {
	t.Helper()
	session, err := s.Get(t.Context(), owner, session.ID)
	if err != nil || session.Received != int64(len(data)) || session.ImageID == "" {
		t.Fatalf("session %+v, %v, want it complete", session, err)
	}
	wantImage(t, s, owner, session.ImageID, data)
}

func wantImage(t *testing.T, s *Service, owner, id string, data []byte) {
	t.Helper()
	picture, err := s.Images.Get(t.Context(), owner, id)
	if err != nil {
		t.Fatal(err)
	}
	file, err := s.Images.Open(t.Context(), picture)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Content.Close()
	if got, err := io.ReadAll(file.Content); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the picture has %d bytes, %v, want the %d that were sent", len(got), err, len(data))
	}
}

// wantLeft checks how many rows and files there are of everything, none of them undecided.
func (p *place) wantLeft(t *testing.T, sessions, pieces, images int) {
	t.Helper()
	for table, want := range map[string]int{"upload_sessions": sessions, "upload_pieces": pieces, "images": images} {
		if got := p.count(t, table); got != want {
			t.Errorf("%d rows in %s, want %d", got, table, want)
		}
	}
	parts, others, undecided := p.files(t)
	if parts != pieces || others != images || undecided != 0 {
		t.Errorf("files of %d pieces and %d pictures, %d undecided; want %d, %d and none", parts, others, undecided, pieces, images)
	}
}

func (p *place) count(t *testing.T, table string) (rows int) {
	t.Helper()
	if err := p.pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func (p *place) files(t *testing.T) (pieces, others, undecided int) {
	t.Helper()
	err := filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir() || entry.Name() == ".lock":
		case strings.Contains(path, "incoming"):
			undecided++
		case strings.HasSuffix(path, PieceSuffix):
			pieces++
		default:
			others++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pieces, others, undecided
}

func TestPiecesBecomeAPicture(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		nodes := []*Service{p.process(t, image.Options{}), p.process(t, image.Options{})}
		for count := 1; count <= 5; count++ {
			owner, data := uuid.NewString(), photo(t)
			session, err := nodes[0].Create(t.Context(), owner, Announcement{
				Bytes: int64(len(data)), Name: "我的照片.jpg", Title: "Home", Visibility: image.Private,
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range count {
				piece := data[i*len(data)/count : (i+1)*len(data)/count]
				session = send(t, nodes[i%2], owner, session, piece)
			}
			if session.Received != int64(len(data)) || session.ImageID == "" {
				t.Errorf("session %+v, want it complete", session)
			}
			wantPicture(t, nodes[0], owner, session, data)
			picture, err := nodes[0].Images.Get(t.Context(), owner, session.ImageID)
			if err != nil || picture.OriginalName != "我的照片.jpg" || picture.Title != "Home" || picture.Visibility != image.Private {
				t.Errorf("picture %+v, %v", picture, err)
			}
			p.wantLeft(t, count, 0, count)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := p.process(t, image.Options{Quota: image.Quota{Bytes: 1000}})
		tests := []struct {
			name  string
			bytes int64
			want  apperr.Code
		}{
			{"too large", maxBytes + 1, apperr.UploadTooLarge},
			{"more than the quota", 1001, apperr.ImageBytesExceeded},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				_, err := s.Create(t.Context(), uuid.NewString(), Announcement{Bytes: test.bytes})
				wantCode(t, err, test.want)
			})
		}
		owner := uuid.NewString()
		for range s.MaxSessions {
			begin(t, s, owner, make([]byte, 10))
		}
		_, err := s.Create(t.Context(), owner, Announcement{Bytes: 10})
		wantCode(t, err, apperr.TooManyUploadSessions)
		begin(t, s, uuid.NewString(), make([]byte, 10)) // somebody else
		p.clock.advance(day)
		begin(t, s, owner, make([]byte, 10)) // the others have expired
	})
}

// TestQuotaCountsSessions fills a quota half with a picture and half with a session.
func TestQuotaCountsSessions(t *testing.T) {
	data := photo(t)
	size := int64(len(data))
	tests := []struct {
		name  string
		quota image.Quota
		want  apperr.Code
	}{
		{"bytes", image.Quota{Bytes: 2 * size}, apperr.ImageBytesExceeded},
		{"count", image.Quota{Images: 2}, apperr.ImageCountExceeded},
	}
	everywhere(t, func(t *testing.T, p *place) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s, owner := p.process(t, image.Options{Quota: test.quota}), uuid.NewString()
				send(t, s, owner, begin(t, s, owner, data), data) // which counts as a picture then, not as a session
				session := begin(t, s, owner, data)
				_, err := s.Create(t.Context(), owner, Announcement{Bytes: 1})
				wantCode(t, err, test.want)
				begin(t, s, uuid.NewString(), data) // somebody else
				if err := s.Cancel(t.Context(), owner, session.ID); err != nil {
					t.Fatal(err)
				}
				session = begin(t, s, owner, data)
				p.clock.advance(day)
				begin(t, s, owner, data) // the other has expired
			})
		}
	})
}

// TestQuotaOfSessionsIsExact begins sessions on two nodes at once.
func TestQuotaOfSessionsIsExact(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		o := image.Options{Quota: image.Quota{Bytes: 75}}
		nodes := []*Service{p.process(t, o), p.process(t, o)}
		for _, s := range nodes {
			s.MaxSessions = 100
		}
		owner, begun := uuid.NewString(), 0
		for _, err := range race(20, func(i int) error {
			_, err := nodes[i%2].Create(t.Context(), owner, Announcement{Bytes: 10})
			return err
		}) {
			if err == nil {
				begun++
			} else {
				wantCode(t, err, apperr.ImageBytesExceeded)
			}
		}
		if begun != 7 {
			t.Errorf("%d sessions began, want 7", begun)
		}
		p.wantLeft(t, 7, 0, 0)
	})
}

func TestTitlesAreCleaned(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session, err := s.Create(t.Context(), owner, Announcement{Bytes: int64(len(data)), Title: "\x1b[31m\u202e海\x00边" + strings.Repeat("图", 300)})
		if err != nil {
			t.Fatal(err)
		}
		session = send(t, s, owner, session, data)
		picture, err := s.Images.Get(t.Context(), owner, session.ImageID)
		if want := "[31m海边" + strings.Repeat("图", 194); err != nil || picture.Title != want {
			t.Errorf("picture %+v, %v, want the title %s", picture, err, want)
		}
	})
}

func TestLongNamesKeepTheirEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session, err := s.Create(t.Context(), owner, Announcement{Bytes: int64(len(data)), Name: strings.Repeat("图", 5000) + "/照片.jpg"})
		if err != nil {
			t.Fatal(err)
		}
		session = send(t, s, owner, session, data)
		if picture, err := s.Images.Get(t.Context(), owner, session.ImageID); err != nil || picture.OriginalName != "照片.jpg" {
			t.Errorf("picture %+v, %v", picture, err)
		}
	})
}

func TestNobodyElsesSession(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := begin(t, s, owner, data)
		for name, access := range map[string]func(owner, id string) error{
			"get": func(owner, id string) error { _, err := s.Get(t.Context(), owner, id); return err },
			"append": func(owner, id string) error {
				_, err := s.Append(t.Context(), owner, id, 0, nil, bytes.NewReader(data))
				return err
			},
			"cancel": func(owner, id string) error { return s.Cancel(t.Context(), owner, id) },
			"direct": func(owner, id string) error { _, err := s.CompleteDirect(t.Context(), owner, id); return err },
		} {
			t.Run(name, func(t *testing.T) {
				wantCode(t, access(uuid.NewString(), session.ID), apperr.UploadSessionNotFound)
				wantCode(t, access(owner, uuid.NewString()), apperr.UploadSessionNotFound)
			})
		}
		_, err := s.CompleteDirect(t.Context(), owner, session.ID)
		wantCode(t, err, apperr.UploadSessionNotFound) // it is no direct one
		wantReceived(t, s, owner, session, 0)
	})
}

func TestSessionsExpire(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := begin(t, s, owner, data)
		if want := database.Timestamp(p.clock.Now().Add(day)); !session.ExpiresAt.Equal(want) {
			t.Errorf("expires at %s, want %s", session.ExpiresAt, want)
		}
		p.clock.advance(day - time.Hour)
		session = send(t, s, owner, session, data[:100]) // which gives it another day
		p.clock.advance(day - time.Hour)
		if deleted, err := s.DeleteExpired(t.Context()); deleted != 0 || err != nil {
			t.Errorf("deleted %d, %v, want none", deleted, err)
		}
		wantReceived(t, s, owner, session, 100)
		p.clock.advance(2 * time.Hour)
		_, err := s.Get(t.Context(), owner, session.ID)
		wantCode(t, err, apperr.UploadSessionNotFound)
		_, err = s.Append(t.Context(), owner, session.ID, 100, nil, bytes.NewReader(data[100:]))
		wantCode(t, err, apperr.UploadSessionNotFound)
		for _, want := range []int64{1, 0} {
			if deleted, err := s.DeleteExpired(t.Context()); deleted != want || err != nil {
				t.Errorf("deleted %d, %v, want %d", deleted, err, want)
			}
		}
		p.wantLeft(t, 0, 0, 0)
	})
}

// TestSessionsCannotBeKeptForEver sends a byte whenever a session would expire.
func TestSessionsCannotBeKeptForEver(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner := p.process(t, image.Options{}), uuid.NewString()
		session := begin(t, s, owner, make([]byte, 1000))
		last := p.clock.Now().Add(7 * day)
		for p.clock.Now().Add(day - time.Hour).Before(last) {
			p.clock.advance(day - time.Hour)
			session = send(t, s, owner, session, []byte{0})
		}
		if want := database.Timestamp(last); !session.ExpiresAt.Equal(want) {
			t.Errorf("expires at %s, want %s", session.ExpiresAt, want)
		}
		p.clock.advance(day - time.Hour)
		_, err := s.Append(t.Context(), owner, session.ID, session.Received, nil, bytes.NewReader([]byte{0}))
		wantCode(t, err, apperr.UploadSessionNotFound)
	})
}

func TestCompleteSessionsAnswerUntilTheyExpire(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := send(t, s, owner, begin(t, s, owner, data), data)
		p.clock.advance(day - time.Hour)
		wantPicture(t, s, owner, session, data)
		again := send(t, s, owner, session, nil) // nothing is left to send
		if again.ImageID != session.ImageID {
			t.Errorf("session %+v, want that of image %s", again, session.ImageID)
		}
		_, err := s.Append(t.Context(), owner, session.ID, 0, nil, bytes.NewReader(data))
		wantCode(t, err, apperr.OffsetMismatch)
		_, err = s.Append(t.Context(), owner, session.ID, session.Received, nil, bytes.NewReader([]byte{0}))
		wantCode(t, err, apperr.UploadTooLarge)
		wantPicture(t, s, owner, session, data)
		p.clock.advance(2 * time.Hour)
		if deleted, err := s.DeleteExpired(t.Context()); deleted != 1 || err != nil {
			t.Errorf("deleted %d, %v, want 1", deleted, err)
		}
		p.wantLeft(t, 0, 0, 1)
		wantImage(t, s, owner, session.ImageID, data)
	})
}

func TestCancel(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := send(t, s, owner, begin(t, s, owner, data), data[:100])
		complete := send(t, s, owner, begin(t, s, owner, data), data)
		for _, id := range []string{session.ID, complete.ID} {
			if err := s.Cancel(t.Context(), owner, id); err != nil {
				t.Fatal(err)
			}
			wantCode(t, s.Cancel(t.Context(), owner, id), apperr.UploadSessionNotFound)
		}
		p.wantLeft(t, 0, 0, 1)
		wantImage(t, s, owner, complete.ImageID, data)
	})
}

func TestDeleteAll(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, gone, other, data := p.process(t, image.Options{}), uuid.NewString(), uuid.NewString(), photo(t)
		for range 2 {
			send(t, s, gone, begin(t, s, gone, data), data[:100])
		}
		kept := send(t, s, other, begin(t, s, other, data), data[:100])
		for range 2 { // safe to repeat
			if err := s.DeleteAll(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
		}
		p.wantLeft(t, 1, 1, 0)
		wantReceived(t, s, other, kept, 100)
	})
}

func TestDirectNeedsS3(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := p.process(t, image.Options{})
		_, err := s.CreateDirect(t.Context(), uuid.NewString(), Announcement{Bytes: 10})
		wantCode(t, err, apperr.DirectUploadUnavailable)
		p.wantLeft(t, 0, 0, 0)
	})
}

// failing returns its data, and then fails.
func failing(data []byte, fail func() error) io.Reader {
	return io.MultiReader(bytes.NewReader(data), failure(fail))
}

type failure func() error

func (f failure) Read([]byte) (int, error) { return 0, f() }

var errNetwork = errors.New("the network is gone")

func networkGone() error { return errNetwork }
