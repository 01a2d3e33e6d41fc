// Package verify owns verification codes, the budgets that guard their sending, and the form of
// phone numbers. All that it counts is in the database, so that every node counts the same.
package verify

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"time"

	"gatehouse/internal/captcha"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/sms"
)

// Purpose is what a code allows. A code for one purpose is none for another.
type Purpose string

// The purposes of codes.
const (
	Register    Purpose = "register"
	Login       Purpose = "login"
	Reset       Purpose = "reset"
	ChangePhone Purpose = "change-phone"
	Delete      Purpose = "delete"
	Export      Purpose = "export"
)

const (
	codeDigits = 6
	lifetime   = 5 * time.Minute // of a code
	rest       = time.Minute     // between two codes for one phone and purpose
	maxTries   = 5               // of a code
	usedUp     = maxTries + 1    // the tries of a code that did its work
)

// Options are what a Service stands on.
type Options struct {
	Database *database.Database
	Sender   sms.Sender
	Captcha  captcha.Verifier // nil where nobody is asked for a CAPTCHA
	Logger   *slog.Logger
	Now      func() time.Time

	Key      []byte   // 32 bytes; of the hashes of codes and phones
	Prefixes []string // beginnings of the E.164 numbers that are served, such as +86
	Budgets  Budgets

	// Fixed are the codes of test phones, by E.164 number. They are not sent; all else is as for
	// other phones.
	Fixed map[string]string
	// AnyPhone is a code that is taken from every phone, sent or not, and the one that is sent
	// (development mode).
	AnyPhone string
	// FormOnly takes any six digits for a registration, and sends nothing: there are no other codes.
	FormOnly bool
}

// Service sends codes and checks them.
type Service struct {
	options Options
	counts  *counts
}

// New returns the service of codes.
func New(options Options) *Service {
	return &Service{options: options, counts: newCounts()}
}

// DeleteExpired removes the codes and budgets that are over, and returns how many.
func (s *Service) DeleteExpired(ctx context.Context) (int64, error) {
	var deleted int64
	now := s.now()
	err := s.options.Database.InTx(ctx, func(q *db.Queries) error {
		// A code that is over may just be replaced: its row holds the claim of who does it.
		codes, err := q.DeleteExpiredVerificationCodes(ctx, db.DeleteExpiredVerificationCodesParams{
			Now: now, LastSentAt: now.Add(-lifetime),
		})
		if err != nil {
			return err
		}
		budgets, err := q.DeleteExpiredSMSBudgets(ctx, now)
		deleted = codes + budgets
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete expired verification codes and budgets: %w", err)
	}
	return deleted, nil
}

// newCode returns the code that a phone is to be sent.
func (s *Service) newCode(phone string) (string, error) {
	if code, fixed := s.options.Fixed[phone]; fixed {
		return code, nil
	}
	if s.options.AnyPhone != "" {
		return s.options.AnyPhone, nil
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", fmt.Errorf("make a verification code: %w", err)
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

// codeHash is keyed, because a million codes are soon tried.
func (s *Service) codeHash(phone string, purpose Purpose, code string) []byte {
	return s.hash("code", phone, string(purpose), code)
}

// hash is the keyed hash of texts; the first one says what it is for.
func (s *Service) hash(texts ...string) []byte {
	mac := hmac.New(sha256.New, s.options.Key)
	mac.Write([]byte(strings.Join(texts, "\x00")))
	return mac.Sum(nil)
}

func (s *Service) now() time.Time {
	return database.Timestamp(s.options.Now())
}
