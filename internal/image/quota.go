package image

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// TakeTurn lets the uploads of an owner wait for each other until the transaction of q ends, where
// there is a quota, so that two at the same time cannot both take the last place.
func (s *Service) TakeTurn(ctx context.Context, q *db.Queries, ownerID string) error {
	if s.isUnlimited(ownerID) {
		return nil
	}
	if err := touchOwner(ctx, q, ownerID, s.timestamp()); err != nil {
		return fmt.Errorf("lock the images of user %s: %w", ownerID, err)
	}
	return nil
}

func (s *Service) isUnlimited(ownerID string) bool {
	return s.Quota == (Quota{}) || ownerID == ""
}

// sizeOf is what pictures take of a quota.
func sizeOf(pictures []*picture) Quota {
	size := Quota{Images: int64(len(pictures))}
	for _, p := range pictures {
		size.Bytes += p.image.Bytes
	}
	return size
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

// CheckQuota returns ImageCountExceeded or ImageBytesExceeded if an owner may not have so much more. The
// answer holds as long as the owner's turn. What an owner has is counted anew each time: a sum that is
// kept could be wrong.
func (s *Service) CheckQuota(ctx context.Context, q *db.Queries, ownerID string, more Quota) error {
	if s.isUnlimited(ownerID) {
		return nil
	}
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
