package account

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/network"
)

const (
	freePerPhone   = 5  // wrong passwords of a phone without a delay
	freePerAddress = 50 // more, since a whole office may share one
	firstDelay     = time.Second
	maxDelay       = 15 * time.Minute
	failuresLast   = 24 * time.Hour // after the last one
)

// noWait is when who has nothing to wait for may guess: so long ago that a node whose clock is behind agrees.
var noWait = time.Unix(0, 0).UTC()

// charge is one counted guess: under which name, and until when it makes the next one wait.
type charge struct {
	name    string
	retryAt time.Time
}

// guess is one guess at a password. It is counted in the database before the password is checked, so that
// no number of parallel guesses, on however many nodes, gets more than the free ones; and it is taken back
// if the password was right. The zero guess is not counted.
type guess struct {
	phone, address charge
}

// takeGuess counts a guess at the password of a phone. It returns TooManyFailures while the phone or the
// client's address has to wait.
func (s *Service) takeGuess(ctx context.Context, phone string, from audit.Origin) (guess, error) {
	if !s.options.Throttle {
		return guess{}, nil
	}
	if err := s.refuseEarly(ctx, phone, from); err != nil {
		return guess{}, err
	}
	var g guess
	err := decide(func() error {
		return s.options.Database.InTx(ctx, func(q *db.Queries) (err error) {
			g, err = s.charge(ctx, q, phone, from)
			return err
		})
	})
	if err != nil {
		return guess{}, fmt.Errorf("count a guess at a password: %w", err)
	}
	return g, nil
}

// refuseEarly refuses guesses that have to wait without a write, however many there are.
func (s *Service) refuseEarly(ctx context.Context, phone string, from audit.Origin) error {
	now := s.now()
	retryAt, err := s.options.Database.Queries().GetLoginDelay(ctx, db.GetLoginDelayParams{
		Phone: phoneName(phone), Address: addressName(from.Address), Now: now,
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read how long guesses at a password have to wait: %w", database.Refusal(err))
	}
	return tooManyFailures(retryAt, now)
}

func tooManyFailures(retryAt, now time.Time) error {
	return apperr.Later(apperr.TooManyFailures, max(retryAt.Sub(now), firstDelay), nil)
}

func (s *Service) charge(ctx context.Context, q *db.Queries, phone string, from audit.Origin) (g guess, err error) {
	now := s.now()
	if g.phone, err = takeCharge(ctx, q, phoneName(phone), freePerPhone, now); err != nil {
		return guess{}, err
	}
	if name := addressName(from.Address); name != "" {
		g.address, err = takeCharge(ctx, q, name, freePerAddress, now)
	}
	return g, err
}

// takeCharge counts one guess under a name. The row stays locked until the transaction ends, so that the
// delay is that of the count.
func takeCharge(ctx context.Context, q *db.Queries, name string, free int32, now time.Time) (charge, error) {
	expires := now.Add(failuresLast)
	counted, err := q.AddLoginFailure(ctx, db.AddLoginFailureParams{Name: name, Now: now, ExpiresAt: expires})
	if err != nil {
		return charge{}, err
	}
	row, err := q.GetLoginFailure(ctx, name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return charge{name, noWait}, insertFailure(ctx, q, name, expires)
	case err != nil:
		return charge{}, err
	case counted == 0 && !row.RetryAt.After(now): // it was inserted since
		return charge{}, errChanged
	case counted == 0:
		return charge{}, tooManyFailures(row.RetryAt, now)
	}
	delay := delayAfter(row.Failures, free)
	if delay == 0 {
		return charge{name, noWait}, nil
	}
	retryAt := now.Add(delay)
	return charge{name, retryAt}, q.DelayLogin(ctx, db.DelayLoginParams{Name: name, RetryAt: retryAt})
}

// insertFailure counts the first guess under a name. It returns errChanged if another one was first.
func insertFailure(ctx context.Context, q *db.Queries, name string, expires time.Time) error {
	err := q.InsertLoginFailure(ctx, db.InsertLoginFailureParams{Name: name, RetryAt: noWait, ExpiresAt: expires})
	if database.IsDuplicate(err) {
		return errChanged
	}
	return err
}

// delayAfter is how long the next guess waits after so many failures: not at all below the free ones,
// then twice as long each time.
func delayAfter(failures, free int32) time.Duration {
	if failures < free {
		return 0
	}
	doublings := min(failures-free, 10) // more than maxDelay
	return min(firstDelay<<doublings, maxDelay)
}

// phoneName is what failures of a phone are counted under.
func phoneName(phone string) string {
	return "phone:" + phone
}

// addressName is what failures of an address are counted under. It is empty where there is no address.
func addressName(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	return "address:" + network.Of(ip)
}

// forgive lets the failures of a phone count no longer and takes a right guess back, in the transaction of
// what a right secret allows. A right code has no guess to take back.
func (s *Service) forgive(ctx context.Context, q *db.Queries, phone string, g guess) error {
	if !s.options.Throttle {
		return nil
	}
	if err := q.DeleteLoginFailures(ctx, phoneName(phone)); err != nil {
		return err
	}
	return takeBack(ctx, q, g.address)
}

func takeBack(ctx context.Context, q *db.Queries, c charge) error {
	if c.name == "" {
		return nil
	}
	return q.TakeLoginFailureBack(ctx, db.TakeLoginFailureBackParams{Name: c.name, Charged: c.retryAt, NoWait: noWait})
}

// undo takes back a guess that was right or never checked, where nothing came of it.
func (s *Service) undo(ctx context.Context, g guess) {
	if g == (guess{}) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	err := s.options.Database.InTx(ctx, func(q *db.Queries) error {
		return cmp.Or(takeBack(ctx, q, g.phone), takeBack(ctx, q, g.address))
	})
	if err != nil {
		s.options.Logger.WarnContext(ctx, "take a guess at a password back", "error", err)
	}
}

// DeleteExpired removes failures that no longer count, and returns how many.
func (s *Service) DeleteExpired(ctx context.Context) (int64, error) {
	var deleted int64
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		deleted, err = q.DeleteExpiredLoginFailures(ctx, s.now())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete expired login failures: %w", err)
	}
	return deleted, nil
}
