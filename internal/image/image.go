// Package image owns pictures: which files are accepted, the names they are stored under, and the
// rows that describe them.
//
// A picture is recognized by its bytes. While it is streamed to the disk, it is hashed and its
// structure is checked from the header to the end, but its pixels are not decoded: that costs a
// hundred times as much. So a truncated picture is refused, and one with garbage for pixels is not.
//
// Data after the end of a picture is kept: phones append more pictures and short films there.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/storage"
)

// Image describes a stored picture.
type Image struct {
	ID           string // UUIDv7
	OwnerID      string // empty if nobody was logged in
	Name         string // the served file: unguessable, with the extension of its real type
	OriginalName string // the client's name for it, for display only
	Bytes        int64
	Width        int // in pixels, as encoded: the EXIF data of a JPEG may ask to rotate it
	Height       int
	ContentType  string
	SHA256       [32]byte
	CreatedAt    time.Time
}

// Upload is one picture that a client sends.
type Upload struct {
	Name    string    // the client's name for the file
	Content io.Reader // read to its end before the next picture is requested
}

// Commit adds to the transaction that stores the rows of an upload.
type Commit = func(q *db.Queries, images []Image) error

// Options of a Service. All are required.
type Options struct {
	Database *database.Database
	Disk     *storage.Disk
	Logger   *slog.Logger
	Now      func() time.Time
	MaxFiles int   // most pictures in one upload
	MaxBytes int64 // most bytes of all pictures of one upload
}

// Service stores and opens pictures. It is safe for concurrent use.
type Service struct {
	database *database.Database
	disk     *storage.Disk
	log      *slog.Logger
	now      func() time.Time
	maxFiles int
	maxBytes int64
}

// New returns a service.
func New(o Options) *Service {
	return &Service{
		database: o.Database,
		disk:     o.Disk,
		log:      o.Logger,
		now:      o.Now,
		maxFiles: o.MaxFiles,
		maxBytes: o.MaxBytes,
	}
}

// Upload stores all pictures that next returns until it returns io.EOF, or none of them.
//
// If commit is not nil, it runs first in the transaction that stores the rows, under the rules of
// database.InTx. If it fails, nothing is stored.
//
// Refusals: InvalidInput if there is no picture at all, EmptyUpload, NotAnImage, ImageDamaged,
// TooManyPixels (these four with a detail that says which picture), UploadTooLarge, TooManyImages,
// StorageFull, ServerBusy. An error of next, of a picture's Content or of commit is wrapped in the
// returned error.
func (s *Service) Upload(ctx context.Context, ownerID string, next func() (*Upload, error), commit Commit) ([]Image, error) {
	batch := s.disk.NewBatch()
	defer func() { // also if next panics
		if err := batch.Discard(); err != nil {
			s.log.ErrorContext(ctx, "remove the files of a refused upload", "error", err)
		}
	}()
	images, err := s.receiveAll(batch, ownerID, next)
	if err != nil {
		return nil, err
	}
	if err := batch.Place(); err != nil {
		return nil, diskError(err)
	}
	if err := s.insert(ctx, batch, images, commit); err != nil {
		return nil, err
	}
	if err := batch.Keep(); err != nil {
		s.log.WarnContext(ctx, "remove the entries of a stored upload", "error", err)
	}
	s.log.DebugContext(ctx, "stored pictures", "count", len(images), "first", images[0].Name, "user", ownerID)
	return images, nil
}

// receiveAll writes the pictures to files that are not visible yet.
func (s *Service) receiveAll(batch *storage.Batch, ownerID string, next func() (*Upload, error)) ([]Image, error) {
	var images []Image
	left := s.maxBytes
	for {
		upload, err := next()
		// Not errors.Is: package mime/multipart wraps io.EOF if a body is truncated.
		if err == io.EOF && len(images) > 0 {
			return images, nil
		}
		if err == io.EOF {
			return nil, apperr.New(apperr.InvalidInput)
		}
		if err != nil {
			return nil, fmt.Errorf("read upload: %w", err)
		}
		if len(images) == s.maxFiles {
			return nil, apperr.New(apperr.TooManyImages)
		}
		image, err := s.receive(batch, upload, left)
		if err != nil {
			return nil, pictureError(len(images), err)
		}
		image.OwnerID = ownerID
		left -= image.Bytes
		images = append(images, image)
	}
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

// insert stores the rows of pictures whose files are in place.
func (s *Service) insert(ctx context.Context, batch *storage.Batch, images []Image, commit Commit) error {
	err := s.insertRows(ctx, images, commit)
	// Names are never reused, so a duplicate is our own row from a commit that seemed to fail.
	if errors.Is(err, database.ErrCommitUnknown) || database.IsDuplicate(err) {
		return s.settle(ctx, batch, images, err)
	}
	return err
}

// insertRows needs no transaction for a single row and nothing else.
func (s *Service) insertRows(ctx context.Context, images []Image, commit Commit) error {
	if len(images) == 1 && commit == nil {
		return s.database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
			return insertRow(ctx, q, images[0])
		})
	}
	return s.database.InTx(ctx, func(q *db.Queries) error {
		if commit != nil {
			if err := commit(q, images); err != nil {
				return fmt.Errorf("commit an upload: %w", err)
			}
		}
		for _, image := range images {
			if err := insertRow(ctx, q, image); err != nil {
				return err
			}
		}
		return nil
	})
}

func insertRow(ctx context.Context, q *db.Queries, image Image) error {
	if err := q.InsertImage(ctx, paramsFromImage(image)); err != nil {
		return fmt.Errorf("insert image %s: %w", image.Name, err)
	}
	return nil
}

// settle finds out the result of a commit whose answer was lost.
func (s *Service) settle(ctx context.Context, batch *storage.Batch, images []Image, lost error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	stored, err := s.stored(ctx, images[0].Name)
	if err != nil {
		batch.Leave()
		return errors.Join(lost, err)
	}
	if !stored {
		return lost
	}
	return nil
}

const settleTimeout = 10 * time.Second

// Sweep decides the uploads and deletions that were under way when their processes were killed, and
// those of this process whose result is unknown. It is called at the start and then regularly, and may
// be called at any time. What it cannot decide, it leaves to the next sweep.
func (s *Service) Sweep(ctx context.Context) error {
	return s.disk.Sweep(ctx, func(ctx context.Context, name string) (bool, error) {
		stored, err := s.stored(ctx, name)
		if err == nil {
			s.log.InfoContext(ctx, "swept an interrupted upload or deletion", "name", name, "kept", stored)
		}
		return stored, err
	})
}

// errFree makes stored roll its transaction back.
var errFree = errors.New("the name is free")

// stored reports whether there is a row with this name, or one that is being committed: MySQL may
// still be committing for a process that was killed. A read would miss such a row. An insert waits
// for it at the unique index, and is rolled back.
func (s *Service) stored(ctx context.Context, name string) (bool, error) {
	probe := db.InsertImageParams{Name: name, Sha256: make([]byte, 32), CreatedAt: s.timestamp()}
	err := s.database.InTx(ctx, func(q *db.Queries) error {
		probe.ID = uuid.Must(uuid.NewV7()).String()
		if err := q.InsertImage(ctx, probe); err != nil {
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
		return false, fmt.Errorf("look for image %s: %w", name, err)
	}
}

// timestamp is the current time as both databases store it.
func (s *Service) timestamp() time.Time {
	return database.Timestamp(s.now())
}

func paramsFromImage(image Image) db.InsertImageParams {
	return db.InsertImageParams{
		ID:           image.ID,
		OwnerID:      image.OwnerID,
		Name:         image.Name,
		OriginalName: image.OriginalName,
		Bytes:        image.Bytes,
		Width:        int64(image.Width),
		Height:       int64(image.Height),
		ContentType:  image.ContentType,
		Sha256:       image.SHA256[:],
		CreatedAt:    image.CreatedAt,
	}
}

func imageFromRow(row db.Image) Image {
	return Image{
		ID:           row.ID,
		OwnerID:      row.OwnerID,
		Name:         row.Name,
		OriginalName: row.OriginalName,
		Bytes:        row.Bytes,
		Width:        int(row.Width),
		Height:       int(row.Height),
		ContentType:  row.ContentType,
		SHA256:       [32]byte(row.Sha256),
		CreatedAt:    row.CreatedAt,
	}
}

func diskError(err error) error {
	if storage.IsFull(err) {
		return apperr.Wrap(apperr.StorageFull, err)
	}
	return err
}
