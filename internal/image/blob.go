package image

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/storage"
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
	bytes       int64
	width       int
	height      int
	contentType string
	orientation int
	alpha       bool
	state       string
	placeholder codec.Placeholder
}

func (b blob) format() codec.Format { return formatOf(b.contentType) }

// insertParams are those of a new row. If this process does not decode the picture before checkAt,
// another one does.
func (b blob) insertParams(now, checkAt time.Time) db.InsertBlobParams {
	p := db.InsertBlobParams{
		Hash: b.hash[:], File: b.file, Bytes: b.bytes, Width: int64(b.width), Height: int64(b.height),
		ContentType: b.contentType, Orientation: int32(b.orientation), Alpha: b.alpha, State: b.state,
		BlurHash: b.placeholder.BlurHash, Color: b.placeholder.Color, CreatedAt: now,
	}
	if b.state == stateNew {
		p.CheckAt = &checkAt
	}
	return p
}

// getBlob returns the blob with a hash, or nil if there is none.
func getBlob(ctx context.Context, q *db.Queries, hash [32]byte) (*blob, error) {
	row, err := q.GetBlob(ctx, hash[:])
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get blob %x: %w", hash, database.Refusal(err))
	}
	return &blob{
		hash: hash, file: row.File, bytes: row.Bytes, width: int(row.Width), height: int(row.Height),
		contentType: row.ContentType, orientation: int(row.Orientation), alpha: row.Alpha,
		state: row.State, placeholder: codec.Placeholder{BlurHash: row.BlurHash, Color: row.Color},
	}, nil
}

var (
	// errBlobChanged means that what a transaction knew of a blob is not true any more. The picture
	// knows better now, and the transaction may be run again.
	errBlobChanged = apperr.Later(apperr.ServerBusy, time.Second, errors.New("the blob was stored or swept meanwhile"))
	// errBlobGone means that a blob was swept just after the bytes of an upload were dropped for it.
	errBlobGone = apperr.Later(apperr.ServerBusy, time.Second, errors.New("the blob was swept meanwhile"))
)

// attach makes sure that there is a row for the bytes of a picture, and that no sweep takes it for
// unowned: its lock is held until the image is there. A duplicate ends the transaction, because many
// that share its lock could only wait for each other.
func (s *Service) attach(ctx context.Context, q *db.Queries, p *picture) error {
	if p.twin != nil {
		return nil
	}
	if p.known != nil {
		return s.claim(ctx, q, p)
	}
	now := s.timestamp()
	err := q.InsertBlob(ctx, p.own.insertParams(now, now.Add(checkTimeout)))
	if !database.IsDuplicate(err) {
		return err
	}
	known, err := getBlob(ctx, q, p.own.hash)
	if err != nil {
		return err
	}
	p.know(known)
	return errBlobChanged
}

// claim attaches a picture to a blob that was found before, and notes what was learnt of it meanwhile.
func (s *Service) claim(ctx context.Context, q *db.Queries, p *picture) error {
	claimed, err := q.ClaimBlob(ctx, p.own.hash[:])
	if err != nil {
		return err
	}
	if claimed == 0 && p.spooled == nil {
		return errBlobGone
	}
	if claimed == 0 {
		p.known = nil
		return errBlobChanged
	}
	if p.own.state == stateReady {
		return setChecked(ctx, q, p.own)
	}
	return nil
}

// know takes note of the blob that has the same bytes, nil for none. What was just decoded need not be
// decoded again.
func (p *picture) know(known *blob) {
	p.known = known
	if known != nil && known.state == stateNew && p.own.state == stateReady {
		known.state, known.placeholder = p.own.state, p.own.placeholder
	}
}

// Stored reports whether a file is that of a blob, or of an image that was not adopted yet. It waits
// for what is being committed.
func (s *Service) Stored(ctx context.Context, file string) (bool, error) {
	probe := db.InsertBlobParams{File: file, Hash: make([]byte, 32), State: stateNew, CreatedAt: s.timestamp()}
	stored, err := s.Database.Taken(ctx, func(q *db.Queries) error {
		rand.Read(probe.Hash)
		return q.InsertBlob(ctx, probe)
	})
	if err != nil {
		return false, fmt.Errorf("look for blob %s: %w", file, err)
	}
	if stored {
		return true, nil
	}
	return s.isUnadopted(ctx, file)
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
	return unowned, errors.Join(err, s.finish(ctx, removal))
}

// finish removes the marked files that lost their rows, whatever became of the context.
func (s *Service) finish(ctx context.Context, removal *storage.Removal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return removal.Finish(ctx, s.Stored)
}
