package image

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// The states of a blob: not decoded yet, decoded, or not to be decoded.
const (
	stateNew    = "new"
	stateReady  = "ready"
	stateFailed = "failed"
)

// blob is a picture as it is stored.
type blob struct {
	hash        [32]byte
	file        string
	width       int
	height      int
	contentType string
	orientation int
	alpha       bool
	state       string
	placeholder codec.Placeholder
	checks      int32 // that were begun
}

func (b blob) format() codec.Format { return formatOf(b.contentType) }

// getBlob returns the blob with a hash, if there is one.
func (s *Service) getBlob(ctx context.Context, hash [32]byte) (blob, bool, error) {
	row, err := s.Database.Queries().GetBlob(ctx, hash[:])
	if errors.Is(err, sql.ErrNoRows) {
		return blob{}, false, nil
	}
	if err != nil {
		return blob{}, false, fmt.Errorf("get blob %x: %w", hash, database.Refusal(err))
	}
	return blob{
		hash: hash, file: row.File, width: int(row.Width), height: int(row.Height), contentType: row.ContentType, orientation: int(row.Orientation), alpha: row.Alpha,
		state: row.State, placeholder: codec.Placeholder{BlurHash: row.BlurHash, Color: row.Color}, checks: row.Checks,
	}, true, nil
}

// insertBlob makes sure that there is a row for the bytes, and that no sweep takes it for unowned: its
// lock is held until the image is there.
func (s *Service) insertBlob(ctx context.Context, q *db.Queries, p *picture) error {
	p.lost = false
	if p.known {
		return s.claimBlob(ctx, q, p)
	}
	err := q.InsertBlob(ctx, p.blobParams(s.timestamp()))
	if !database.IsDuplicate(err) {
		return err
	}
	p.lost = true
	return s.claimBlob(ctx, q, p)
}

func (s *Service) claimBlob(ctx context.Context, q *db.Queries, p *picture) error {
	claimed, err := q.ClaimBlob(ctx, p.image.SHA256[:])
	if err == nil && claimed == 0 {
		return errBlobGone
	}
	return err
}

func (p *picture) blobParams(now time.Time) db.InsertBlobParams {
	params := db.InsertBlobParams{
		Hash: p.image.SHA256[:], File: p.file, Bytes: p.image.Bytes, Width: int64(p.image.Width), Height: int64(p.image.Height),
		ContentType: p.image.ContentType, Orientation: int32(p.blob.orientation), Alpha: p.blob.alpha, State: p.blob.state,
		BlurHash: p.blob.placeholder.BlurHash, Color: p.blob.placeholder.Color, CreatedAt: now,
	}
	if p.blob.state == stateNew { // this process decodes it; if it is killed, another does
		checkAt := now.Add(checkTimeout)
		params.CheckAt = &checkAt
	}
	return params
}

// Stored reports whether there is a blob in a file, or one that is being committed.
func (s *Service) Stored(ctx context.Context, file string) (bool, error) {
	probe := db.InsertBlobParams{File: file, Hash: make([]byte, 32), State: stateNew, CreatedAt: s.timestamp()}
	return s.probe(ctx, file, func(q *db.Queries) error {
		rand.Read(probe.Hash)
		return q.InsertBlob(ctx, probe)
	})
}

const sweptAtOnce = 100

// SweepBlobs deletes the blobs that nobody has had an image of for some time, and returns how many.
func (s *Service) SweepBlobs(ctx context.Context) (int64, error) {
	before := s.timestamp().Add(-s.UnownedKept)
	var deleted int64
	for {
		suspects, err := s.Database.Queries().ListSuspectBlobs(ctx, db.ListSuspectBlobsParams{Before: &before, Limit: sweptAtOnce})
		if err != nil {
			return deleted, fmt.Errorf("list blobs without an owner: %w", database.Refusal(err))
		}
		for _, suspect := range suspects {
			unowned, err := s.sweepBlob(ctx, suspect, before)
			if err != nil {
				return deleted, fmt.Errorf("sweep blob %s: %w", suspect.File, err)
			}
			if unowned {
				deleted++
			}
		}
		if len(suspects) < sweptAtOnce {
			return deleted, nil
		}
	}
}

// sweepBlob deletes a blob, or finds that somebody has it.
func (s *Service) sweepBlob(ctx context.Context, suspect db.ListSuspectBlobsRow, before time.Time) (unowned bool, err error) {
	removal, err := s.Store.Mark(suspect.File)
	if err != nil {
		return false, StorageError(err)
	}
	err = s.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		deleted, err := q.DeleteUnownedBlob(ctx, db.DeleteUnownedBlobParams{Hash: suspect.Hash, Before: &before})
		unowned = deleted > 0
		return err
	})
	if err == nil && !unowned {
		err = s.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
			return q.ClearSuspectBlob(ctx, db.ClearSuspectBlobParams{Hash: suspect.Hash, Before: &before})
		})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return unowned, errors.Join(err, removal.Finish(ctx, s.Stored))
}
