package upload

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/image"
)

// filesAtOnce is how many rows an audit reads at once.
const filesAtOnce = 500

// StoredFiles returns the files of all pieces, as the method of image does.
func (s *Service) StoredFiles(ctx context.Context) iter.Seq2[image.StoredFile, error] {
	return func(yield func(image.StoredFile, error) bool) {
		for row, err := range s.allPieces(ctx) {
			if !yield(image.StoredFile{Name: row.File, Bytes: row.Bytes}, err) || err != nil {
				return
			}
		}
	}
}

func (s *Service) allPieces(ctx context.Context) iter.Seq2[db.ListStoredPiecesRow, error] {
	return database.Pages(filesAtOnce, func(last *db.ListStoredPiecesRow) ([]db.ListStoredPiecesRow, error) {
		p := db.ListStoredPiecesParams{Limit: filesAtOnce}
		if last != nil {
			p.After = last.File
		}
		rows, err := s.Database.Queries().ListStoredPieces(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("list the pieces: %w", database.Refusal(err))
		}
		return rows, nil
	})
}

// CountStoredFiles returns about how many files StoredFiles returns.
func (s *Service) CountStoredFiles(ctx context.Context) (int64, error) {
	pieces, err := s.Database.Queries().CountUploadPieces(ctx)
	if err != nil {
		return 0, fmt.Errorf("count the pieces: %w", database.Refusal(err))
	}
	return pieces, nil
}

// WithRows returns which of the files have a row of a piece. Those whose row is being committed may
// lack: Stored waits for them.
func (s *Service) WithRows(ctx context.Context, files []string) ([]string, error) {
	pieces, err := s.Database.Queries().FindPieceFiles(ctx, files)
	if err != nil {
		return nil, fmt.Errorf("find pieces by their files: %w", database.Refusal(err))
	}
	return pieces, nil
}

// SessionOf returns the session of the piece with a file, and its owner. Both are empty if there is none.
func (s *Service) SessionOf(ctx context.Context, file string) (id, ownerID string, err error) {
	row, err := s.Database.Queries().GetSessionOfPiece(ctx, file)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", "", fmt.Errorf("get the session of piece %s: %w", file, database.Refusal(err))
	}
	return row.ID, row.OwnerID, nil
}
