package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/storage"
	"gatehouse/internal/trace"
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
			s.Logger.ErrorContext(ctx, "remove the files of a refused upload", "error", err)
		}
	}()
	pictures, err := s.receiveAll(ctx, batch, o, next)
	if err != nil {
		return nil, err
	}
	if err := batch.Place(ctx); err != nil {
		return nil, StorageError(err)
	}
	images, err := s.insert(ctx, batch, o, pictures)
	if err != nil {
		return nil, err
	}
	s.stored.Add(int64(len(images)))
	s.storedBytes.Add(sizeOf(pictures).Bytes)
	s.Logger.DebugContext(ctx, "stored pictures", "count", len(images), "first", images[0].Name, "user", o.OwnerID)
	return images, nil
}

// receiveAll cleans the pictures into files that are not visible yet.
func (s *Service) receiveAll(ctx context.Context, batch *storage.Batch, o UploadOptions, next func() (*Upload, error)) (_ []*picture, err error) {
	ctx, span := trace.Start(ctx, "receive pictures")
	defer func() { span.End(err) }()
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
		if err == nil {
			err = s.prepare(ctx, batch, p, pictures, o.Wait)
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

// prepare makes the file of a picture, unless somebody has stored its bytes already.
func (s *Service) prepare(ctx context.Context, batch *storage.Batch, p *picture, before []*picture, wait bool) error {
	if i := slices.IndexFunc(before, func(b *picture) bool { return b.own.hash == p.own.hash }); i >= 0 {
		p.twin = before[i]
	} else {
		known, err := getBlob(ctx, s.Database.Queries(), p.own.hash)
		if err != nil {
			return err
		}
		p.know(known)
	}
	if p.shown().state == stateFailed {
		return apperr.New(apperr.ImageDamaged)
	}
	if wait && p.shown().state == stateNew {
		if err := s.decode(ctx, p); err != nil {
			return err
		}
	}
	if p.isNew() {
		return p.write(batch)
	}
	return p.drop(ctx, batch)
}

// insertTries bound how often an upload finds that others store or delete the same bytes.
const insertTries = 10

// insert stores the rows of pictures whose files are in place, and decides what becomes of the files.
func (s *Service) insert(ctx context.Context, batch *storage.Batch, o UploadOptions, pictures []*picture) ([]Image, error) {
	var images []Image
	var err error = errBlobChanged
	for try := 0; try < insertTries && errors.Is(err, errBlobChanged); try++ {
		err = s.Database.InTx(ctx, func(q *db.Queries) (err error) {
			images, err = s.insertRows(ctx, q, o, pictures)
			return err
		})
	}
	// Names are never reused, so a duplicate is our own row from a commit that seemed to fail.
	if errors.Is(err, database.ErrCommitUnknown) || database.IsDuplicate(err) {
		return images, s.settle(ctx, batch, images, err)
	}
	if err != nil {
		return nil, err
	}
	s.keep(ctx, batch, pictures)
	s.checkSoon(pictures)
	return images, nil
}

func (s *Service) insertRows(ctx context.Context, q *db.Queries, o UploadOptions, pictures []*picture) ([]Image, error) {
	images := s.imagesOf(pictures)
	if o.Commit != nil {
		if err := o.Commit(q, images); err != nil {
			return nil, fmt.Errorf("commit an upload: %w", err)
		}
	}
	if err := s.TakeTurn(ctx, q, o.OwnerID); err != nil {
		return nil, err
	}
	if err := s.CheckQuota(ctx, q, o.OwnerID, sizeOf(pictures)); err != nil {
		return nil, err
	}
	for _, p := range inOrder(pictures) {
		if err := s.attach(ctx, q, p); err != nil {
			return nil, fmt.Errorf("attach blob %x: %w", p.own.hash, err)
		}
	}
	for _, image := range images {
		if err := q.InsertImage(ctx, image.insertParams(s.notifyAt())); err != nil {
			return images, fmt.Errorf("insert image %s: %w", image.Name, err)
		}
	}
	return images, nil
}

// inOrder sorts pictures by their hashes: who locks blobs in the same order never waits in a circle.
func inOrder(pictures []*picture) []*picture {
	return slices.SortedFunc(slices.Values(pictures), func(a, b *picture) int {
		return bytes.Compare(a.own.hash[:], b.own.hash[:])
	})
}

// imagesOf are the images that show the blobs, some of which may be somebody else's too.
func (s *Service) imagesOf(pictures []*picture) []Image {
	images := make([]Image, len(pictures))
	for i, p := range pictures {
		image, b := p.image, p.shown()
		image.file, image.orientation, image.alpha = b.file, b.orientation, b.alpha
		image.BlurHash, image.Color = b.placeholder.BlurHash, b.placeholder.Color
		image.Status = statusOf(b.state, s.firstVerdict())
		images[i] = image
	}
	return images
}

// keep keeps the files of new blobs, and drops those of blobs that somebody else stored at the same time.
func (s *Service) keep(ctx context.Context, batch *storage.Batch, pictures []*picture) {
	for _, p := range pictures {
		if p.isNew() {
			continue
		}
		if err := p.drop(ctx, batch); err != nil {
			s.Logger.WarnContext(ctx, "remove a file that is stored already", "error", err)
		}
	}
	if err := batch.Keep(); err != nil {
		s.Logger.WarnContext(ctx, "remove the entries of a stored upload", "error", err)
	}
}

// settle finds out the result of a commit whose answer was lost. If it was made, the sweep finds out
// which of the files it needs.
func (s *Service) settle(ctx context.Context, batch *storage.Batch, images []Image, lost error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if len(images) == 0 { // the duplicate is one of Commit's
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

// nameIsTaken reports whether there is an image with this name, or one that is being committed.
func (s *Service) nameIsTaken(ctx context.Context, name string) (bool, error) {
	probe := db.InsertImageParams{Name: name, Sha256: make([]byte, 32), CreatedAt: s.timestamp()}
	taken, err := s.Database.Taken(ctx, func(q *db.Queries) error {
		probe.ID = uuid.Must(uuid.NewV7()).String()
		return q.InsertImage(ctx, probe)
	})
	if err != nil {
		return false, fmt.Errorf("look for image %s: %w", name, err)
	}
	return taken, nil
}
