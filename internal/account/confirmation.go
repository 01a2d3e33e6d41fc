package account

import (
	"context"
	"fmt"

	"gatehouse/internal/audit"
	"gatehouse/internal/db"
	"gatehouse/internal/verify"
)

// checkPassword compares a password with that of a user, by one hash, whether or not the user has a password
// or an id at all. The guess must be forgiven or undone if the password was right. It returns WrongPassword,
// TooManyFailures and ServerBusy.
func (s *Service) checkPassword(ctx context.Context, row db.User, password string, from audit.Origin) (g guess, outdated bool, err error) {
	if g, err = s.takeGuess(ctx, row, from); err != nil {
		return guess{}, false, err
	}
	matches := false
	if row.PasswordHash == "" {
		err = s.options.Hasher.Waste(ctx, password)
	} else {
		matches, outdated, err = s.options.Hasher.Matches(ctx, password, row.PasswordHash)
	}
	if err != nil {
		s.undo(ctx, g)
		return guess{}, false, fmt.Errorf("check the password of user %s: %w", row.ID, err)
	}
	if !matches {
		return guess{}, false, s.noteWrongPassword(ctx, row.ID, from)
	}
	return g, outdated, nil
}

// noteWrongPassword records a failed login and returns WrongPassword. One of an unknown phone is recorded
// too, as nobody's, so that both take the same time.
func (s *Service) noteWrongPassword(ctx context.Context, userID string, from audit.Origin) error {
	s.options.Logger.InfoContext(ctx, "wrong password", "user", userID)
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return audit.Record(ctx, q, userID, audit.LoginFailed, from, s.now())
	})
	if err != nil {
		return fmt.Errorf("record a wrong password: %w", err)
	}
	return errWrongPassword
}

// use uses a code up, where one was given.
func use(ctx context.Context, q *db.Queries, proof *verify.Proof) error {
	if proof == nil {
		return nil
	}
	return proof.Use(ctx, q)
}

// Confirmation is the password or a code, either of which proves who is asking.
type Confirmation struct {
	Password string
	Code     string
}

// confirmed is a user who has proved who is asking, by a code or by a guess that was right.
type confirmed struct {
	row   db.User
	proof *verify.Proof
	guess guess
}

// confirm checks a confirmation of a logged-in user. Its result must be settled, or its guess undone.
func (s *Service) confirm(ctx context.Context, userID string, c Confirmation, purpose verify.Purpose, from audit.Origin) (confirmed, error) {
	row, err := visibleUser(ctx, s.options.Database.Queries(), userID)
	if err != nil {
		return confirmed{}, err
	}
	switch {
	case c.Code != "":
		proof, err := s.options.Codes.Check(ctx, *row.Phone, purpose, c.Code)
		return confirmed{row: row, proof: &proof}, err
	case c.Password != "":
		g, _, err := s.checkPassword(ctx, row, c.Password, from)
		return confirmed{row: row, guess: g}, err
	default:
		return confirmed{}, errNoSecret
	}
}

// settle uses up what a user has proved by, in the transaction of what it allows. An administrator proves
// nothing.
func (s *Service) settle(ctx context.Context, q *db.Queries, c confirmed) error {
	if c.proof == nil && c.guess == (guess{}) {
		return nil
	}
	if err := use(ctx, q, c.proof); err != nil {
		return err
	}
	return s.forgive(ctx, q, *c.row.Phone, c.guess)
}

// ConfirmExport lets a logged-in user export everything, and uses the confirmation up. It returns InvalidInput,
// WrongPassword, TooManyFailures, WrongCode, CodeExpired, NotLoggedIn and ServerBusy.
func (s *Service) ConfirmExport(ctx context.Context, userID string, c Confirmation, from audit.Origin) error {
	proved, err := s.confirm(ctx, userID, c, verify.Export, from)
	if err != nil {
		return err
	}
	err = s.options.Database.InTx(ctx, func(q *db.Queries) error {
		if err := s.settle(ctx, q, proved); err != nil {
			return err
		}
		return audit.Record(ctx, q, userID, audit.Exported, from, s.now())
	})
	if err != nil {
		s.undo(ctx, proved.guess)
		return fmt.Errorf("confirm the export of user %s: %w", userID, err)
	}
	return nil
}
