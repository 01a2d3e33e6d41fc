package image

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// Reader is who wants to see a picture.
type Reader struct {
	UserID    string // empty if nobody is logged in
	Expires   int64  // of a link, in seconds since 1970
	Signature string // of a link; empty without one
}

// Find returns a picture by its name, if the reader may see it. The refusal is ImageNotFound.
func (s *Service) Find(ctx context.Context, name string, by Reader) (Image, error) {
	if !isName(name) {
		return Image{}, errNotFound
	}
	image, err := s.find(ctx, name)
	if err == nil && !s.maySee(image, by) {
		return Image{}, errNotFound
	}
	return image, err
}

// maySee shows withdrawn pictures to nobody, and held ones to their owners and the moderator.
func (s *Service) maySee(image Image, by Reader) bool {
	if image.Status == StatusWithdrawn {
		return false
	}
	return image.IsPublic() || image.OwnerID != "" && image.OwnerID == by.UserID || s.linkLetsIn(image, by)
}

// IsPublic reports whether everybody may see the picture who knows its name.
func (image Image) IsPublic() bool {
	return image.Visibility == Public && (image.Status == StatusNew || image.Status == StatusReady)
}

const (
	rememberedImages = 100_000
	// rememberedFor is how long a picture may be seen that was deleted, hidden or withdrawn on another node.
	rememberedFor = time.Second
)

// monotonic is the time since a service was made, whatever becomes of the machine's clock.
type monotonic struct {
	now   func() time.Time
	start time.Time
}

func (m monotonic) NowNano() int64                      { return int64(m.now().Sub(m.start)) }
func (m monotonic) Tick(time.Duration) <-chan time.Time { return nil }

func newFoundImages(now func() time.Time) (*otter.Cache[string, Image], error) {
	return otter.New(&otter.Options[string, Image]{
		MaximumSize:      rememberedImages,
		ExpiryCalculator: otter.ExpiryCreating[string, Image](rememberedFor),
		Clock:            monotonic{now, now()},
	})
}

// find reads the row of a picture that is loaded often once in a moment, and once for all who ask at
// the same time. What was read before an invalidation is not returned after it.
func (s *Service) find(ctx context.Context, name string) (Image, error) {
	if image, ok := s.found.GetIfPresent(name); ok {
		s.foundLookups.RecordHits(1)
		return image, nil
	}
	s.foundLookups.RecordMisses(1)
	return s.found.Get(ctx, name, otter.LoaderFunc[string, Image](s.findRow))
}

func (s *Service) findRow(ctx context.Context, name string) (Image, error) {
	row, err := s.Database.Queries().GetImageByName(ctx, name)
	if errors.Is(err, sql.ErrNoRows) {
		return Image{}, errNotFound
	}
	if err != nil {
		return Image{}, fmt.Errorf("find image %s: %w", name, database.Refusal(err))
	}
	return imageFromRow(db.GetImageRow(row)), nil
}
