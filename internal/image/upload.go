package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/storage"
)

// Upload is one picture that a client sends.
type Upload struct {
	Name       string // the client's name for the file
	Title      string
	Visibility Visibility // empty: that of the other pictures
	Content    io.Reader  // read to its end before the next picture is requested
}

// UploadOptions are for all pictures of an upload.
type UploadOptions struct {
	OwnerID    string     // empty if nobody is logged in
	Visibility Visibility // empty: Public
	Wait       bool       // decode the pictures before they are stored
	// Commit, if it is not nil, runs first in the transaction that stores the rows, under the rules of
	// database.InTx. If it fails, nothing is stored.
	Commit func(q *db.Queries, images []Image) error
}

// Upload stores all pictures that next returns until it returns io.EOF, or none of them.
//
// Refusals: InvalidInput if there is no picture at all, EmptyUpload, NotAnImage, ImageDamaged,
// TooManyPixels (these four with a detail that says which picture), UploadTooLarge, TooManyImages,
// ImageCountExceeded, ImageBytesExceeded, StorageFull, StorageUnavailable, ServerBusy. An error of next,
// of a picture's Content or of Commit is wrapped in the returned error.
func (s *Service) Upload(ctx context.Context, o UploadOptions, next func() (*Upload, error)) ([]Image, error) {
	batch := s.Store.NewBatch()
	defer func() { // also if next panics
		if err := batch.Discard(ctx); err != nil {
			s.log.ErrorContext(ctx, "remove the files of a refused upload", "error", err)
		}
	}()
	pictures, err := s.receiveAll(ctx, batch, o, next)
	if err != nil {
		return nil, err
	}
	images, err := s.store(ctx, batch, o, pictures)
	if err != nil {
		return nil, err
	}
	s.log.DebugContext(ctx, "stored pictures", "count", len(images), "first", images[0].Name, "user", o.OwnerID)
	return images, nil
}

// receiveAll cleans the pictures, into memory or into files that are not visible yet.
func (s *Service) receiveAll(ctx context.Context, batch *storage.Batch, o UploadOptions, next func() (*Upload, error)) ([]*picture, error) {
	var pictures []*picture
	left := s.MaxBytes
	for {
		upload, err := next()
		// Not errors.Is: package mime/multipart wraps io.EOF if a body is truncated.
		if err == io.EOF && len(pictures) > 0 {
			return pictures, nil
		}
		if err == io.EOF {
			return nil, apperr.New(apperr.InvalidInput)
		}
		if err != nil {
			return nil, fmt.Errorf("read upload: %w", err)
		}
		if len(pictures) == s.MaxFiles {
			return nil, apperr.New(apperr.TooManyImages)
		}
		p, err := s.receive(ctx, batch, upload, left)
		if err == nil && o.Wait {
			err = s.decode(ctx, p)
		}
		if err != nil {
			return nil, pictureError(len(pictures), err)
		}
		p.image.OwnerID, p.image.Visibility = o.OwnerID, visibilityOf(upload, o)
		left -= p.received
		pictures = append(pictures, p)
	}
}

func visibilityOf(upload *Upload, o UploadOptions) Visibility {
	if upload.Visibility != "" {
		return upload.Visibility
	}
	if o.Visibility != "" {
		return o.Visibility
	}
	return Public
}

// pictureError adds which picture of an upload was refused, counted from 0.
func pictureError(index int, err error) error {
	refusal := apperr.From(err)
	switch refusal.Code {
	case apperr.EmptyUpload, apperr.NotAnImage, apperr.ImageDamaged, apperr.TooManyPixels:
		detail := apperr.Detail{Field: fmt.Sprintf("/image/%d", index), Reason: refusal.Code.Text()}
		return apperr.Wrap(refusal.Code, err, detail)
	default:
		return fmt.Errorf("picture %d: %w", index, err)
	}
}

// errBlobGone means that a blob was swept just after it was found.
var errBlobGone = apperr.Later(apperr.ServerBusy, time.Second, errors.New("the blob was swept meanwhile"))

// findBlobs looks for bytes that are stored already, by whomever.
func (s *Service) findBlobs(ctx context.Context, pictures []*picture) error {
	for _, p := range pictures {
		known, ok, err := s.getBlob(ctx, p.image.SHA256)
		if err != nil {
			return err
		}
		if ok && known.state == stateFailed {
			return apperr.New(apperr.ImageDamaged)
		}
		p.known = ok
		if ok {
			p.blob = known
		}
	}
	return nil
}

// store writes the files of new blobs, and then all rows.
func (s *Service) store(ctx context.Context, batch *storage.Batch, o UploadOptions, pictures []*picture) ([]Image, error) {
	if err := s.findBlobs(ctx, pictures); err != nil {
		return nil, err
	}
	for _, p := range pictures {
		if !p.known {
			if err := p.write(batch); err != nil {
				return nil, err
			}
		} else if err := p.drop(ctx, batch); err != nil {
			return nil, err
		}
	}
	if err := batch.Place(ctx); err != nil {
		return nil, StorageError(err)
	}
	images, err := s.insert(ctx, batch, o, pictures)
	if err != nil {
		return nil, err
	}
	if err := batch.Keep(); err != nil {
		s.log.WarnContext(ctx, "remove the entries of a stored upload", "error", err)
	}
	s.checkSoon(pictures)
	return images, nil
}

// insert stores the rows of pictures whose files are in place.
func (s *Service) insert(ctx context.Context, batch *storage.Batch, o UploadOptions, pictures []*picture) ([]Image, error) {
	var images []Image
	err := s.Database.InTx(ctx, func(q *db.Queries) (err error) {
		images, err = s.insertRows(ctx, q, o, pictures)
		return err
	})
	// Names are never reused, so a duplicate is our own row from a commit that seemed to fail.
	if errors.Is(err, database.ErrCommitUnknown) || database.IsDuplicate(err) {
		return images, s.settle(ctx, batch, images, err)
	}
	if err != nil {
		return nil, err
	}
	for _, p := range pictures {
		if p.lost { // somebody else stored the same bytes at the same time
			if err := p.drop(ctx, batch); err != nil {
				s.log.WarnContext(ctx, "remove a file that is stored already", "error", err)
			}
		}
	}
	return images, nil
}

func (s *Service) insertRows(ctx context.Context, q *db.Queries, o UploadOptions, pictures []*picture) ([]Image, error) {
	images := s.imagesOf(pictures)
	if o.Commit != nil {
		if err := o.Commit(q, images); err != nil {
			return nil, fmt.Errorf("commit an upload: %w", err)
		}
	}
	if err := s.takeTurn(ctx, q, o.OwnerID, pictures); err != nil {
		return nil, err
	}
	for i, p := range pictures {
		if err := s.insertBlob(ctx, q, p); err != nil {
			return nil, fmt.Errorf("insert blob %s: %w", p.file, err)
		}
		if err := q.InsertImage(ctx, images[i].insertParams(s.notifyAt())); err != nil {
			return images, fmt.Errorf("insert image %s: %w", images[i].Name, err)
		}
	}
	return images, nil
}

// imagesOf are the images that show the blobs, some of which may be somebody else's too.
func (s *Service) imagesOf(pictures []*picture) []Image {
	images := make([]Image, len(pictures))
	for i, p := range pictures {
		image := p.image
		image.file, image.orientation, image.alpha = p.blob.file, p.blob.orientation, p.blob.alpha
		image.BlurHash, image.Color = p.blob.placeholder.BlurHash, p.blob.placeholder.Color
		image.Status = statusOf(p.blob.state, s.firstVerdict())
		images[i] = image
	}
	return images
}

// settle finds out the result of a commit whose answer was lost. If it was made, the sweep finds out
// which of the files it needs.
func (s *Service) settle(ctx context.Context, batch *storage.Batch, images []Image, lost error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if len(images) == 0 {
		batch.Leave()
		return lost
	}
	stored, err := s.nameIsTaken(ctx, images[0].Name)
	if err != nil {
		batch.Leave()
		return errors.Join(lost, err)
	}
	if !stored {
		return lost
	}
	batch.Leave()
	return nil
}

const settleTimeout = 10 * time.Second

// errFree makes a probe roll its transaction back.
var errFree = errors.New("the name is free")

// nameIsTaken reports whether there is an image with this name, or one that is being committed: MySQL
// may still be committing for a process that was killed. A read would miss such a row. An insert waits
// for it at the unique index, and is rolled back.
func (s *Service) nameIsTaken(ctx context.Context, name string) (bool, error) {
	probe := db.InsertImageParams{Name: name, Sha256: make([]byte, 32), CreatedAt: s.timestamp()}
	return s.probe(ctx, name, func(q *db.Queries) error {
		probe.ID = uuid.Must(uuid.NewV7()).String()
		return q.InsertImage(ctx, probe)
	})
}

func (s *Service) probe(ctx context.Context, name string, insert func(q *db.Queries) error) (bool, error) {
	err := s.Database.InTx(ctx, func(q *db.Queries) error {
		if err := insert(q); err != nil {
			return err
		}
		return errFree
	})
	switch {
	case errors.Is(err, errFree):
		return false, nil
	case database.IsDuplicate(err):
		return true, nil
	default:
		return false, fmt.Errorf("look for %s: %w", name, err)
	}
}
