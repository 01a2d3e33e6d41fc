// Package image owns pictures: what becomes of them at the door, the rows that describe them, who may
// see them, and the sizes in which they are shown.
//
// An image is what one owner uploaded: a link to a blob, under an unguessable name. A blob is a picture
// as it is stored, without its metadata; the same bytes are one blob, whoever uploads them. Images come
// and go alone. A blob that may have lost its last image is marked, and deleted some time later if it
// really has none: there is no counter that could be wrong.
//
// A picture is recognised by its bytes. While it streams in, it is cleaned and its structure is checked
// from the header to the end. Its pixels are decoded soon after, since that costs a hundred times as
// much; one that cannot be decoded is withdrawn then.
package image

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"
	"golang.org/x/sync/singleflight"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/storage"
	"gatehouse/internal/threads"
)

// Visibility says who may load a picture.
type Visibility string

// Public is for everybody who knows the name, Private for the owner and for who has a link.
const (
	Public  Visibility = "public"
	Private Visibility = "private"
)

// Status says how far a picture has come.
type Status string

// StatusNew was not decoded yet, StatusReady was; everybody who may see the picture sees both.
// StatusHeld waits for the moderator. StatusWithdrawn could not be decoded, or was refused by the moderator.
const (
	StatusNew       Status = "new"
	StatusReady     Status = "ready"
	StatusHeld      Status = "held"
	StatusWithdrawn Status = "withdrawn"
)

// Image describes a stored picture.
type Image struct {
	ID           string // UUIDv7
	OwnerID      string // empty if nobody was logged in
	Name         string // by which it is loaded: unguessable, with the extension of its real type
	OriginalName string // the client's name for it, for display only
	Title        string // what the owner calls it
	Bytes        int64
	Width        int // in pixels, as it is seen
	Height       int
	ContentType  string
	SHA256       [32]byte // of the stored bytes
	Visibility   Visibility
	Status       Status
	Reason       string // why the moderator refused it; for the owner
	BlurHash     string // empty until it was decoded
	Color        string // dominant, such as #a0522d; empty until it was decoded
	TakenAt      time.Time
	Camera       string
	CreatedAt    time.Time

	file        string // that has the bytes
	orientation int    // 1 to 8 as in EXIF; 0 if there is no blob
	alpha       bool   // some pixels may be transparent
}

// Quota is what one owner may have. Zero is no limit.
type Quota struct {
	Images int64
	Bytes  int64
}

// Options of a Service. Database, Store, Logger, Now, MaxFiles, MaxBytes, Limits, Decodes, DecodeMemory,
// Sizes and LinkKey are required.
type Options struct {
	Database *database.Database
	Store    *storage.Store
	Logger   *slog.Logger
	Now      func() time.Time

	MaxFiles    int          // most pictures in one upload
	MaxBytes    int64        // most bytes of all pictures of one upload
	Limits      codec.Limits // of one picture
	Quota       Quota
	KeepDetails bool // when a photograph was taken, and with what

	Threads      *threads.Threads // may be nil
	Decodes      int              // pictures that are decoded at once
	DecodeWait   time.Duration    // how long a caller waits for a turn
	DecodeMemory int64            // bytes that the decoding of pictures may take together

	Sizes       []int             // the sides of variants, in pixels, ascending
	Presets     map[string]Resize // variants by name
	CacheBytes  int64             // memory for small pictures that are loaded often
	LinkKey     []byte            // signs links to private pictures
	UnownedKept time.Duration     // how long a blob stays after its last image

	// ObserveDecode is told how long a picture waited for its turn, and how long it took. It may be nil.
	ObserveDecode func(waited, took time.Duration)

	// Moderate tells the moderator of a picture that is held back. Where it is nil, none is.
	Moderate func(ctx context.Context, held Image, link Link) error
}

// Service stores and opens pictures. It is safe for concurrent use.
type Service struct {
	Options
	decodes *decodes
	uploads atomic.Uint64                // since the start
	checks  chan blob                    // that were just stored and are not decoded yet
	found   *otter.Cache[string, Image]  // by name, for a moment
	hot     *otter.Cache[string, []byte] // small files and variants
	renders singleflight.Group           // by file

	foundLookups, hotLookups *stats.Counter
	stored, storedBytes      atomic.Int64 // since the start
}

// New returns a service.
func New(o Options) (*Service, error) {
	if len(o.Sizes) == 0 {
		return nil, errors.New("images need the sizes of their variants")
	}
	s := &Service{
		Options: o,
		decodes: newDecodes(o.Decodes, o.DecodeMemory),
		checks:  make(chan blob, waitingChecks),

		foundLookups: stats.NewCounter(), hotLookups: stats.NewCounter(),
	}
	if o.ObserveDecode != nil {
		s.decodes.observe = o.ObserveDecode
	}
	var err error
	if s.found, err = newFoundImages(o.Now); err != nil {
		return nil, err
	}
	s.hot, err = newHotFiles(o.CacheBytes)
	return s, err
}

// Run decodes what was uploaded and tells the moderator of what is held back, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	moderated := make(chan struct{})
	go func() {
		defer close(moderated)
		s.moderate(ctx)
	}()
	s.check(ctx)
	<-moderated
}

// timestamp is the current time as both databases store it.
func (s *Service) timestamp() time.Time {
	return database.Timestamp(s.Now())
}

// StorageError turns an error of the storage into the refusal that a client is told: StorageFull,
// StorageUnavailable, or none.
func StorageError(err error) error {
	switch {
	case storage.IsFull(err):
		return apperr.Wrap(apperr.StorageFull, err)
	case storage.IsUnavailable(err):
		return apperr.Later(apperr.StorageUnavailable, storageRetry, err)
	}
	return err
}

// storageRetry is when a client may try again after the storage did not answer.
const storageRetry = 5 * time.Second

func (image Image) insertParams(notifyAt *time.Time) db.InsertImageParams {
	p := db.InsertImageParams{
		ID:           image.ID,
		OwnerID:      image.OwnerID,
		Name:         image.Name,
		OriginalName: image.OriginalName,
		Bytes:        image.Bytes,
		Width:        int64(image.Width),
		Height:       int64(image.Height),
		ContentType:  image.ContentType,
		Sha256:       image.SHA256[:],
		CreatedAt:    image.CreatedAt,
		Title:        image.Title,
		Visibility:   string(image.Visibility),
		Camera:       image.Camera,
		NotifyAt:     notifyAt,
	}
	if image.Status == StatusHeld {
		p.Verdict = verdictHeld
	}
	if !image.TakenAt.IsZero() {
		p.TakenAt = &image.TakenAt
	}
	return p
}

func imageFromRow(row db.GetImageRow) Image {
	image := Image{
		ID:           row.Image.ID,
		OwnerID:      row.Image.OwnerID,
		Name:         row.Image.Name,
		OriginalName: row.Image.OriginalName,
		Title:        row.Image.Title,
		Bytes:        row.Image.Bytes,
		Width:        int(row.Image.Width),
		Height:       int(row.Image.Height),
		ContentType:  row.Image.ContentType,
		SHA256:       [32]byte(row.Image.Sha256),
		Visibility:   Visibility(row.Image.Visibility),
		Status:       statusOf(row.State, row.Image.Verdict),
		Reason:       row.Image.Reason,
		BlurHash:     row.BlurHash,
		Color:        row.Color,
		Camera:       row.Image.Camera,
		CreatedAt:    row.Image.CreatedAt,
		file:         row.File,
		orientation:  int(row.Orientation),
		alpha:        row.Alpha && row.Image.ContentType != codec.JPEG.ContentType(),
	}
	if row.Image.TakenAt != nil {
		image.TakenAt = *row.Image.TakenAt
	}
	return image
}

// statusOf combines what decoding and the moderator said.
func statusOf(state, verdict string) Status {
	switch {
	case state == stateFailed || verdict == verdictRefused:
		return StatusWithdrawn
	case verdict == verdictHeld:
		return StatusHeld
	case state == stateReady:
		return StatusReady
	}
	return StatusNew
}
