package image

import (
	"bytes"
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

// maxAdoptFailures are how many pictures in a row may fail before the storage or the database is taken to.
const maxAdoptFailures = 5

// Adopt makes blobs of the pictures that an older program stored: each under the name of its image, with
// its metadata. One that cannot be cleaned is encoded again, one that cannot be decoded either is
// withdrawn: its file stays until its owner deletes it, and nobody loads it. Adopt returns how many it
// treated, and may be called at the same time by several processes.
//
// If some are left, since the storage or the database fails, the error says how many: call it again some
// time later. With nothing left it costs one query. A picture whose file is missing is not left, but stays
// as it is.
//
// An older program that runs beside this one looks for pictures by their images' names, so it answers
// that those that were adopted do not exist. What it still stores is adopted by the next call. Only where
// its bytes were clean and somebody has them as a blob is there nothing to adopt: then its file stays
// behind, without a row.
func (s *Service) Adopt(ctx context.Context) (adopted int64, err error) {
	var a adoption
	defer func() {
		if a.withdrawn > 0 {
			s.Logger.WarnContext(ctx, "withdrew old pictures that cannot be decoded", "pictures", a.withdrawn)
		}
	}()
	for after := ""; ; {
		rows, err := s.Database.Queries().ListImagesWithoutBlob(ctx, db.ListImagesWithoutBlobParams{After: after, Limit: adoptedAtOnce})
		if err != nil {
			return a.adopted, fmt.Errorf("list images to adopt: %w", database.Refusal(err))
		}
		for _, row := range rows {
			s.adoptNext(ctx, row, &a)
			after = row.ID
		}
		if len(rows) < adoptedAtOnce {
			return a.adopted, a.err()
		}
	}
}

// adoption is what became of old pictures.
type adoption struct {
	adopted   int64 // with those that were withdrawn
	withdrawn int64
	left      int64
	failures  int   // in a row
	failed    error // the last one
}

func (a *adoption) err() error {
	if a.left == 0 {
		return nil
	}
	return fmt.Errorf("%d old pictures are left: %w", a.left, a.failed)
}

// adoptNext adopts one picture more, or only counts it after too many failures.
func (s *Service) adoptNext(ctx context.Context, row db.Image, a *adoption) {
	if a.failures >= maxAdoptFailures {
		a.left++
		return
	}
	state, err := s.adopt(ctx, row)
	if err != nil {
		a.left++
		a.failures++
		a.failed = fmt.Errorf("adopt image %s: %w", row.Name, err)
		return
	}
	a.failures = 0
	if state != "" {
		a.adopted++
	}
	if state == stateFailed {
		a.withdrawn++
	}
}

// adopt makes a blob of the bytes of an image and of all others with the same ones, and returns its state.
// It does nothing where another process was faster, or there is no file: the state is empty then.
func (s *Service) adopt(ctx context.Context, row db.Image) (state string, err error) {
	batch := s.Store.NewBatch()
	defer func() {
		if err := batch.Discard(ctx); err != nil {
			s.Logger.ErrorContext(ctx, "remove the file of a picture that was not adopted", "name", row.Name, "error", err)
		}
	}()
	p, err := s.receiveAgain(ctx, batch, row)
	if errors.Is(err, fs.ErrNotExist) {
		s.Logger.ErrorContext(ctx, "the file of an old picture is missing", "name", row.Name)
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if err := batch.Place(ctx); err != nil {
		return "", StorageError(err)
	}
	replaced, err := s.replace(ctx, batch, row, p)
	if err != nil || !replaced {
		return "", err
	}
	return p.shown().state, nil
}

// receiveAgain cleans the file of an image as an upload. One that cannot be cleaned is encoded again, one
// that cannot be decoded is withdrawn.
func (s *Service) receiveAgain(ctx context.Context, batch *storage.Batch, row db.Image) (*picture, error) {
	p, err := s.receiveOld(ctx, batch, row)
	if isHopeless(err) {
		p, err = s.encodeAgain(ctx, batch, row, p)
	}
	if isHopeless(err) {
		s.Logger.WarnContext(ctx, "withdraw an old picture that cannot be decoded", "name", row.Name, "error", err)
		return withdrawn(row), p.drop(ctx, batch)
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

// isHopeless reports whether a picture will be refused each time.
func isHopeless(err error) bool {
	return isBadPicture(err) || apperr.Is(err, apperr.EmptyUpload) || errors.Is(err, errPanic)
}

// receiveOld cleans the file of an image.
func (s *Service) receiveOld(ctx context.Context, batch *storage.Batch, row db.Image) (*picture, error) {
	file, err := s.Store.Open(ctx, row.Name)
	if err != nil {
		return nil, err
	}
	defer file.Content.Close()
	return s.receive(ctx, batch, &Upload{Content: file.Content}, file.Size)
}

// adoptedQuality is that of JPEGs which are encoded again: nobody should see it.
const adoptedQuality = 95

// encodeAgain makes a clean picture of one that could not be cleaned, if it can be decoded. One that moved
// stands still then.
func (s *Service) encodeAgain(ctx context.Context, batch *storage.Batch, row db.Image, refused *picture) (*picture, error) {
	if err := refused.drop(ctx, batch); err != nil {
		return refused, err
	}
	b := refused.own
	b.file, b.width, b.height = row.Name, int(row.Width), int(row.Height)
	if _, err := s.placeholderOf(ctx, b, overdueWait); err != nil { // which heeds the limits
		return refused, err
	}
	v := codec.Variant{Format: b.format(), Quality: adoptedQuality}
	if v.Format == codec.GIF { // is not written
		v.Format = codec.PNG
	}
	var made bytes.Buffer
	if err := s.renderBlob(ctx, &made, b, v, overdueWait); err != nil {
		return refused, err
	}
	s.Logger.InfoContext(ctx, "encoded an old picture again that cannot be cleaned", "name", row.Name)
	return s.receive(ctx, batch, &Upload{Content: &made}, int64(made.Len()))
}

// withdrawn is a picture that nobody loads. Its file remains that of its image.
func withdrawn(row db.Image) *picture {
	return &picture{own: blob{
		hash: [32]byte(row.Sha256), file: row.Name, bytes: row.Bytes, width: int(row.Width), height: int(row.Height),
		contentType: row.ContentType, orientation: 1, alpha: row.ContentType != codec.JPEG.ContentType(), state: stateFailed,
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
		NewSha256: b.hash[:], Bytes: b.bytes, Width: int64(b.width), Height: int64(b.height), ContentType: b.contentType,
		OldSha256: row.Sha256,
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
