package session

import (
	"cmp"
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

const (
	// refreshGrace is how long a token works again whose answer may have been lost.
	refreshGrace = 30 * time.Second
	// maxGenerations is how often a session is refreshed: every four minutes for 180 days. It bounds
	// what it costs to recognise an old token (some 15 ms), and cannot be used to get around that,
	// since a session that reaches it logs in again.
	maxGenerations = 1 << 16
	// maxRotationRaces is more than the times that others can win against one caller: once with the
	// same token, once with the one after it, and then the token is an old one.
	maxRotationRaces = 3
)

var (
	errInvalidRefreshToken = apperr.New(apperr.InvalidRefreshToken)
	errRefreshTokenReused  = apperr.New(apperr.RefreshTokenReused)
	errRotated             = errors.New("the refresh token was rotated at the same moment")
)

// Prepare makes what is stored along with a refreshed session, such as the answer that tells of it: a
// function that runs first in the same transaction, whose work is kept if and only if the token was
// still the current one. It returns nil where there is nothing to store.
type Prepare func(Session) (commit func(*db.Queries) error, err error)

// Refresh uses a refresh token up and returns its session with the next one. For 30 s the token may
// be used again, as long as the next one was not: the answer is the same. After that, its use means
// that two hold it, which ends the session and returns RefreshTokenReused. A token that is made up,
// too old or of an ended session is an InvalidRefreshToken.
//
// If prepare is not nil, it is told the session that will be returned, before the transaction that
// stores it. It may be asked again, and its error fails the refresh.
func (s *Service) Refresh(ctx context.Context, token string, from audit.Origin, prepare Prepare) (Session, error) {
	held, err := parseRefreshToken(token)
	if err != nil {
		return Session{}, apperr.Wrap(apperr.InvalidRefreshToken, err)
	}
	for range maxRotationRaces {
		session, err := s.refresh(ctx, held, from, prepare)
		if !errors.Is(err, errRotated) {
			return session, err
		}
	}
	return Session{}, apperr.Later(apperr.ServerBusy, time.Second, errRotated)
}

func (s *Service) refresh(ctx context.Context, held refreshToken, from audit.Origin, prepare Prepare) (Session, error) {
	row, err := s.options.Database.Queries().GetSession(ctx, held.sessionID())
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, errInvalidRefreshToken
	}
	if err != nil {
		return Session{}, fmt.Errorf("get session %s: %w", held.sessionID(), database.Refusal(err))
	}
	newest, genuine := s.newest(held, row)
	switch {
	case !genuine, !s.now().Before(row.ExpiresAt):
		return Session{}, errInvalidRefreshToken
	case held == newest:
		return s.rotate(ctx, row, newest, from, prepare)
	case held.generation()+1 == newest.generation() && s.isJustRotated(row):
		return s.repeat(ctx, row, newest, prepare)
	default:
		return Session{}, s.endReused(ctx, row, from)
	}
}

// newest computes a session's newest token from one that is held, and reports whether it is the
// right one: then the held one is genuine. A made-up one does not harm the session.
func (s *Service) newest(held refreshToken, row db.Session) (refreshToken, bool) {
	generation := uint32(row.Generation)
	if held.generation() > generation {
		return refreshToken{}, false
	}
	newest := held.forward(s.options.RefreshKey, generation)
	return newest, subtle.ConstantTimeCompare(newest.hash(), row.TokenHash) == 1
}

func (s *Service) isJustRotated(row db.Session) bool {
	return row.RotatedAt != nil && s.now().Sub(*row.RotatedAt) < refreshGrace
}

// rotate replaces the current token by the next one, unless somebody else has just done it.
func (s *Service) rotate(ctx context.Context, row db.Session, current refreshToken, from audit.Origin, prepare Prepare) (Session, error) {
	if current.generation() >= maxGenerations {
		return Session{}, errInvalidRefreshToken
	}
	now := s.now()
	next := current.forward(s.options.RefreshKey, current.generation()+1)
	session := s.issued(row.ID, row.UserID, s.expiry(row.CreatedAt, now), next)
	rotation := db.RotateSessionParams{
		ID: row.ID, CurrentHash: current.hash(), NextHash: next.hash(), Generation: int32(next.generation()),
		RotatedAt: &now, ExpiresAt: session.ExpiresAt, LastSeenAt: &now,
		Device: cmp.Or(audit.Cut(from.Device), row.Device), Address: cmp.Or(from.Address, row.Address),
	}
	rotate := func(ctx context.Context, q *db.Queries) error { return wantRow(q.RotateSession(ctx, rotation)) }
	commit, err := prepare.run(session)
	switch {
	case err != nil:
		return Session{}, err
	case commit == nil:
		err = s.options.Database.Exec(ctx, rotate)
	default:
		err = s.commit(ctx, commit, rotate)
	}
	if err != nil {
		return Session{}, fmt.Errorf("rotate the token of session %s: %w", row.ID, err)
	}
	return session, nil
}

// repeat answers again with the token that the one before was rotated to. The caller's commit is
// stored here too: its answer is then repeated for longer than the grace.
func (s *Service) repeat(ctx context.Context, row db.Session, newest refreshToken, prepare Prepare) (Session, error) {
	session := s.issued(row.ID, row.UserID, row.ExpiresAt, newest)
	commit, err := prepare.run(session)
	if err != nil {
		return Session{}, err
	}
	if commit == nil {
		return session, nil
	}
	now := s.now()
	err = s.commit(ctx, commit, func(ctx context.Context, q *db.Queries) error {
		return wantRow(q.SetSessionSeen(ctx, db.SetSessionSeenParams{LastSeenAt: &now, ID: row.ID, Generation: row.Generation}))
	})
	if err != nil {
		return Session{}, fmt.Errorf("repeat the answer of session %s: %w", row.ID, err)
	}
	return session, nil
}

// run returns what is stored along with a session, if anything.
func (p Prepare) run(session Session) (func(*db.Queries) error, error) {
	if p == nil {
		return nil, nil
	}
	return p(session)
}

// commit runs the caller's commit and then a statement that fails if the session has moved on.
func (s *Service) commit(ctx context.Context, commit func(*db.Queries) error, statement func(context.Context, *db.Queries) error) error {
	return s.options.Database.InTx(ctx, func(q *db.Queries) error {
		if err := commit(q); err != nil {
			return err
		}
		return statement(ctx, q)
	})
}

// wantRow turns an update that found no row into errRotated.
func wantRow(rows int64, err error) error {
	if err == nil && rows == 0 {
		return errRotated
	}
	return err
}

// endReused ends a session whose old token was used: either the client or a thief has the new one.
func (s *Service) endReused(ctx context.Context, row db.Session, from audit.Origin) error {
	from.Actor = audit.Server
	if _, err := s.endOne(ctx, row.UserID, row.ID, audit.TokenReused, from); err != nil {
		return err
	}
	return errRefreshTokenReused
}
