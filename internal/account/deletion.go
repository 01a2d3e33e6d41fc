package account

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/verify"
)

// RequestDeletion ends all sessions of a user, who is out of sight from now on and erased after the grace,
// unless a login restores the account. It returns the time of erasure, and InvalidInput, WrongPassword,
// TooManyFailures, WrongCode, CodeExpired, NotLoggedIn and ServerBusy.
func (s *Service) RequestDeletion(ctx context.Context, userID string, c Confirmation, from audit.Origin) (erasedAt time.Time, err error) {
	err = decide(func() error {
		proved, err := s.confirm(ctx, userID, c, verify.Delete, from)
		if err != nil {
			return err
		}
		erasedAt, err = s.scheduleErasure(ctx, proved, from)
		if err != nil {
			s.undo(ctx, proved.guess)
		}
		return err
	})
	return erasedAt, err
}

func (s *Service) scheduleErasure(ctx context.Context, proved confirmed, from audit.Origin) (time.Time, error) {
	id := proved.row.ID
	var eraseAt time.Time
	err := s.changeAndEnd(ctx, id, "", func(q *db.Queries) error {
		now := s.now()
		eraseAt = now.Add(s.options.Grace)
		err := oneRow(q.ScheduleErasure(ctx, db.ScheduleErasureParams{
			ID: id, CheckedHash: proved.row.PasswordHash, EraseAt: &eraseAt, UpdatedAt: now,
		}))
		if err != nil {
			return err
		}
		if err := s.settle(ctx, q, proved); err != nil {
			return err
		}
		return audit.Record(ctx, q, id, audit.DeletionRequested, from, now)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("schedule the erasure of user %s: %w", id, err)
	}
	s.options.Logger.InfoContext(ctx, "deletion requested", "user", id, "erase_at", eraseAt)
	return eraseAt, nil
}

// DueForErasure returns the ids of up to limit users whose grace is over. It first takes their phones from
// them, in the one statement that a login can't pass: a login reads and changes a user by phone, so either it
// came before and the user is restored and not due, or it finds nobody. So the pictures of those who are
// returned can be deleted, and then they are erased with Erase. Who is not erased then is returned again.
func (s *Service) DueForErasure(ctx context.Context, limit int) ([]string, error) {
	now := s.now()
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.ReleaseDuePhones(ctx, db.ReleaseDuePhonesParams{Now: &now, UpdatedAt: now})
	})
	if err != nil {
		return nil, fmt.Errorf("take their phones from users who are to be erased: %w", err)
	}
	ids, err := s.options.Database.Queries().ListErasable(ctx, db.ListErasableParams{Now: &now, Limit: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("list the users who are to be erased: %w", database.Refusal(err))
	}
	return ids, nil
}

// Erase removes a user whom DueForErasure returned, with the record of what happened to the account. It does
// nothing where another node was first.
func (s *Service) Erase(ctx context.Context, id string) error {
	var erased int64
	err := s.change(ctx, id, func(q *db.Queries) (err error) {
		now := s.now()
		if erased, err = q.EraseUser(ctx, db.EraseUserParams{ID: id, Now: &now}); err != nil || erased == 0 {
			return err
		}
		_, err = q.DeleteAuditEventsOfUser(ctx, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("erase user %s: %w", id, err)
	}
	if erased > 0 {
		s.options.Logger.InfoContext(ctx, "user erased", "user", id)
	}
	return nil
}
