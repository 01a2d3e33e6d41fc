package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// ErrHeld is in the error of a backup that found another one under way, on this server or another.
var ErrHeld = errors.New("another backup is under way")

var errLost = errors.New("another backup may have begun: this one was not heard of for too long")

const (
	leaseName = "backup"
	// leaseTerm is how long after a kill the next backup can begin.
	leaseTerm = time.Minute
	// leaseRenewal is short enough for several tries within a term.
	leaseRenewal = 10 * time.Second
	// clockMargin is more than the clocks of servers differ.
	clockMargin = 5 * time.Minute
)

// lease lets one backup of a database run, of all that its servers and commands begin.
type lease struct {
	database *database.Database
	now      func() time.Time
	holder   string
}

// exclusively calls do while nobody else does. Its context ends if the lease is lost.
func (s *Service) exclusively(ctx context.Context, do func(ctx context.Context, l *lease) error) (err error) {
	host, _ := os.Hostname() // only tells people where to look
	l := &lease{s.Database, s.Now, fmt.Sprintf("%s, process %d, %s", host, os.Getpid(), uuid.NewString())}
	if err := l.take(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.end(context.WithoutCancel(ctx))) }()
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() { defer close(renewed); l.keep(ctx, cancel) }()
	defer func() { cancel(nil); <-renewed }()
	if err = do(ctx, l); err != nil && errors.Is(context.Cause(ctx), errLost) {
		return errLost
	}
	return err
}

func (l *lease) take(ctx context.Context) error {
	var taken int64
	now := database.Timestamp(l.now())
	err := l.database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		taken, err = q.TakeLease(ctx, db.TakeLeaseParams{
			Name: leaseName, Holder: l.holder, ExpiresAt: now.Add(leaseTerm), Now: now, Latest: now.Add(leaseTerm + clockMargin),
		})
		return err
	})
	if err == nil && taken > 0 {
		return nil
	}
	if err == nil {
		err = l.database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
			return q.InsertLease(ctx, db.InsertLeaseParams{Name: leaseName, Holder: l.holder, ExpiresAt: now.Add(leaseTerm)})
		})
	}
	if database.IsDuplicate(err) {
		held, err := l.database.Queries().GetLease(ctx, leaseName)
		return errors.Join(fmt.Errorf("%w: on %s; one that was killed is over within a minute", ErrHeld, held.Holder), err)
	}
	if err != nil {
		return fmt.Errorf("take the lease of backups: %w", err)
	}
	return nil
}

// keep renews the lease until ctx ends, and cancels it if the lease may be lost.
func (l *lease) keep(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(leaseRenewal)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := l.renew(ctx)
		if err == nil {
			renewed = time.Now()
		}
		if errors.Is(err, errLost) || time.Since(renewed) > leaseTerm-leaseRenewal {
			cancel(errLost)
		}
	}
}

// renew returns errLost if somebody else has the lease.
func (l *lease) renew(ctx context.Context) error {
	var renewed int64
	now := database.Timestamp(l.now())
	err := l.database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		renewed, err = q.RenewLease(ctx, db.RenewLeaseParams{Name: leaseName, Holder: l.holder, ExpiresAt: now.Add(leaseTerm)})
		return err
	})
	if err == nil && renewed == 0 {
		err = errLost
	}
	return err
}

func (l *lease) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRenewal)
	defer cancel()
	err := l.database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.EndLease(ctx, db.EndLeaseParams{Name: leaseName, Holder: l.holder})
	})
	if err != nil {
		return fmt.Errorf("end the lease of backups: %w", err)
	}
	return nil
}
