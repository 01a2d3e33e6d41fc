package account

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/session"
	"gatehouse/internal/verify"
)

var errSamePhone = invalid("/phone", "与当前手机号相同", "is the present one")

// ChangePhone gives a user another phone, by the codes that both phones got. All sessions go on. It returns
// InvalidInput, WrongCode and CodeExpired with the field of the code, AlreadyRegistered and NotLoggedIn.
func (s *Service) ChangePhone(ctx context.Context, current session.Session, rawPhone, code, currentCode string, from audit.Origin) error {
	phone, err := verify.ParsePhone(rawPhone)
	if err != nil {
		return err
	}
	row, err := visibleUser(ctx, s.options.Database.Queries(), current.UserID)
	if err != nil {
		return err
	}
	if *row.Phone == phone {
		return errSamePhone
	}
	ofCurrent, err := s.options.Codes.Check(ctx, *row.Phone, verify.ChangePhone, currentCode)
	if err != nil {
		return inField("/currentCode", err)
	}
	ofNew, err := s.options.Codes.Check(ctx, phone, verify.ChangePhone, code)
	if err != nil {
		return inField("/code", err)
	}
	err = s.change(ctx, row.ID, func(q *db.Queries) error {
		if err := ofCurrent.Use(ctx, q); err != nil {
			return inField("/currentCode", err)
		}
		if err := ofNew.Use(ctx, q); err != nil {
			return inField("/code", err)
		}
		return s.movePhone(ctx, q, row, phone, from)
	})
	if err != nil {
		return fmt.Errorf("change the phone of user %s: %w", row.ID, err)
	}
	return nil
}

// movePhone gives a user another phone, unless it has an account already. A user who was disabled, asked to
// be deleted or changed the phone in the same moment is not logged in any more, or has the codes used up.
func (s *Service) movePhone(ctx context.Context, q *db.Queries, row db.User, phone string, from audit.Origin) error {
	now := s.now()
	if err := q.ReleasePhone(ctx, db.ReleasePhoneParams{Phone: &phone, Now: &now, UpdatedAt: now}); err != nil {
		return err
	}
	err := oneRow(q.SetUserPhone(ctx, db.SetUserPhoneParams{
		ID: row.ID, Phone: row.Phone, NewPhone: &phone, UpdatedAt: now,
	}))
	switch {
	case database.IsDuplicate(err):
		return errAlreadyRegistered
	case errors.Is(err, errChanged):
		return errNotLoggedIn
	case err != nil:
		return err
	}
	return audit.Record(ctx, q, row.ID, audit.PhoneChanged, from, now)
}

// inField says which of two codes was refused.
func inField(field string, err error) error {
	if !apperr.Is(err, apperr.WrongCode, apperr.CodeExpired) {
		return err
	}
	code := apperr.From(err).Code
	return apperr.Wrap(code, err, apperr.Detail{Field: field, Reason: code.Text()})
}
