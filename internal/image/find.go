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

// maySee shows held pictures to who has a link too, since the moderator gets one.
func (s *Service) maySee(image Image, by Reader) bool {
	if image.Status == StatusWithdrawn {
		return false
	}
	return image.IsPublic() || image.OwnerID != "" && image.OwnerID == by.UserID || s.linkLetsIn(image.Name, by)
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

// finding is what the database said of a name a moment ago.
type finding struct {
	image  Image
	readAt time.Time
}

func newFindings() (*otter.Cache[string, finding], error) {
	return otter.New(&otter.Options[string, finding]{MaximumSize: rememberedImages})
}

// find reads the row of a picture that is loaded often once in a moment, and once for all who ask at
// the same time.
func (s *Service) find(ctx context.Context, name string) (Image, error) {
	now := s.Now()
	if known, ok := s.found.GetIfPresent(name); ok {
		if age := now.Sub(known.readAt); age >= 0 && age < rememberedFor {
			return known.image, nil
		}
	}
	found, err, _ := s.finds.Do(name, func() (any, error) {
		image, err := s.findRow(context.WithoutCancel(ctx), name)
		if err == nil {
			s.found.Set(name, finding{image, now})
		}
		return image, err
	})
	if err != nil {
		return Image{}, err
	}
	return found.(Image), nil
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
