package upload

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

// PieceSuffix ends the names of the files that are pieces.
const PieceSuffix = ".part"

// newName returns an unguessable name of a file.
func newName() string {
	return strings.ToLower(rand.Text())
}

// piece is one that has come. Its file is in a batch, and not visible yet.
type piece struct {
	db.UploadPiece
	file *os.File
}

// errMoved means that a session is not where it was when it was read.
var errMoved = errors.New("the upload session has moved on")

// Append takes a piece that begins at an offset, and returns the session as it is then. If the body
// fails, that is its end: what has come is kept, unless there is a checksum. The last piece stores the
// picture. What was received completely is finished even if ctx ends.
//
// A piece that still comes to the session on this node ends first, as if its body failed: that is
// interrupted if it has a method Interrupt, by which its Read fails, also one that waits.
//
// The refusals are UploadSessionNotFound, OffsetMismatch, ChecksumMismatch, UploadTooLarge if there is
// more than was announced, InvalidInput if a session has too many pieces and this is not its last,
// StorageFull, StorageUnavailable and ServerBusy; of the last piece also those of a picture. Nothing of
// the piece is kept then. EmptyUpload, NotAnImage, ImageDamaged, TooManyPixels
// and UploadTooLarge of a picture end the session.
func (s *Service) Append(ctx context.Context, ownerID, id string, offset int64, sum *Checksum, body io.Reader) (Session, error) {
	defer s.turns.take(ownerID+id, body)() // a stranger interrupts nobody
	row, err := s.find(ctx, ownerID, id, inPieces)
	if err != nil {
		return Session{}, err
	}
	if row.Received != offset {
		return Session{}, apperr.New(apperr.OffsetMismatch)
	}
	if row.ImageID != nil { // complete: there is nothing more to come
		return sessionFromRow(row), noMore(body)
	}
	batch := s.Store.NewBatch()
	defer s.discard(ctx, batch)
	p, err := create(batch, row)
	if err != nil {
		return Session{}, err
	}
	defer p.file.Close()
	if err := p.receive(body, row.Bytes-row.Received, sum); err != nil {
		return Session{}, fmt.Errorf("receive a piece of upload session %s: %w", id, err)
	}
	return s.take(ctx, batch, row, p)
}

// noMore returns UploadTooLarge if there is anything in a body.
func noMore(body io.Reader) error {
	if n, _ := io.ReadFull(body, make([]byte, 1)); n > 0 { // a body that fails has no more either
		return apperr.New(apperr.UploadTooLarge)
	}
	return nil
}

// finishTime is how long what was received may take to be stored when its client is gone.
const finishTime = 5 * time.Minute

func (s *Service) take(ctx context.Context, batch *storage.Batch, row db.UploadSession, p *piece) (Session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	switch p.Bytes {
	case 0:
		return sessionFromRow(row), nil
	case row.Bytes - row.Received:
		return s.complete(ctx, row, p)
	default:
		return s.keep(ctx, batch, row, p)
	}
}

func (s *Service) discard(ctx context.Context, batch *storage.Batch) {
	if err := batch.Discard(ctx); err != nil {
		s.Logger.ErrorContext(ctx, "remove the file of a piece", "error", err)
	}
}

// create creates the file of the next piece of a session.
func create(batch *storage.Batch, row db.UploadSession) (*piece, error) {
	p := &piece{UploadPiece: db.UploadPiece{SessionID: row.ID, Position: row.Received, File: newName() + PieceSuffix}}
	var err error
	if p.file, err = batch.Create(p.File); err != nil {
		return nil, image.StorageError(fmt.Errorf("create piece: %w", err))
	}
	return p, nil
}

// receive writes a body to the file: at most as many bytes as are left of the picture.
func (p *piece) receive(body io.Reader, left int64, sum *Checksum) error {
	source := &untilCut{reader: body}
	var to io.Writer = p.file
	var sumUp hash.Hash
	if sum != nil {
		sumUp = sum.newHash()
		to = io.MultiWriter(p.file, sumUp)
	}
	var err error
	p.Bytes, err = io.Copy(to, io.LimitReader(source, left+1))
	switch {
	case err != nil:
		return image.StorageError(fmt.Errorf("write piece: %w", err))
	case p.Bytes > left:
		return apperr.New(apperr.UploadTooLarge)
	case sum != nil && (source.err != nil || !bytes.Equal(sumUp.Sum(nil), sum.sum)):
		return apperr.Wrap(apperr.ChecksumMismatch, source.err)
	}
	return nil
}

// untilCut ends where its reader fails, as if that were its end.
type untilCut struct {
	reader io.Reader
	err    error
}

func (u *untilCut) Read(p []byte) (int, error) {
	n, err := u.reader.Read(p)
	if err != nil && err != io.EOF {
		u.err, err = err, io.EOF
	}
	return n, err
}

// maxPieces bounds the rows of a session, and the files that are opened for its picture. The last piece
// is not among them.
const maxPieces = 1000

var errTooManyPieces = apperr.New(apperr.InvalidInput, apperr.Detail{Field: "", Reason: apperr.Text{
	Chinese: "分片过小过多，请将剩余内容一次发送", English: "has come in too many small pieces: please send all that is left in one",
}})

// checkPieces returns errTooManyPieces if a session may have no more of them.
func (s *Service) checkPieces(ctx context.Context, sessionID string) error {
	pieces, err := s.Database.Queries().CountPiecesOfSession(ctx, sessionID)
	if err != nil {
		return fmt.Errorf("count the pieces of upload session %s: %w", sessionID, database.Refusal(err))
	}
	if pieces >= maxPieces {
		return errTooManyPieces
	}
	return nil
}

// keep stores a piece that is not the last.
func (s *Service) keep(ctx context.Context, batch *storage.Batch, row db.UploadSession, p *piece) (Session, error) {
	if err := s.checkPieces(ctx, row.ID); err != nil {
		return Session{}, err
	}
	err := p.file.Close()
	if err == nil {
		err = batch.Place(ctx)
	}
	if err != nil {
		return Session{}, image.StorageError(fmt.Errorf("place piece %s: %w", p.File, err))
	}
	before := row
	row.Received, row.ExpiresAt = row.Received+p.Bytes, s.extended(row)
	if err := s.advance(ctx, batch, row, p); err != nil {
		return Session{}, s.refusal(ctx, before, err)
	}
	if err := batch.Keep(); err != nil {
		s.Logger.WarnContext(ctx, "remove the entry of a piece", "error", err)
	}
	s.Logger.DebugContext(ctx, "kept a piece", "session", row.ID, "received", row.Received, "bytes", row.Bytes)
	return sessionFromRow(row), nil
}

// advance stores the row of a piece that is in place, and the session as it is with it. The error is
// errMoved if the session is no longer where the piece begins.
func (s *Service) advance(ctx context.Context, batch *storage.Batch, row db.UploadSession, p *piece) error {
	err := s.Database.InTx(ctx, func(q *db.Queries) error {
		advanced, err := q.AdvanceUploadSession(ctx, db.AdvanceUploadSessionParams{
			Piece: p.Bytes, ExpiresAt: row.ExpiresAt, ID: p.SessionID, Position: p.Position,
		})
		if err != nil {
			return fmt.Errorf("advance upload session %s: %w", row.ID, err)
		}
		if advanced == 0 {
			return errMoved
		}
		if err := q.InsertUploadPiece(ctx, db.InsertUploadPieceParams(p.UploadPiece)); err != nil {
			return fmt.Errorf("insert piece %s: %w", p.File, err)
		}
		return nil
	})
	if errors.Is(err, database.ErrCommitUnknown) {
		return s.settle(ctx, batch, p.File, err)
	}
	return err
}

// settle finds out the result of a commit whose answer was lost.
func (s *Service) settle(ctx context.Context, batch *storage.Batch, file string, lost error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	stored, err := s.Stored(ctx, file)
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

// Stored reports whether there is a row of the piece with this file, or one that is being committed.
func (s *Service) Stored(ctx context.Context, file string) (bool, error) {
	stored, err := s.Database.Taken(ctx, func(q *db.Queries) error {
		return q.InsertUploadPiece(ctx, db.InsertUploadPieceParams{SessionID: uuid.NewString(), File: file})
	})
	if err != nil {
		return false, fmt.Errorf("look for piece %s: %w", file, err)
	}
	return stored, nil
}
