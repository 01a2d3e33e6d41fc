package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/lease"
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
)

// exclusively calls do while nobody else does: of all that the servers and commands of a database begin, one
// backup runs. Its context ends if the lease is lost.
func (s *Service) exclusively(ctx context.Context, do func(ctx context.Context, l *lease.Lease) error) (err error) {
	host, _ := os.Hostname() // only tells people where to look
	l := &lease.Lease{
		Database: s.Database, Now: s.Now, Name: leaseName, Term: leaseTerm,
		Holder: fmt.Sprintf("%s, process %d, %s", host, os.Getpid(), uuid.NewString()),
	}
	if err := s.take(ctx, l); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.End(ctx)) }()
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() { defer close(renewed); keep(ctx, l, cancel) }()
	defer func() { cancel(nil); <-renewed }()
	if err = do(ctx, l); err != nil && errors.Is(context.Cause(ctx), errLost) {
		return errLost
	}
	return err
}

func (s *Service) take(ctx context.Context, l *lease.Lease) error {
	taken, err := l.Take(ctx)
	if err != nil || taken {
		return err
	}
	held, err := s.Database.Queries().GetLease(ctx, leaseName)
	return errors.Join(fmt.Errorf("%w: on %s; one that was killed is over within a minute", ErrHeld, held.Holder), err)
}

// keep renews the lease until ctx ends, and cancels it if the lease may be lost.
func keep(ctx context.Context, l *lease.Lease, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(leaseRenewal)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := renew(ctx, l)
		if err == nil {
			renewed = time.Now()
		}
		if errors.Is(err, errLost) || time.Since(renewed) > leaseTerm-leaseRenewal {
			cancel(errLost)
		}
	}
}

// renew returns errLost if somebody else has the lease.
func renew(ctx context.Context, l *lease.Lease) error {
	err := l.Renew(ctx)
	if errors.Is(err, lease.ErrLost) {
		return errLost
	}
	return err
}
