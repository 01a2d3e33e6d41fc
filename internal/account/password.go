package account

import (
	"context"
	"fmt"

	"gatehouse/internal/audit"
	"gatehouse/internal/db"
	"gatehouse/internal/session"
	"gatehouse/internal/verify"
)

// The shortest and the longest password, in characters. The contract holds requests to them; commands must do so
// themselves.
const (
	MinPassword = 8
	MaxPassword = 128
)

var errNoOldPassword = invalid("/oldPassword", "尚未设置密码，请用验证码设置", "there is none yet, please set one with a code")

// newPassword is a password to be set.
type newPassword struct {
	password string
	proved   confirmed
	keep     string // the id of a session that does not end; empty: none
	action   audit.Action
}

// ChangePassword sets a new password and ends all other sessions. It returns CommonPassword, InvalidInput for
// a user who has no password, WrongPassword, TooManyFailures, NotLoggedIn and ServerBusy.
func (s *Service) ChangePassword(ctx context.Context, current session.Session, oldPassword, password string, from audit.Origin) error {
	if err := refuseCommon("/newPassword", password); err != nil {
		return err
	}
	return decide(func() error {
		row, err := visibleUser(ctx, s.options.Database.Queries(), current.UserID)
		if err != nil {
			return err
		}
		if row.PasswordHash == "" {
			return errNoOldPassword
		}
		g, _, err := s.checkPassword(ctx, row, oldPassword, from)
		if err != nil {
			return err
		}
		return s.setPassword(ctx, newPassword{
			password: password, proved: confirmed{row: row, guess: g}, keep: current.ID, action: audit.PasswordChanged,
		}, from)
	})
}

// ResetPassword sets a new password by a code, and ends all sessions. It does not restore a user who asked to
// be deleted; logging in does. It returns InvalidInput, CommonPassword, WrongCode, CodeExpired, NotRegistered,
// AccountDisabled, ServerBusy, and PasswordRequired where nobody was seen for long.
func (s *Service) ResetPassword(ctx context.Context, rawPhone, code, password string, from audit.Origin) error {
	phone, err := verify.ParsePhone(rawPhone)
	if err != nil {
		return err
	}
	if err := refuseCommon("/newPassword", password); err != nil {
		return err
	}
	proof, err := s.options.Codes.Check(ctx, phone, verify.Reset, code)
	if err != nil {
		return err
	}
	return decide(func() error {
		row, err := s.userByPhone(ctx, phone)
		switch {
		case err != nil:
			return err
		case row.DisabledAt != nil:
			return errAccountDisabled
		case s.isAbsent(row):
			return errPasswordRequired
		}
		return s.setPassword(ctx, newPassword{
			password: password, proved: confirmed{row: row, proof: &proof}, action: audit.PasswordReset,
		}, from)
	})
}

// setPassword stores a password and ends sessions, if the user is still the one who proved it.
func (s *Service) setPassword(ctx context.Context, n newPassword, from audit.Origin) (err error) {
	row := n.proved.row
	defer func() {
		if err != nil {
			s.undo(ctx, n.proved.guess)
		}
	}()
	hash, err := s.options.Hasher.Hash(ctx, n.password)
	if err != nil {
		return err
	}
	err = s.changeAndEnd(ctx, row.ID, n.keep, func(q *db.Queries) error {
		now := s.now()
		err := oneRow(q.SetUserPassword(ctx, db.SetUserPasswordParams{
			ID: row.ID, Phone: row.Phone, CheckedHash: row.PasswordHash, NewHash: hash, UpdatedAt: now,
		}))
		if err != nil {
			return err
		}
		if err := s.settle(ctx, q, n.proved); err != nil {
			return err
		}
		return audit.Record(ctx, q, row.ID, n.action, from, now)
	})
	if err != nil {
		return fmt.Errorf("set the password of user %s: %w", row.ID, err)
	}
	s.options.Logger.InfoContext(ctx, string(n.action), "user", row.ID)
	return nil
}
