package account

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/network"
	"gatehouse/internal/session"
)

const (
	freePerPhone   = 5  // wrong passwords of a phone without a delay
	freePerAddress = 50 // more, since a whole office may share one
	firstDelay     = time.Second
)

// guard is how guesses are slowed down: after some free ones, by a delay that doubles.
type guard struct {
	free     int32
	maxDelay time.Duration
	lasts    time.Duration // the failures count no longer so long after the first one
	prolong  bool          // or after the last one
}

var (
	phoneGuard = guard{free: freePerPhone, maxDelay: 15 * time.Minute, lasts: 24 * time.Hour, prolong: true}
	// Behind an address may be all of a mobile network, or all the world, where the proxy is not trusted. So its guard
	// slows down who tries many phones, to some 170 guesses an hour, but wrong passwords of others never add up.
	addressGuard = guard{free: freePerAddress, maxDelay: 30 * time.Second, lasts: time.Hour}
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

// takeGuess counts a guess at the password of a user, who may be nobody but a phone. It returns TooManyFailures while
// the phone or the client's address has to wait.
func (s *Service) takeGuess(ctx context.Context, row db.User, from audit.Origin) (guess, error) {
	if !s.options.Throttle {
		return guess{}, nil
	}
	var g guess
	err := decide(func() error {
		address, err := s.refuseEarly(ctx, row, from)
		if err != nil {
			return err
		}
		return s.options.Database.InTx(ctx, func(q *db.Queries) (err error) {
			g, err = s.charge(ctx, q, phoneName(*row.Phone), address)
			return err
		})
	})
	if err != nil {
		return guess{}, fmt.Errorf("count a guess at a password: %w", err)
	}
	return g, nil
}

// refuseEarly refuses guesses that have to wait without a write, however many there are. It returns the name that a
// guess counts under besides the phone's: none where there is no address, or where it has to wait but spares the user.
func (s *Service) refuseEarly(ctx context.Context, row db.User, from audit.Origin) (string, error) {
	now, address := s.now(), addressName(from.Address)
	delays, err := s.options.Database.Queries().ListLoginDelays(ctx, db.ListLoginDelaysParams{
		Phone: phoneName(*row.Phone), Address: address, Now: now,
	})
	if err != nil {
		return "", fmt.Errorf("read how long guesses at a password have to wait: %w", database.Refusal(err))
	}
	counted := address
	for _, delay := range delays {
		if delay.Name == address {
			spared, err := s.isSpared(ctx, row.ID, address)
			if err != nil {
				return "", err
			}
			if spared {
				counted = ""
				continue
			}
		}
		return "", tooManyFailures(delay.RetryAt, now)
	}
	return counted, nil
}

// isSpared reports whether an address does not make a user wait: one with a session that was last seen there, who
// shall not suffer from the guesses of others. The phone's own delays go on. An unknown phone costs the same read, and
// is answered like a registered one that has no session there. That a phone has one can be seen, from that address.
func (s *Service) isSpared(ctx context.Context, userID, address string) (bool, error) {
	logins, err := s.options.Sessions.List(ctx, userID)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(logins, func(l session.Login) bool { return addressName(l.Address) == address }), nil
}

func tooManyFailures(retryAt, now time.Time) error {
	return apperr.Later(apperr.TooManyFailures, max(retryAt.Sub(now), firstDelay), nil)
}

// charge counts a guess under the name of a phone and, unless it is empty, that of an address.
func (s *Service) charge(ctx context.Context, q *db.Queries, phone, address string) (g guess, err error) {
	now := s.now()
	if g.phone, err = phoneGuard.charge(ctx, q, phone, now); err != nil {
		return guess{}, err
	}
	if address != "" {
		g.address, err = addressGuard.charge(ctx, q, address, now)
	}
	return g, err
}

// charge counts one guess under a name. The row stays locked until the transaction ends, so that the delay is that of
// the count. It returns errChanged where the name has to wait since it was looked at.
func (g guard) charge(ctx context.Context, q *db.Queries, name string, now time.Time) (charge, error) {
	expires := now.Add(g.lasts)
	counted, err := q.AddLoginFailure(ctx, db.AddLoginFailureParams{Name: name, Now: now, ExpiresAt: expires, Prolong: g.prolong})
	if err != nil {
		return charge{}, err
	}
	row, err := q.GetLoginFailure(ctx, name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return charge{name, noWait}, insertFailure(ctx, q, name, expires)
	case err != nil:
		return charge{}, err
	case counted == 0: // or it was inserted since
		return charge{}, errChanged
	}
	delay := g.delayAfter(row.Failures)
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
func (g guard) delayAfter(failures int32) time.Duration {
	if failures < g.free {
		return 0
	}
	doublings := min(failures-g.free, 10) // more than any delay
	return min(firstDelay<<doublings, g.maxDelay)
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
