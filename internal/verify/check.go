package verify

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

var (
	errWrongCode   = apperr.New(apperr.WrongCode)
	errCodeExpired = apperr.New(apperr.CodeExpired)
)

// Proof is a right code that is not used yet.
type Proof struct {
	phone   string // empty where the code was never sent, so that there is nothing to use up
	purpose Purpose
	hash    []byte
	sentAt  time.Time
}

// Check tells whether a code is the one that was sent to a phone for a purpose. A right code stays
// usable until its Proof is used, but every call is one of its five tries, which the database counts.
// It returns InvalidInput, WrongCode, or CodeExpired where there is no code, or no longer.
func (s *Service) Check(ctx context.Context, rawPhone string, purpose Purpose, code string) (Proof, error) {
	phone, err := ParsePhone(rawPhone)
	if err != nil {
		return Proof{}, err
	}
	if s.options.FormOnly {
		return Proof{}, checkForm(purpose, code)
	}
	if s.options.AnyPhone != "" {
		if subtle.ConstantTimeCompare([]byte(code), []byte(s.options.AnyPhone)) == 1 {
			return Proof{}, nil
		}
		if _, fixed := s.options.Fixed[phone]; !fixed {
			return Proof{}, errWrongCode
		}
	}
	row, err := s.try(ctx, phone, purpose)
	if err != nil {
		return Proof{}, err
	}
	if !hmac.Equal(row.Hash, s.codeHash(phone, purpose, code)) {
		return Proof{}, errWrongCode
	}
	s.counts.add(countVerified)
	return Proof{phone: phone, purpose: purpose, hash: row.Hash, sentAt: row.SentAt}, nil
}

// checkForm takes a code that was never sent. It is enough to register a phone that nobody has, but
// not to get at an account.
func checkForm(purpose Purpose, code string) error {
	if purpose != Register {
		return errCodeExpired
	}
	if len(code) != codeDigits || strings.Trim(code, "0123456789") != "" {
		return errWrongCode
	}
	return nil
}

// try counts a try of a phone's code and returns the code, or CodeExpired. The try is counted on
// the very code that it is compared with: the statement names its hash.
func (s *Service) try(ctx context.Context, phone string, purpose Purpose) (db.VerificationCode, error) {
	now := s.now()
	row, err := s.code(ctx, phone, purpose)
	if err != nil {
		return db.VerificationCode{}, err
	}
	if row.Tries >= maxTries || !now.Before(row.ExpiresAt) { // told without a write, however many ask
		return db.VerificationCode{}, errCodeExpired
	}
	var counted int64
	err = s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		counted, err = q.CountVerificationCodeTry(ctx, db.CountVerificationCodeTryParams{
			Phone: phone, Purpose: string(purpose), Hash: row.Hash, MaxTries: maxTries, Now: now,
		})
		return err
	})
	if err != nil {
		return db.VerificationCode{}, fmt.Errorf("count a try of a %s code: %w", purpose, err)
	}
	if counted == 0 {
		return db.VerificationCode{}, errCodeExpired
	}
	return row, nil
}

// code returns what was sent to a phone; one that is used up where nothing was.
func (s *Service) code(ctx context.Context, phone string, purpose Purpose) (db.VerificationCode, error) {
	row, err := s.options.Database.Queries().GetVerificationCode(ctx, db.GetVerificationCodeParams{
		Phone: phone, Purpose: string(purpose),
	})
	if errors.Is(err, sql.ErrNoRows) {
		return db.VerificationCode{Tries: usedUp}, nil
	}
	if err != nil {
		return db.VerificationCode{}, fmt.Errorf("get a %s code: %w", purpose, database.Refusal(err))
	}
	return row, nil
}

// Use uses the code up, in the transaction that does what the code allows. It returns CodeExpired if
// somebody else used it, or a newer code took its place, since it was checked.
func (p Proof) Use(ctx context.Context, q *db.Queries) error {
	if p.phone == "" {
		return nil
	}
	used, err := q.UseVerificationCode(ctx, db.UseVerificationCodeParams{
		Used: usedUp, Phone: p.phone, Purpose: string(p.purpose), Hash: p.hash,
	})
	if err != nil {
		return fmt.Errorf("use up a %s code: %w", p.purpose, err)
	}
	if used == 0 {
		return errCodeExpired
	}
	// Counted in the hour that the code was counted in as sent, so that the row is there.
	err = q.CountVerifiedSMS(ctx, db.CountVerifiedSMSParams{
		Name: breakerName(numberRange(p.phone)), StartsAt: p.sentAt.Truncate(time.Hour),
	})
	if err != nil {
		return fmt.Errorf("count a %s code as verified: %w", p.purpose, err)
	}
	return nil
}
