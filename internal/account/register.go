package account

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/verify"
)

// Registration is what it takes to register.
type Registration struct {
	Phone    string
	Password string
	Code     string
}

// Register creates a user. It returns InvalidInput for a phone number that cannot be, CommonPassword,
// WrongCode, CodeExpired, AlreadyRegistered (only once the code was right, which then stays usable) and
// ServerBusy. If commit is not nil, it runs first in the transaction that creates the user.
func (s *Service) Register(ctx context.Context, r Registration, from audit.Origin, commit func(*db.Queries) error) error {
	phone, err := verify.ParsePhone(r.Phone)
	if err != nil {
		return err
	}
	if err := refuseCommon("/password", r.Password); err != nil {
		return err
	}
	proof, err := s.options.Codes.Check(ctx, phone, verify.Register, r.Code)
	if err != nil {
		return err
	}
	// Looked up before the hash, which costs a thousand times more; the unique index decides races.
	switch _, err := s.userByPhone(ctx, phone); {
	case err == nil:
		return errAlreadyRegistered
	case !apperr.Is(err, apperr.NotRegistered):
		return err
	}
	hash, err := s.options.Hasher.Hash(ctx, r.Password)
	if err != nil {
		return err
	}
	id := newID()
	err = s.options.Database.InTx(ctx, func(q *db.Queries) error {
		if commit != nil {
			if err := commit(q); err != nil {
				return err
			}
		}
		if err := proof.Use(ctx, q); err != nil {
			return err
		}
		return s.insert(ctx, q, newUser{id: id, phone: phone, passwordHash: hash}, audit.Register, from)
	})
	if err != nil {
		return fmt.Errorf("register user %s: %w", id, err)
	}
	s.options.Logger.InfoContext(ctx, "user registered", "user", id)
	return nil
}

// newUser is a user to insert. What is left out has a default.
type newUser struct {
	id           string
	phone        string
	passwordHash string // empty: none
	nickname     string
	createdAt    time.Time
	seenAt       *time.Time
}

// insert creates a user in a transaction. It returns AlreadyRegistered.
func (s *Service) insert(ctx context.Context, q *db.Queries, u newUser, action audit.Action, from audit.Origin) error {
	now := s.now()
	if u.nickname == "" {
		u.nickname = defaultNickname(u.phone)
	}
	if u.createdAt.IsZero() {
		u.createdAt = now
	}
	if err := q.ReleasePhone(ctx, db.ReleasePhoneParams{Phone: &u.phone, Now: &now, UpdatedAt: now}); err != nil {
		return err
	}
	err := q.InsertUser(ctx, db.InsertUserParams{
		ID: u.id, Phone: &u.phone, PasswordHash: u.passwordHash, Nickname: u.nickname,
		LastSeenAt: u.seenAt, CreatedAt: database.Timestamp(u.createdAt), UpdatedAt: now,
	})
	if database.IsDuplicate(err) {
		return errAlreadyRegistered
	}
	if err != nil {
		return err
	}
	return audit.Record(ctx, q, u.id, action, from, now)
}

func newID() string {
	return uuid.Must(uuid.NewV7()).String()
}
