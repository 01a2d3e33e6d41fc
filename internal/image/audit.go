package image

import (
	"context"
	"fmt"
	"iter"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// StoredFile is a file that must be in the storage, because it has a row.
type StoredFile struct {
	Name   string
	Bytes  int64
	SHA256 []byte // of its bytes; empty where nobody took it
}

// filesAtOnce is how many rows an audit reads at once.
const filesAtOnce = 500

// StoredFiles returns the files of all pictures whose rows were made since then, while they come and go:
// those whose rows stay come for sure. The last pair has an error if there is one.
//
// The pictures of an older program come first: if they are adopted meanwhile, they come again.
func (s *Service) StoredFiles(ctx context.Context, since time.Time) iter.Seq2[StoredFile, error] {
	since = database.Timestamp(since)
	return func(yield func(StoredFile, error) bool) {
		for row, err := range s.unadopted(ctx, since) {
			if !yield(StoredFile{Name: row.Name, Bytes: row.Bytes, SHA256: row.Sha256}, err) || err != nil {
				return
			}
		}
		for row, err := range s.blobs(ctx, since) {
			if !yield(StoredFile{Name: row.File, Bytes: row.Bytes, SHA256: row.Hash}, err) || err != nil {
				return
			}
		}
	}
}

func (s *Service) unadopted(ctx context.Context, since time.Time) iter.Seq2[db.ListUnadoptedImagesRow, error] {
	return database.Pages(filesAtOnce, func(last *db.ListUnadoptedImagesRow) ([]db.ListUnadoptedImagesRow, error) {
		p := db.ListUnadoptedImagesParams{Since: since, Limit: filesAtOnce}
		if last != nil {
			p.After = last.ID
		}
		rows, err := s.Database.Queries().ListUnadoptedImages(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("list the images without a blob: %w", database.Refusal(err))
		}
		return rows, nil
	})
}

func (s *Service) blobs(ctx context.Context, since time.Time) iter.Seq2[db.ListStoredBlobsRow, error] {
	return database.Pages(filesAtOnce, func(last *db.ListStoredBlobsRow) ([]db.ListStoredBlobsRow, error) {
		p := db.ListStoredBlobsParams{Since: since, Limit: filesAtOnce}
		if last != nil {
			p.After = last.File
		}
		rows, err := s.Database.Queries().ListStoredBlobs(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("list the blobs: %w", database.Refusal(err))
		}
		return rows, nil
	})
}

// CountStoredFiles returns about how many files StoredFiles returns since ever.
func (s *Service) CountStoredFiles(ctx context.Context) (int64, error) {
	blobs, err := s.Database.Queries().CountBlobs(ctx)
	if err != nil {
		return 0, fmt.Errorf("count the blobs: %w", database.Refusal(err))
	}
	unadopted, err := s.Database.Queries().CountUnadoptedImages(ctx)
	if err != nil {
		return 0, fmt.Errorf("count the images without a blob: %w", database.Refusal(err))
	}
	return blobs + unadopted, nil
}

// WithRows returns which of the files have a row of a picture. Those whose row is being committed may
// lack: Stored waits for them.
func (s *Service) WithRows(ctx context.Context, files []string) ([]string, error) {
	// In this order: whoever is adopted in between is found twice rather than not at all.
	unadopted, err := s.Database.Queries().FindUnadoptedNames(ctx, files)
	if err != nil {
		return nil, fmt.Errorf("find images by their files: %w", database.Refusal(err))
	}
	blobs, err := s.Database.Queries().FindBlobFiles(ctx, files)
	if err != nil {
		return nil, fmt.Errorf("find blobs by their files: %w", database.Refusal(err))
	}
	return append(unadopted, blobs...), nil
}

// Showing returns up to limit images that show a file. Only their ID, OwnerID and Name are set.
func (s *Service) Showing(ctx context.Context, file StoredFile, limit int) ([]Image, error) {
	rows, err := s.Database.Queries().ListImagesOfFile(ctx, db.ListImagesOfFileParams{
		Sha256: file.SHA256, StoredFile: file.Name, Limit: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list the images that show %s: %w", file.Name, database.Refusal(err))
	}
	images := make([]Image, len(rows))
	for i, row := range rows {
		images[i] = Image{ID: row.ID, OwnerID: row.OwnerID, Name: row.Name}
	}
	return images, nil
}

// MarkUnowned marks the blobs that have no image and no mark, so that SweepBlobs deletes them after
// some time, and returns how many. Deletions mark theirs: this is for what went wrong.
func (s *Service) MarkUnowned(ctx context.Context) (marked int64, err error) {
	p := db.ListUnsuspectedBlobsParams{Limit: filesAtOnce}
	for {
		rows, err := s.Database.Queries().ListUnsuspectedBlobs(ctx, p)
		if err != nil {
			return marked, fmt.Errorf("list the blobs that nobody has: %w", database.Refusal(err))
		}
		if len(rows) == 0 {
			return marked, nil
		}
		if err := s.suspect(ctx, rows); err != nil {
			return marked, fmt.Errorf("mark the blobs that nobody has: %w", err)
		}
		marked += int64(len(rows))
		p.After = rows[len(rows)-1].File
	}
}

// suspect may mark a blob that has just got an image. The sweep finds out.
func (s *Service) suspect(ctx context.Context, rows []db.ListUnsuspectedBlobsRow) error {
	now := s.timestamp()
	hashes := make([][]byte, len(rows))
	for i, row := range rows {
		hashes[i] = row.Hash
	}
	return s.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.SuspectBlobs(ctx, db.SuspectBlobsParams{UnownedAt: &now, Hashes: hashes})
	})
}
