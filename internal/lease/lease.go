// Package lease owns who does what only one server may do at a time. Who does it holds a row of the
// database, and renews it; others take over a row that was not renewed, since its holder has died.
package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// ErrLost is Renew's error if somebody else has the lease.
var ErrLost = errors.New("somebody else has the lease")

// ClockMargin is more than the clocks of servers differ.
const ClockMargin = 5 * time.Minute

const endTimeout = 10 * time.Second

// Lease is what one holder may take.
type Lease struct {
	Database *database.Database
	Now      func() time.Time
	Name     string        // at most 64 bytes
	Holder   string        // no other is called so; at most 128 bytes
	Term     time.Duration // for which it is held without being renewed
}

// Take takes the lease, and reports whether it was free.
func (l *Lease) Take(ctx context.Context) (taken bool, err error) {
	now := database.Timestamp(l.Now())
	err = l.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.TakeLease(ctx, db.TakeLeaseParams{
			Name: l.Name, Holder: l.Holder, ExpiresAt: now.Add(l.Term), Now: now, Latest: now.Add(l.Term + ClockMargin),
		})
		taken = rows > 0
		return err
	})
	if err == nil && !taken {
		err = l.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
			return q.InsertLease(ctx, db.InsertLeaseParams{Name: l.Name, Holder: l.Holder, ExpiresAt: now.Add(l.Term)})
		})
		taken = err == nil
	}
	if database.IsDuplicate(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take the lease of %s: %w", l.Name, err)
	}
	return taken, nil
}

// Renew begins the term anew. Its error is ErrLost if somebody else has the lease.
func (l *Lease) Renew(ctx context.Context) error {
	expires := database.Timestamp(l.Now()).Add(l.Term)
	err := l.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		renewed, err := q.RenewLease(ctx, db.RenewLeaseParams{Name: l.Name, Holder: l.Holder, ExpiresAt: expires})
		if err == nil && renewed == 0 {
			return ErrLost
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("renew the lease of %s: %w", l.Name, err)
	}
	return nil
}

// End gives the lease up, also where ctx has ended.
func (l *Lease) End(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := l.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.EndLease(ctx, db.EndLeaseParams{Name: l.Name, Holder: l.Holder})
	})
	if err != nil {
		return fmt.Errorf("end the lease of %s: %w", l.Name, err)
	}
	return nil
}
