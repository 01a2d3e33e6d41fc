package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

const (
	waitingChecks  = 1000             // blobs that wait in memory; the others are found in the database
	checkTimeout   = 5 * time.Minute  // after which another process decodes what this one was to
	maxChecks      = 3                // of one blob, before it is taken for what ends the process each time
	overdueChecks  = 20               // blobs that are read from the database at once
	overdueTicks   = 30 * time.Second // between looks into the database
	restAfterCheck = 7                // times as long as the check took, while uploads come in
	queuedWait     = time.Hour        // for a turn; nobody waits for the result
	overdueWait    = time.Minute      // for a turn; less than checkTimeout, so that no other process comes in between
)

// checkSoon queues the blobs of new pictures. What has no room is checked when it is overdue.
func (s *Service) checkSoon(pictures []*picture) {
	s.uploads.Add(1)
	for _, p := range pictures {
		if !p.isNew() || p.own.state != stateNew {
			continue
		}
		select {
		case s.checks <- p.own:
		default:
		}
	}
}

// check decodes what was uploaded, until ctx ends.
func (s *Service) check(ctx context.Context) {
	var workers sync.WaitGroup
	for range max(1, s.Decodes/2) {
		workers.Go(func() { s.checkQueued(ctx) })
	}
	overdue := time.NewTicker(overdueTicks)
	defer overdue.Stop()
	for {
		select {
		case <-ctx.Done():
			workers.Wait()
			return
		case <-overdue.C:
			if err := s.CheckOverdue(ctx); err != nil && ctx.Err() == nil {
				s.Logger.ErrorContext(ctx, "decode pictures", "error", err)
			}
		}
	}
}

// checkQueued leaves the cores to the uploads as long as some come in.
func (s *Service) checkQueued(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-s.checks:
			start, uploads := time.Now(), s.uploads.Load()
			if err := s.checkIfNew(ctx, b); err != nil && ctx.Err() == nil {
				s.Logger.ErrorContext(ctx, "decode a picture", "file", b.file, "error", err)
			}
			if s.uploads.Load() != uploads {
				pause(ctx, restAfterCheck*time.Since(start))
			}
		}
	}
}

// checkIfNew decodes a blob that waited, unless it waited for so long that another process was faster.
func (s *Service) checkIfNew(ctx context.Context, b blob) error {
	stored, err := getBlob(ctx, s.Database.Queries(), b.hash)
	if err != nil || stored == nil || stored.state != stateNew {
		return err
	}
	return s.checkBlob(ctx, *stored, queuedWait)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// CheckOverdue decodes the pictures whose process was killed before it came to them, or had no room
// to queue them.
func (s *Service) CheckOverdue(ctx context.Context) error {
	for {
		now := s.timestamp()
		rows, err := s.Database.Queries().ListBlobsToCheck(ctx, db.ListBlobsToCheckParams{Now: &now, Limit: overdueChecks})
		if err != nil {
			return fmt.Errorf("list pictures to decode: %w", database.Refusal(err))
		}
		for _, row := range rows {
			if err := s.checkOverdue(ctx, row); err != nil {
				return fmt.Errorf("decode picture %s: %w", row.File, err)
			}
		}
		if len(rows) < overdueChecks {
			return nil
		}
	}
}

func (s *Service) checkOverdue(ctx context.Context, row db.ListBlobsToCheckRow) error {
	next := s.timestamp().Add(checkTimeout)
	var claimed int64
	err := s.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		claimed, err = q.ClaimBlobCheck(ctx, db.ClaimBlobCheckParams{Hash: row.Hash, Checks: row.Checks, NextAt: &next})
		return err
	})
	if err != nil || claimed == 0 { // another process has it
		return err
	}
	b := blob{
		hash: [32]byte(row.Hash), file: row.File, width: int(row.Width), height: int(row.Height),
		contentType: row.ContentType, orientation: int(row.Orientation), state: stateNew,
	}
	if row.Checks >= maxChecks {
		return s.withdraw(ctx, b, errPoison)
	}
	err = s.checkBlob(ctx, b, overdueWait)
	if err == nil || errors.Is(err, errPanic) {
		return err
	}
	// It was not the picture's fault. That is noted even if this process is about to end.
	putOff := db.PutBlobCheckOffParams{Hash: row.Hash, NextAt: &next}
	return errors.Join(err, s.Database.Exec(context.WithoutCancel(ctx), func(ctx context.Context, q *db.Queries) error {
		return q.PutBlobCheckOff(ctx, putOff)
	}))
}

var (
	errPoison      = errors.New("its decoding ended the process each time")
	errFileMissing = errors.New("the file is missing")
)

// checkBlob decodes a blob and notes the result. One that cannot be decoded is withdrawn.
func (s *Service) checkBlob(ctx context.Context, b blob, wait time.Duration) error {
	placeholder, err := s.placeholderOf(ctx, b, wait)
	switch {
	case err == nil:
		b.state, b.placeholder = stateReady, placeholder
		return s.setChecked(ctx, b)
	case isBadPicture(err):
		return s.withdraw(ctx, b, err)
	case errors.Is(err, fs.ErrNotExist):
		return s.blameStorage(ctx, b)
	}
	return err
}

// blameStorage tells a picture that was deleted from one whose file the storage does not show, as a
// disk that is not mounted does.
func (s *Service) blameStorage(ctx context.Context, b blob) error {
	stored, err := getBlob(ctx, s.Database.Queries(), b.hash)
	if err == nil && stored != nil && stored.file == b.file {
		return errFileMissing
	}
	return err
}

func isBadPicture(err error) bool {
	return apperr.Is(err, apperr.ImageDamaged, apperr.NotAnImage, apperr.TooManyPixels)
}

// withdraw hides a picture, unless it was decoded before.
func (s *Service) withdraw(ctx context.Context, b blob, why error) error {
	s.Logger.WarnContext(ctx, "withdraw a picture that cannot be decoded", "file", b.file, "error", why)
	b.state, b.placeholder = stateFailed, codec.Placeholder{}
	return s.setChecked(ctx, b)
}

// setChecked notes what was found out, even if this process is about to end.
func (s *Service) setChecked(ctx context.Context, b blob) error {
	return s.Database.Exec(context.WithoutCancel(ctx), func(ctx context.Context, q *db.Queries) error {
		return setChecked(ctx, q, b)
	})
}

func setChecked(ctx context.Context, q *db.Queries, b blob) error {
	return q.SetBlobChecked(ctx, db.SetBlobCheckedParams{
		Hash: b.hash[:], State: b.state, BlurHash: b.placeholder.BlurHash, Color: b.placeholder.Color,
	})
}

func (s *Service) placeholderOf(ctx context.Context, b blob, wait time.Duration) (codec.Placeholder, error) {
	return s.decodeAll(ctx, b, workOf(b, codec.Variant{}).asHeavy(), wait, func() (io.ReadSeekCloser, error) {
		file, err := s.Store.Open(ctx, b.file)
		if err != nil {
			return nil, err
		}
		return file.Content, nil
	})
}

// decode decodes a picture before it is stored. The refusal is ImageDamaged.
func (s *Service) decode(ctx context.Context, p *picture) error {
	takes := workOf(p.own, codec.Variant{})
	if p.frames > 1 {
		takes = takes.asHeavy()
	}
	placeholder, err := s.decodeAll(ctx, p.own, takes, s.DecodeWait, p.open)
	if err != nil {
		return err
	}
	p.own.state, p.own.placeholder = stateReady, placeholder
	p.know(p.known)
	return nil
}

// decodeAll opens and decodes a picture when its turn comes.
func (s *Service) decodeAll(ctx context.Context, b blob, takes work, wait time.Duration, open func() (io.ReadSeekCloser, error)) (placeholder codec.Placeholder, err error) {
	err = s.decodes.do(ctx, wait, takes, func() error {
		content, err := open()
		if err != nil {
			return StorageError(err)
		}
		defer content.Close()
		watched := &watchedReader{ReadSeeker: content}
		placeholder, err = codec.Check(watched, b.format(), b.orientation, s.Limits)
		return watched.blame(err)
	})
	return placeholder, err
}

// watchedReader tells a storage that fails from a picture that is damaged.
type watchedReader struct {
	io.ReadSeeker
	err error
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// blame returns the error of the storage, if it had one, rather than what the decoder made of it.
func (r *watchedReader) blame(err error) error {
	if r.err != nil {
		return StorageError(fmt.Errorf("read a picture: %w", r.err))
	}
	return err
}
