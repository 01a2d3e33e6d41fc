package image

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// maxPage is the most pictures that List returns at once.
const maxPage = 1000

// newest is greater than every id.
const newest = "~"

// The times that both databases know.
var (
	firstTime = time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// Filter says which pictures of an owner are wanted. What is empty or nil excludes none.
type Filter struct {
	Before      string     // the id of a picture: only older ones
	ContentType string     // only of this type
	Since       *time.Time // only uploaded then or later
	Until       *time.Time // only uploaded before
}

// Changes are what an owner changes of a picture. What is nil stays.
type Changes struct {
	Title      *string
	Visibility *Visibility
}

// Get returns a picture of an owner. The refusal is ImageNotFound, also if the picture is somebody else's.
func (s *Service) Get(ctx context.Context, ownerID, id string) (Image, error) {
	image, err := s.get(ctx, id)
	if err == nil && (ownerID == "" || image.OwnerID != ownerID) {
		return Image{}, errNotFound
	}
	return image, err
}

var errNotFound = apperr.New(apperr.ImageNotFound)

func (s *Service) get(ctx context.Context, id string) (Image, error) {
	row, err := s.Database.Queries().GetImage(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Image{}, errNotFound
	}
	if err != nil {
		return Image{}, fmt.Errorf("get image %s: %w", id, database.Refusal(err))
	}
	return imageFromRow(row), nil
}

// List returns up to limit pictures (at least 1, at most 1000) of an owner, the newest first, and
// whether there are more.
func (s *Service) List(ctx context.Context, ownerID string, f Filter, limit int) ([]Image, bool, error) {
	if ownerID == "" {
		return nil, false, errNoOwner
	}
	limit = min(max(limit, 1), maxPage)
	rows, err := s.Database.Queries().ListImagesOfOwner(ctx, f.params(ownerID, limit+1))
	if err != nil {
		return nil, false, fmt.Errorf("list the images of user %s: %w", ownerID, database.Refusal(err))
	}
	more := len(rows) > limit
	images := make([]Image, 0, limit)
	for _, row := range rows[:min(len(rows), limit)] {
		images = append(images, imageFromRow(db.GetImageRow(row)))
	}
	return images, more, nil
}

// errNoOwner keeps the pictures of everybody who was not logged in from being taken for one person's.
var errNoOwner = errors.New("these images have no owner")

func (f Filter) params(ownerID string, limit int) db.ListImagesOfOwnerParams {
	p := db.ListImagesOfOwnerParams{
		OwnerID: ownerID, Before: f.Before, AnyType: f.ContentType == "", WantedType: f.ContentType,
		Earliest: storable(f.Since, firstTime), Upto: storable(f.Until, lastTime), Limit: int32(limit),
	}
	if f.Before == "" {
		p.Before = newest
	}
	return p
}

// storable is the nearest time that both databases know; otherwise where there is none.
func storable(t *time.Time, otherwise time.Time) time.Time {
	switch {
	case t == nil:
		return otherwise
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	}
	return database.Timestamp(*t)
}

// Update changes a picture of an owner, and returns it. The refusal is ImageNotFound.
func (s *Service) Update(ctx context.Context, ownerID, id string, c Changes) (Image, error) {
	image, err := s.Get(ctx, ownerID, id)
	if err != nil || c == (Changes{}) {
		return image, err
	}
	p := db.UpdateImageParams{ID: id, OwnerID: ownerID, SetTitle: c.Title != nil, SetVisibility: c.Visibility != nil}
	if c.Title != nil {
		p.NewTitle = DisplayTitle(*c.Title)
	}
	if c.Visibility != nil {
		p.NewVisibility = string(*c.Visibility)
	}
	var updated int64
	err = s.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		updated, err = q.UpdateImage(ctx, p)
		return err
	})
	if err != nil {
		return Image{}, fmt.Errorf("update image %s: %w", id, err)
	}
	s.found.Invalidate(image.Name)
	if updated == 0 {
		return Image{}, errNotFound
	}
	return s.Get(ctx, ownerID, id)
}

// Delete deletes a picture of an owner. Its bytes stay for those who have the same picture, and else
// for some time. The refusal is ImageNotFound.
func (s *Service) Delete(ctx context.Context, ownerID, id string) error {
	for {
		image, err := s.Get(ctx, ownerID, id)
		if err != nil {
			return err
		}
		deleted, err := s.delete(ctx, []Image{image})
		if err != nil {
			return fmt.Errorf("delete image %s: %w", id, err)
		}
		if deleted > 0 {
			s.Logger.InfoContext(ctx, "deleted a picture", "name", image.Name, "user", ownerID)
			return nil
		}
	}
}

// deletedAtOnce bounds how long a deletion keeps other writers waiting.
const deletedAtOnce = 100

// DeleteAll deletes all pictures of an owner. It may be called again after a failure, and at the same
// time by several processes. What an upload stores meanwhile is deleted too, or stays.
func (s *Service) DeleteAll(ctx context.Context, ownerID string) error {
	for {
		images, _, err := s.List(ctx, ownerID, Filter{}, deletedAtOnce)
		if err != nil {
			return err
		}
		if len(images) == 0 {
			return s.deleteOwner(ctx, ownerID)
		}
		deleted, err := s.delete(ctx, images)
		if err != nil {
			return fmt.Errorf("delete the images of user %s: %w", ownerID, err)
		}
		s.Logger.InfoContext(ctx, "deleted pictures", "count", deleted, "user", ownerID)
	}
}

func (s *Service) deleteOwner(ctx context.Context, ownerID string) error {
	return s.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.DeleteImageOwner(ctx, ownerID)
	})
}

// delete deletes images, and marks their blobs, which may have lost their last one. It returns how many
// it deleted: those that somebody else deleted or adopted meanwhile are not among them.
func (s *Service) delete(ctx context.Context, images []Image) (deleted int64, err error) {
	ids, hashes := make([]string, len(images)), make([][]byte, len(images))
	for i, image := range images {
		ids[i], hashes[i] = image.ID, image.SHA256[:]
	}
	removal, err := s.markUnadopted(images)
	if err != nil {
		return 0, err
	}
	now := s.timestamp()
	err = s.Database.InTx(ctx, func(q *db.Queries) (err error) {
		if err := q.SuspectBlobs(ctx, db.SuspectBlobsParams{UnownedAt: &now, Hashes: hashes}); err != nil {
			return err
		}
		deleted, err = q.DeleteImages(ctx, db.DeleteImagesParams{Ids: ids, Hashes: hashes})
		return err
	})
	for _, image := range images {
		s.found.Invalidate(image.Name)
	}
	return deleted, errors.Join(err, s.finish(ctx, removal))
}
