package upload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/db"
	"gatehouse/internal/image"
)

// Direct tells a client where it uploads a picture to, past the server.
type Direct struct {
	ID        string            // UUIDv7
	URL       string            // for a POST of multipart/form-data
	Fields    map[string]string // the first parts of the form; the last is the picture, named file
	ExpiresAt time.Time         // of the form
}

// formLifetime is how long the form of a direct upload may be posted. Its session lives longer, since
// only then nothing more can come of what it left in S3.
const formLifetime = time.Hour

// CreateDirect begins an upload past the server. The refusals are DirectUploadUnavailable where the
// storage is not S3, those of Create, and StorageUnavailable.
func (s *Service) CreateDirect(ctx context.Context, ownerID string, a Announcement) (Direct, error) {
	if !s.Store.Direct() {
		return Direct{}, apperr.New(apperr.DirectUploadUnavailable)
	}
	row, err := s.open(ctx, db.UploadSession{OwnerID: ownerID, Kind: direct, File: newName()}, a)
	if err != nil {
		return Direct{}, err
	}
	expires := s.timestamp().Add(min(formLifetime, s.Lifetime))
	form, err := s.Store.PresignDirect(ctx, row.File, row.Bytes, expires)
	if err != nil {
		s.abandon(ctx, row)
		return Direct{}, image.StorageError(err)
	}
	return Direct{ID: row.ID, URL: form.URL, Fields: form.Fields, ExpiresAt: expires}, nil
}

// CompleteDirect takes over what a client uploaded, and trusts it as little as any other upload. Asked
// again, it returns the same picture. The refusals are UploadSessionNotFound, also if the picture was
// deleted, DirectUploadMissing, StorageUnavailable, and those of a picture: EmptyUpload, NotAnImage,
// ImageDamaged, TooManyPixels and UploadTooLarge end the session.
func (s *Service) CompleteDirect(ctx context.Context, ownerID, id string) (image.Image, error) {
	row, err := s.find(ctx, ownerID, id, direct)
	if err != nil {
		return image.Image{}, err
	}
	if row.ImageID != nil {
		return s.pictureOf(ctx, row)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	row.ExpiresAt = s.expiry()
	picture, err := s.takeDirect(ctx, row)
	if err != nil {
		return s.directRefusal(ctx, row, err)
	}
	if err := s.removeDirect(ctx, row); err != nil {
		s.Logger.WarnContext(ctx, "remove what was uploaded directly", "session", row.ID, "error", err) // it goes with the session
	}
	return picture, nil
}

func (s *Service) takeDirect(ctx context.Context, row db.UploadSession) (image.Image, error) {
	file, err := s.Store.OpenDirect(ctx, row.File)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return image.Image{}, apperr.New(apperr.DirectUploadMissing)
	}
	if err != nil {
		return image.Image{}, image.StorageError(fmt.Errorf("open what was uploaded to session %s: %w", row.ID, err))
	}
	defer file.Content.Close()
	if file.Size > row.Bytes {
		return image.Image{}, apperr.New(apperr.UploadTooLarge)
	}
	return s.storePicture(ctx, row, file.Content)
}

// directRefusal returns the picture instead if another request was faster.
func (s *Service) directRefusal(ctx context.Context, row db.UploadSession, err error) (image.Image, error) {
	now, findErr := s.find(ctx, row.OwnerID, row.ID, direct)
	if findErr == nil && now.ImageID != nil {
		return s.pictureOf(ctx, now)
	}
	return image.Image{}, s.refusal(ctx, row, err)
}

func (s *Service) pictureOf(ctx context.Context, row db.UploadSession) (image.Image, error) {
	picture, err := s.Images.Get(ctx, row.OwnerID, *row.ImageID)
	if apperr.Is(err, apperr.ImageNotFound) {
		err = apperr.Wrap(apperr.UploadSessionNotFound, err)
	}
	return picture, err
}

// removeDirect has nothing to remove where the storage is not S3 any more.
func (s *Service) removeDirect(ctx context.Context, row db.UploadSession) error {
	err := s.Store.RemoveDirect(ctx, row.File)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return image.StorageError(fmt.Errorf("remove what was uploaded to session %s: %w", row.ID, err))
	}
	return nil
}
