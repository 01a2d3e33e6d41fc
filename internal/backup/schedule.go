package backup

import (
	"context"
	"errors"
	"time"

	"gatehouse/internal/lease"
)

const (
	// lookInterval is how often it is looked whether a backup is due, which another server may have made.
	lookInterval = time.Minute
	// retryInterval is after how long one that failed is tried again, if they are not made more often.
	retryInterval = 15 * time.Minute
)

// Run makes backups as often as Every says, until ctx ends. Of several servers, one makes each. One that
// fails is logged, and tried again soon.
func (s *Service) Run(ctx context.Context) {
	if s.Every == 0 {
		return
	}
	for {
		wait, err := s.makeIfDue(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.ErrorContext(ctx, "back up", "error", err, "again_in", wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// makeIfDue returns when to look again.
func (s *Service) makeIfDue(ctx context.Context) (time.Duration, error) {
	left, err := s.untilDue(ctx)
	if err == nil && left > 0 {
		return min(left, lookInterval), nil
	}
	if err == nil {
		err = s.exclusively(ctx, func(ctx context.Context, l *lease.Lease) error {
			if left, err := s.untilDue(ctx); err != nil || left > 0 { // another server was faster
				return err
			}
			return s.makeScheduled(ctx, l)
		})
	}
	if errors.Is(err, ErrHeld) {
		return lookInterval, nil
	}
	if err != nil {
		return min(retryInterval, s.Every), err
	}
	return min(s.Every, lookInterval), nil
}

// untilDue returns how long it is until the next backup. A backup of the future was made by a clock that
// was wrong, and counts for nothing.
func (s *Service) untilDue(ctx context.Context) (time.Duration, error) {
	backups, err := List(ctx, s.Folder)
	if err != nil || len(backups) == 0 {
		return 0, err
	}
	last := newest(backups).CreatedAt
	age := s.Now().Sub(last)
	if age < -lease.ClockMargin {
		return 0, nil
	}
	s.noteSuccess(last)
	return s.Every - age, nil
}

// noteSuccess takes note of a backup that may be another server's, or from before the start.
func (s *Service) noteSuccess(last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last.After(s.stats.LastSuccess) {
		s.stats.LastSuccess = last
	}
}

func (s *Service) makeScheduled(ctx context.Context, l *lease.Lease) error {
	made, err := s.make(ctx, MakeOptions{Prune: true}, l)
	if err != nil {
		return err
	}
	s.Logger.InfoContext(ctx, "backed up", "backup", made.Name, "pictures", made.Pictures.Count, "copied", made.Copied,
		"bytes", made.CopiedBytes+made.Bytes(), "removed", made.Removed)
	for _, problem := range made.Problems {
		s.Logger.ErrorContext(ctx, "a picture is not in the backup", "backup", made.Name, "picture", problem.Picture, "why", problem.Why)
	}
	return nil
}
