package image

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// CheckQuota returns ImageCountExceeded or ImageBytesExceeded if an owner may not have one more picture
// of so many bytes. The answer may change before the picture is stored, and is asked for again then.
func (s *Service) CheckQuota(ctx context.Context, ownerID string, bytes int64) error {
	if s.Quota == (Quota{}) || ownerID == "" {
		return nil
	}
	return s.checkQuota(ctx, s.Database.Queries(), ownerID, Quota{Images: 1, Bytes: bytes})
}

// takeTurn lets the uploads of an owner wait for each other where there is a quota, so that two at the
// same time cannot both take the last place. What an owner has is counted anew each time: a sum that
// is kept could be wrong.
func (s *Service) takeTurn(ctx context.Context, q *db.Queries, ownerID string, pictures []*picture) error {
	if s.Quota == (Quota{}) || ownerID == "" {
		return nil
	}
	if err := touchOwner(ctx, q, ownerID, s.timestamp()); err != nil {
		return fmt.Errorf("lock the images of user %s: %w", ownerID, err)
	}
	more := Quota{Images: int64(len(pictures))}
	for _, p := range pictures {
		more.Bytes += p.image.Bytes
	}
	return s.checkQuota(ctx, q, ownerID, more)
}

func touchOwner(ctx context.Context, q *db.Queries, ownerID string, now time.Time) error {
	touch := db.TouchImageOwnerParams{UploadedAt: now, OwnerID: ownerID}
	touched, err := q.TouchImageOwner(ctx, touch)
	if err != nil || touched > 0 {
		return err
	}
	err = q.InsertImageOwner(ctx, db.InsertImageOwnerParams{OwnerID: ownerID, UploadedAt: now})
	if database.IsDuplicate(err) { // another upload was faster
		_, err = q.TouchImageOwner(ctx, touch)
	}
	return err
}

func (s *Service) checkQuota(ctx context.Context, q *db.Queries, ownerID string, more Quota) error {
	has, err := q.SumImagesOfOwner(ctx, ownerID)
	if err != nil {
		return fmt.Errorf("sum up the images of user %s: %w", ownerID, database.Refusal(err))
	}
	switch {
	case s.Quota.Images > 0 && has.Images+more.Images > s.Quota.Images:
		return apperr.New(apperr.ImageCountExceeded)
	case s.Quota.Bytes > 0 && has.Bytes+more.Bytes > s.Quota.Bytes:
		return apperr.New(apperr.ImageBytesExceeded)
	}
	return nil
}
