package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/storage"
)

// adoptedAtOnce is how many images are read from the database at once.
const adoptedAtOnce = 100

// Adopt makes blobs of the pictures that an older program stored: each under the name of its image, with
// its metadata. It returns how many pictures it cleaned or kept as they are, and may be called again,
// and at the same time by several processes. A storage that fails ends it; the next call goes on.
//
// An older program that runs beside this one looks for pictures by their images' names, so it answers
// that those that were adopted do not exist. What it still stores is adopted by the next call. Only where
// its bytes were clean and somebody has them as a blob is there nothing to adopt: then its file stays
// behind, without a row.
func (s *Service) Adopt(ctx context.Context) (adopted int64, err error) {
	for after := ""; ; {
		rows, err := s.Database.Queries().ListImagesWithoutBlob(ctx, db.ListImagesWithoutBlobParams{After: after, Limit: adoptedAtOnce})
		if err != nil {
			return adopted, fmt.Errorf("list images to adopt: %w", database.Refusal(err))
		}
		for _, row := range rows {
			ok, err := s.adopt(ctx, row)
			if err != nil {
				return adopted, fmt.Errorf("adopt image %s: %w", row.Name, err)
			}
			if ok {
				adopted++
			}
			after = row.ID
		}
		if len(rows) < adoptedAtOnce {
			return adopted, nil
		}
	}
}

// adopt makes a blob of the bytes of an image and of all others with the same ones. It does nothing
// where another process was faster, or there is no file.
func (s *Service) adopt(ctx context.Context, row db.Image) (bool, error) {
	batch := s.Store.NewBatch()
	defer func() {
		if err := batch.Discard(ctx); err != nil {
			s.Logger.ErrorContext(ctx, "remove the file of a picture that was not adopted", "name", row.Name, "error", err)
		}
	}()
	p, err := s.receiveAgain(ctx, batch, row)
	if errors.Is(err, fs.ErrNotExist) {
		s.Logger.ErrorContext(ctx, "the file of an old picture is missing", "name", row.Name)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := batch.Place(ctx); err != nil {
		return false, StorageError(err)
	}
	return s.replace(ctx, batch, row, p)
}

// receiveAgain cleans the file of an image as an upload. One that is refused stays as it is: what
// becomes of it is decided when it is decoded.
func (s *Service) receiveAgain(ctx context.Context, batch *storage.Batch, row db.Image) (*picture, error) {
	file, err := s.Store.Open(ctx, row.Name)
	if err != nil {
		return nil, StorageError(err)
	}
	defer file.Content.Close()
	p, err := s.receive(ctx, batch, &Upload{Content: file.Content}, file.Size)
	if isBadPicture(err) || apperr.Is(err, apperr.EmptyUpload) {
		s.Logger.WarnContext(ctx, "kept an old picture as it is, since it cannot be cleaned", "name", row.Name, "error", err)
		return asItIs(row), p.drop(ctx, batch)
	}
	if err != nil {
		return nil, StorageError(err)
	}
	known, err := getBlob(ctx, s.Database.Queries(), p.own.hash)
	if err != nil {
		return nil, err
	}
	p.know(known)
	if p.isNew() {
		return p, p.write(batch)
	}
	return p, p.drop(ctx, batch)
}

// asItIs is a picture whose file remains that of its image.
func asItIs(row db.Image) *picture {
	return &picture{own: blob{
		hash: [32]byte(row.Sha256), file: row.Name, bytes: row.Bytes, width: int(row.Width), height: int(row.Height),
		contentType: row.ContentType, orientation: 1, alpha: row.ContentType != codec.JPEG.ContentType(), state: stateNew,
	}}
}

// replace lets the images show the blob, and removes their old files.
func (s *Service) replace(ctx context.Context, batch *storage.Batch, row db.Image, p *picture) (bool, error) {
	names, err := s.Database.Queries().ListImageNames(ctx, row.Sha256)
	if err != nil {
		return false, fmt.Errorf("list the images with the same bytes: %w", database.Refusal(err))
	}
	removal, err := s.Store.Mark(names...)
	if err != nil {
		return false, StorageError(err)
	}
	err = s.moveImages(ctx, batch, row, p)
	for _, name := range names {
		s.found.Invalidate(name)
	}
	removed := s.finish(ctx, removal)
	if errors.Is(err, errAdopted) {
		return false, removed
	}
	return err == nil, errors.Join(err, removed)
}

// errAdopted means that another process was faster, or the images were deleted.
var errAdopted = errors.New("the images are adopted already")

func (s *Service) moveImages(ctx context.Context, batch *storage.Batch, row db.Image, p *picture) error {
	var err error = errBlobChanged
	for try := 0; try < insertTries && errors.Is(err, errBlobChanged); try++ {
		err = s.Database.InTx(ctx, func(q *db.Queries) error { return s.moveRows(ctx, q, row, p) })
	}
	if errors.Is(err, database.ErrCommitUnknown) {
		batch.Leave() // the sweep finds out
	}
	if err == nil {
		s.keep(ctx, batch, []*picture{p})
	}
	return err
}

func (s *Service) moveRows(ctx context.Context, q *db.Queries, row db.Image, p *picture) error {
	if err := s.attach(ctx, q, p); err != nil {
		return err
	}
	b := p.shown()
	moved, err := q.SetImagesBlob(ctx, db.SetImagesBlobParams{
		NewSha256: b.hash[:], Bytes: b.bytes, Width: int64(b.width), Height: int64(b.height), OldSha256: row.Sha256,
	})
	if err == nil && moved == 0 {
		return errAdopted
	}
	return err
}

// isUnadopted reports whether a file is that of an image without a blob. It waits for who changes it.
func (s *Service) isUnadopted(ctx context.Context, file string) (unadopted bool, err error) {
	err = s.Database.InTx(ctx, func(q *db.Queries) error {
		unadopted = false
		found, err := q.LockImageByName(ctx, file)
		if err != nil || found == 0 {
			return err
		}
		row, err := q.GetImageByName(ctx, file)
		unadopted = err == nil && imageFromRow(db.GetImageRow(row)).isUnadopted()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for image %s: %w", file, err)
	}
	return unadopted, nil
}

// isUnadopted reports whether the image has its file under its own name, and no blob.
func (image Image) isUnadopted() bool { return image.orientation == 0 }

// markUnadopted marks the files that images of an older program have for themselves.
func (s *Service) markUnadopted(images []Image) (*storage.Removal, error) {
	var names []string
	for _, image := range images {
		if image.isUnadopted() {
			names = append(names, image.Name)
		}
	}
	removal, err := s.Store.Mark(names...)
	return removal, StorageError(err)
}
