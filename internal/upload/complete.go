package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

// complete stores the picture of a session whose last piece has come.
func (s *Service) complete(ctx context.Context, row db.UploadSession, last *piece) (Session, error) {
	stored, err := s.pieces(ctx, row.ID)
	if err == nil && total(stored) != row.Received { // they are being removed
		err = errMoved
	}
	if err != nil {
		return Session{}, s.refusal(ctx, row, err)
	}
	if _, err := last.file.Seek(0, io.SeekStart); err != nil {
		return Session{}, image.StorageError(fmt.Errorf("read piece %s: %w", last.File, err))
	}
	before := &content{ctx: ctx, store: s.Store, pieces: stored}
	defer before.Close()
	row.ExpiresAt = s.expiry()
	picture, err := s.storePicture(ctx, row, io.MultiReader(before, last.file))
	if err != nil {
		return Session{}, s.refusal(ctx, row, err)
	}
	if err := s.removePieces(ctx, stored, func(q *db.Queries) error { return q.DeleteUploadPieces(ctx, row.ID) }); err != nil {
		s.Logger.WarnContext(ctx, "remove the pieces of a complete upload", "session", row.ID, "error", err) // they go with it
	}
	row.Received, row.ImageID = row.Bytes, &picture.ID
	return sessionFromRow(row), nil
}

// storePicture stores the picture and the end of its session together. The error is errMoved if the
// session is no longer as its row says.
func (s *Service) storePicture(ctx context.Context, row db.UploadSession, content io.Reader) (image.Image, error) {
	upload := &image.Upload{
		Name: row.OriginalName, Title: row.Title, Visibility: image.Visibility(row.Visibility), Content: content,
	}
	next := func() (*image.Upload, error) {
		if upload == nil {
			return nil, io.EOF
		}
		only := upload
		upload = nil
		return only, nil
	}
	commit := func(q *db.Queries, images []image.Image) error {
		completed, err := q.CompleteUploadSession(ctx, db.CompleteUploadSessionParams{
			ImageID: &images[0].ID, ExpiresAt: row.ExpiresAt, ID: row.ID, Position: row.Received,
		})
		if err == nil && completed == 0 {
			err = errMoved
		}
		return err
	}
	stored, err := s.Images.Upload(ctx, image.UploadOptions{OwnerID: row.OwnerID, Commit: commit}, next)
	if err != nil {
		return image.Image{}, fmt.Errorf("store the picture of upload session %s: %w", row.ID, err)
	}
	return stored[0], nil
}

// refusal turns what went wrong with a session into what its client is told. A picture that no further
// try can save ends the session, and so does a piece that is lost.
func (s *Service) refusal(ctx context.Context, row db.UploadSession, err error) error {
	switch {
	case errors.Is(err, errMoved):
		return s.moved(ctx, row)
	case errors.Is(err, errLost):
		s.Logger.ErrorContext(ctx, "a piece of an upload is lost", "session", row.ID, "error", err)
		s.abandon(ctx, row)
		return s.moved(ctx, row)
	case apperr.Is(err, apperr.EmptyUpload, apperr.NotAnImage, apperr.ImageDamaged, apperr.TooManyPixels, apperr.UploadTooLarge):
		s.abandon(ctx, row)
	}
	return err
}

// moved says where a session is that is not where it was.
func (s *Service) moved(ctx context.Context, row db.UploadSession) error {
	if _, err := s.find(ctx, row.OwnerID, row.ID, row.Kind); err != nil {
		return err
	}
	return apperr.New(apperr.OffsetMismatch)
}

// abandon removes a session, unless it has gone on meanwhile.
func (s *Service) abandon(ctx context.Context, row db.UploadSession) {
	if err := s.remove(ctx, row); err != nil && !errors.Is(err, errMoved) {
		s.Logger.WarnContext(ctx, "remove an upload that failed", "session", row.ID, "error", err) // it expires
	}
}

func (s *Service) pieces(ctx context.Context, sessionID string) ([]db.UploadPiece, error) {
	pieces, err := s.Database.Queries().ListUploadPieces(ctx, sessionID)
	if err != nil {
		return nil, fmt.Errorf("list the pieces of upload session %s: %w", sessionID, database.Refusal(err))
	}
	return pieces, nil
}

// total is how many bytes pieces have together.
func total(pieces []db.UploadPiece) (bytes int64) {
	for _, piece := range pieces {
		bytes += piece.Bytes
	}
	return bytes
}

// errLost means that a stored piece has no file any more, or not all of it.
var errLost = errors.New("the piece is lost")

// content reads pieces one after another. Each is opened when it is its turn, until ctx ends.
type content struct {
	ctx    context.Context
	store  *storage.Store
	pieces []db.UploadPiece // that are not open yet
	open   io.ReadCloser    // nil between pieces
}

func (c *content) Read(p []byte) (int, error) {
	if c.open == nil {
		if len(c.pieces) == 0 {
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.open.Read(p)
	if err == io.EOF {
		err = c.Close()
	}
	if err != nil {
		err = image.StorageError(fmt.Errorf("read a piece: %w", err))
	}
	return n, err
}

func (c *content) next() error {
	piece := c.pieces[0]
	c.pieces = c.pieces[1:]
	file, err := c.store.Open(c.ctx, piece.File)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", errLost, piece.File)
	}
	if err != nil {
		return image.StorageError(fmt.Errorf("open piece %s: %w", piece.File, err))
	}
	c.open = file.Content
	if file.Size != piece.Bytes {
		return fmt.Errorf("%w: %s has %d bytes of %d", errLost, piece.File, file.Size, piece.Bytes)
	}
	return nil
}

// Close closes the piece that is open.
func (c *content) Close() error {
	if c.open == nil {
		return nil
	}
	err := c.open.Close()
	c.open = nil
	return err
}
