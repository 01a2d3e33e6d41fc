// Package account owns users: who is registered, and by which password they are known.
package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/verify"
)

var (
	errAlreadyRegistered = apperr.New(apperr.AlreadyRegistered)
	errNotRegistered     = apperr.New(apperr.NotRegistered)
	errWrongPassword     = apperr.New(apperr.WrongPassword)
	errWrongCode         = apperr.New(apperr.WrongCode)
	errNotLoggedIn       = apperr.New(apperr.NotLoggedIn)
)

// User is a registered user.
type User struct {
	ID          string
	Phone       string // E.164
	Nickname    string
	HomeVisits  int64
	LastLoginAt *time.Time // nil before the first login
	CreatedAt   time.Time
}

// Registration is what it takes to register.
type Registration struct {
	Phone    string
	Password string
	Code     string
}

// Options are what a Service stands on.
type Options struct {
	Database *database.Database
	Hasher   *Hasher
	Logger   *slog.Logger
	Now      func() time.Time

	// Code is the verification code that every phone takes (development mode).
	// Empty, only the form of a code is checked, which the contract does.
	Code string
}

// Service registers users and logs them in.
type Service struct {
	options Options
}

// New returns the service of users.
func New(options Options) *Service {
	return &Service{options}
}

// Register creates a user. It returns InvalidInput for a phone number that cannot be,
// WrongCode, AlreadyRegistered (only once the code was right) and ServerBusy.
func (s *Service) Register(ctx context.Context, r Registration) error {
	phone, err := verify.ParsePhone(r.Phone)
	if err != nil {
		return err
	}
	if s.options.Code != "" && r.Code != s.options.Code {
		return errWrongCode
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
	return s.insertUser(ctx, phone, hash)
}

func (s *Service) insertUser(ctx context.Context, phone, passwordHash string) error {
	id := uuid.Must(uuid.NewV7()).String()
	now := s.now()
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.InsertUser(ctx, db.InsertUserParams{
			ID: id, Phone: &phone, PasswordHash: passwordHash,
			Nickname: defaultNickname(phone), CreatedAt: now, UpdatedAt: now,
		})
	})
	if database.IsDuplicate(err) {
		return errAlreadyRegistered
	}
	if err != nil {
		return fmt.Errorf("insert user %s: %w", id, err)
	}
	s.options.Logger.InfoContext(ctx, "user registered", "user", id)
	return nil
}

// Login returns the user of a phone number and its password. It returns InvalidInput,
// NotRegistered, WrongPassword and ServerBusy. An unknown phone costs a hash too,
// so that the time an answer takes does not tell who is registered.
func (s *Service) Login(ctx context.Context, rawPhone, password string) (User, error) {
	phone, err := verify.ParsePhone(rawPhone)
	if err != nil {
		return User{}, err
	}
	row, err := s.userByPhone(ctx, phone)
	if apperr.Is(err, apperr.NotRegistered) {
		if err := s.options.Hasher.Waste(ctx, password); err != nil {
			return User{}, err
		}
		return User{}, errNotRegistered
	}
	if err != nil {
		return User{}, err
	}
	matches, outdated, err := s.options.Hasher.Matches(ctx, password, row.PasswordHash)
	if err != nil {
		return User{}, fmt.Errorf("check the password of user %s: %w", row.ID, err)
	}
	if !matches {
		s.options.Logger.InfoContext(ctx, "wrong password", "user", row.ID)
		return User{}, errWrongPassword
	}
	if outdated {
		s.rehash(ctx, row, password)
	}
	return s.noteLogin(ctx, row)
}

func (s *Service) noteLogin(ctx context.Context, row db.User) (User, error) {
	now := s.now()
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.SetUserLastLogin(ctx, db.SetUserLastLoginParams{LastLoginAt: &now, UpdatedAt: now, ID: row.ID})
	})
	if err != nil {
		return User{}, fmt.Errorf("note the login of user %s: %w", row.ID, err)
	}
	row.LastLoginAt = &now
	return userFromRow(row), nil
}

// rehash brings the stored hash to today's parameters. It is worth no failed login: the next one tries again.
func (s *Service) rehash(ctx context.Context, row db.User, password string) {
	hash, err := s.options.Hasher.Hash(ctx, password)
	if err == nil {
		err = s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
			return q.SetUserPasswordHash(ctx, db.SetUserPasswordHashParams{
				NewHash: hash, OldHash: row.PasswordHash, UpdatedAt: s.now(), ID: row.ID,
			})
		})
	}
	if err != nil {
		s.options.Logger.WarnContext(ctx, "rehash a password", "user", row.ID, "error", err)
	}
}

// Get returns a user by id; NotLoggedIn where the user is gone, since ids come from sessions.
func (s *Service) Get(ctx context.Context, id string) (User, error) {
	row, err := s.options.Database.Queries().GetUser(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, errNotLoggedIn
	}
	if err != nil {
		return User{}, fmt.Errorf("get user %s: %w", id, database.Refusal(err))
	}
	return userFromRow(row), nil
}

// VisitHome counts a visit of the home page and returns its user; NotLoggedIn where the user is gone.
func (s *Service) VisitHome(ctx context.Context, id string) (User, error) {
	var row db.User
	err := s.options.Database.InTx(ctx, func(q *db.Queries) error {
		visits, err := q.AddHomeVisit(ctx, db.AddHomeVisitParams{UpdatedAt: s.now(), ID: id})
		if err != nil {
			return err
		}
		if visits == 0 {
			return errNotLoggedIn
		}
		row, err = q.GetUser(ctx, id)
		return err
	})
	if err != nil {
		return User{}, fmt.Errorf("count a home visit of user %s: %w", id, err)
	}
	return userFromRow(row), nil
}

func (s *Service) userByPhone(ctx context.Context, phone string) (db.User, error) {
	row, err := s.options.Database.Queries().GetUserByPhone(ctx, &phone)
	if errors.Is(err, sql.ErrNoRows) {
		return db.User{}, errNotRegistered
	}
	if err != nil {
		return db.User{}, fmt.Errorf("get a user by phone: %w", database.Refusal(err))
	}
	return row, nil
}

func (s *Service) now() time.Time {
	return database.Timestamp(s.options.Now())
}

func userFromRow(row db.User) User {
	return User{
		ID: row.ID, Phone: *row.Phone, Nickname: row.Nickname, HomeVisits: row.HomeVisits,
		LastLoginAt: row.LastLoginAt, CreatedAt: row.CreatedAt,
	}
}

// defaultNickname shows no more of a phone number than its last four digits.
func defaultNickname(phone string) string {
	return "用户" + phone[len(phone)-4:]
}
