package image

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/storage"
)

// maxPage is the most pictures that List returns at once.
const maxPage = 1000

// newest is greater than every id.
const newest = "~"

// Get returns a picture of an owner. The refusal is ImageNotFound, also if the picture is somebody else's.
func (s *Service) Get(ctx context.Context, ownerID, id string) (Image, error) {
	if ownerID == "" {
		return Image{}, apperr.New(apperr.ImageNotFound)
	}
	row, err := s.database.Queries().GetImageOfOwner(ctx, db.GetImageOfOwnerParams{ID: id, OwnerID: ownerID})
	if errors.Is(err, sql.ErrNoRows) {
		return Image{}, apperr.New(apperr.ImageNotFound)
	}
	if err != nil {
		return Image{}, fmt.Errorf("get image %s: %w", id, database.Refusal(err))
	}
	return imageFromRow(row), nil
}

// List returns up to limit pictures (at least 1, at most 1000) of an owner that are older than the one
// with the id beforeID (empty: the newest), the newest first, and whether there are more.
func (s *Service) List(ctx context.Context, ownerID, beforeID string, limit int) ([]Image, bool, error) {
	if ownerID == "" {
		return nil, false, errNoOwner
	}
	if beforeID == "" {
		beforeID = newest
	}
	limit = min(max(limit, 1), maxPage)
	rows, err := s.database.Queries().ListImagesOfOwner(ctx, db.ListImagesOfOwnerParams{
		OwnerID: ownerID, Before: beforeID, Limit: int32(limit + 1),
	})
	if err != nil {
		return nil, false, fmt.Errorf("list the images of user %s: %w", ownerID, database.Refusal(err))
	}
	more := len(rows) > limit
	images := make([]Image, 0, limit)
	for _, row := range rows[:min(len(rows), limit)] {
		images = append(images, imageFromRow(row))
	}
	return images, more, nil
}

// errNoOwner keeps the pictures of everybody who was not logged in from being taken for one person's.
var errNoOwner = errors.New("these images have no owner")

// deletedAtOnce bounds how long a deletion keeps other writers waiting.
const deletedAtOnce = 100

// DeleteAll deletes all pictures of an owner, rows and files. It may be called again after a failure,
// and at the same time by several processes. What an upload stores meanwhile is deleted too, or stays.
func (s *Service) DeleteAll(ctx context.Context, ownerID string) error {
	for {
		images, _, err := s.List(ctx, ownerID, "", deletedAtOnce)
		if err != nil {
			return err
		}
		if len(images) == 0 {
			return nil
		}
		if err := s.delete(ctx, images); err != nil {
			return fmt.Errorf("delete the images of user %s: %w", ownerID, err)
		}
		s.log.InfoContext(ctx, "deleted pictures", "count", len(images), "user", ownerID)
	}
}

// delete removes pictures and their rows.
func (s *Service) delete(ctx context.Context, images []Image) error {
	ids, names := make([]string, len(images)), make([]string, len(images))
	for i, image := range images {
		ids[i], names[i] = image.ID, image.Name
	}
	removal, err := s.disk.Mark(names...)
	if err != nil {
		return diskError(err)
	}
	err = s.deleteRows(ctx, ids)
	return errors.Join(err, s.removeFiles(ctx, removal, err))
}

func (s *Service) deleteRows(ctx context.Context, ids []string) error {
	return s.database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.DeleteImages(ctx, ids)
	})
}

// removeFiles removes the files whose rows are deleted: all, or if that failed, those without a row.
// Names are never reused, so it does not matter who deleted a row.
func (s *Service) removeFiles(ctx context.Context, removal *storage.Removal, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if failed != nil {
		return removal.Finish(ctx, s.stored)
	}
	return removal.Finish(ctx, func(context.Context, string) (bool, error) { return false, nil })
}
