package upload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/image"
)

// Cancel removes an upload in pieces, with what has come of it. A picture that is complete stays. The
// refusals are UploadSessionNotFound, StorageFull and ServerBusy.
func (s *Service) Cancel(ctx context.Context, ownerID, id string) error {
	for {
		row, err := s.find(ctx, ownerID, id, inPieces)
		if err != nil {
			return err
		}
		if err := s.remove(ctx, row); !errors.Is(err, errMoved) { // by a piece that came meanwhile
			return err
		}
	}
}

// removedAtOnce bounds how many sessions are read at once.
const removedAtOnce = 100

// DeleteExpired removes the sessions that have expired, and returns how many; and what came past the
// server when its session was gone. It may be called again after a failure, and at the same time by
// several processes.
func (s *Service) DeleteExpired(ctx context.Context) (int64, error) {
	now := s.timestamp()
	removed, err := s.removeAll(ctx, func() ([]db.UploadSession, error) {
		rows, err := s.Database.Queries().ListExpiredUploadSessions(ctx, db.ListExpiredUploadSessionsParams{Now: now, Limit: removedAtOnce})
		if err != nil {
			return nil, fmt.Errorf("list the expired uploads: %w", database.Refusal(err))
		}
		return rows, nil
	})
	return removed, errors.Join(err, s.removeForgotten(ctx, now))
}

// removeForgotten removes what is in S3 longer than a session of it can last: a form may be posted
// again after its session ended with a picture that was refused.
func (s *Service) removeForgotten(ctx context.Context, now time.Time) error {
	for uploaded, err := range s.Store.WalkDirect(ctx) {
		if err == nil && now.Sub(uploaded.ModTime) > s.Lifetime+formLifetime {
			err = s.Store.RemoveDirect(ctx, uploaded.Name)
		}
		if err != nil {
			return image.StorageError(fmt.Errorf("remove what was uploaded without a session: %w", err))
		}
	}
	return nil
}

// DeleteAll removes all sessions of an owner, as DeleteExpired does.
func (s *Service) DeleteAll(ctx context.Context, ownerID string) error {
	_, err := s.removeAll(ctx, func() ([]db.UploadSession, error) {
		rows, err := s.Database.Queries().ListUploadSessionsOfOwner(ctx, db.ListUploadSessionsOfOwnerParams{OwnerID: ownerID, Limit: removedAtOnce})
		if err != nil {
			return nil, fmt.Errorf("list the uploads of user %s: %w", ownerID, database.Refusal(err))
		}
		return rows, nil
	})
	return err
}

// removeAll removes what list returns until that is nothing. It does not list again what it failed to remove.
func (s *Service) removeAll(ctx context.Context, list func() ([]db.UploadSession, error)) (removed int64, err error) {
	for {
		rows, failed := list()
		for _, row := range rows {
			switch err := s.remove(ctx, row); {
			case err == nil:
				removed++
			case !errors.Is(err, errMoved): // it went on, or another process removed it
				failed = errors.Join(failed, err)
			}
		}
		if failed != nil || len(rows) == 0 {
			return removed, failed
		}
	}
}

// remove removes a session with its pieces, and what was uploaded past the server. The error is errMoved
// if the session is not as its row says, and then it stays.
func (s *Service) remove(ctx context.Context, row db.UploadSession) error {
	if row.Kind == direct {
		if err := s.removeDirect(ctx, row); err != nil {
			return err
		}
	}
	pieces, err := s.pieces(ctx, row.ID)
	if err != nil {
		return err
	}
	return s.removePieces(ctx, pieces, func(q *db.Queries) error {
		// A session that has not moved has no more pieces than these.
		removed, err := q.DeleteUploadSession(ctx, db.DeleteUploadSessionParams{ID: row.ID, Position: row.Received})
		if err == nil && removed == 0 {
			err = errMoved
		}
		if err != nil {
			return fmt.Errorf("delete upload session %s: %w", row.ID, err)
		}
		return q.DeleteUploadPieces(ctx, row.ID)
	})
}

// removePieces removes the files of pieces together with their rows.
func (s *Service) removePieces(ctx context.Context, pieces []db.UploadPiece, deleteRows func(q *db.Queries) error) error {
	files := make([]string, len(pieces))
	for i, piece := range pieces {
		files[i] = piece.File
	}
	removal, err := s.Store.Mark(files...)
	if err != nil {
		return image.StorageError(err)
	}
	stored := func(context.Context, string) (bool, error) { return false, nil }
	err = s.Database.InTx(ctx, deleteRows)
	if err != nil {
		stored = s.Stored
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := removal.Finish(ctx, stored); err != nil {
		s.Logger.WarnContext(ctx, "remove pieces; the next sweep will", "error", err)
	}
	return err
}
