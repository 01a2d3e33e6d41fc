package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/verify"
)

// byAdmin is where administration comes from: the command line.
var byAdmin = audit.Origin{Actor: audit.Admin}

// FindByPhone returns the user of a phone, whatever the account's state, or NotRegistered and InvalidInput.
func (s *Service) FindByPhone(ctx context.Context, rawPhone string) (User, error) {
	phone, err := verify.ParsePhone(rawPhone)
	if err != nil {
		return User{}, err
	}
	row, err := s.options.Database.Queries().GetUserByPhone(ctx, &phone)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, errNotRegistered
	}
	if err != nil {
		return User{}, fmt.Errorf("find a user by phone: %w", database.Refusal(err))
	}
	return userFromRow(row)
}

// FindByID is FindByPhone for a user who may have no phone any more. It returns NotRegistered.
func (s *Service) FindByID(ctx context.Context, id string) (User, error) {
	row, err := anyUser(ctx, s.options.Database.Queries(), id)
	if err != nil {
		return User{}, err
	}
	return userFromRow(row)
}

// List returns up to limit users in the order of their ids, from the one after afterID (empty: the first).
func (s *Service) List(ctx context.Context, afterID string, limit int) ([]User, error) {
	rows, err := s.options.Database.Queries().ListUsers(ctx, db.ListUsersParams{ID: afterID, Limit: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("list the users after %q: %w", afterID, database.Refusal(err))
	}
	users := make([]User, len(rows))
	for i, row := range rows {
		if users[i], err = userFromRow(row); err != nil {
			return nil, err
		}
	}
	return users, nil
}

// Disable keeps a user out until Enable, and ends all sessions. It returns NotRegistered.
func (s *Service) Disable(ctx context.Context, id string) error {
	return s.administer(ctx, id, audit.Disabled, func(q *db.Queries, _ db.User) error {
		now := s.now()
		return q.DisableUser(ctx, db.DisableUserParams{ID: id, Now: &now, UpdatedAt: now})
	})
}

// Enable lets a disabled user in again. It returns NotRegistered.
func (s *Service) Enable(ctx context.Context, id string) error {
	return s.administer(ctx, id, audit.Enabled, func(q *db.Queries, _ db.User) error {
		return q.EnableUser(ctx, db.EnableUserParams{ID: id, UpdatedAt: s.now()})
	})
}

// LogoutEverywhere ends all sessions of a user. It returns NotRegistered.
func (s *Service) LogoutEverywhere(ctx context.Context, id string) error {
	return s.administer(ctx, id, audit.SessionEnded, func(q *db.Queries, _ db.User) error {
		return q.TouchUser(ctx, db.TouchUserParams{ID: id, UpdatedAt: s.now()})
	})
}

// SetPassword gives a user a new password, and ends all sessions. It returns NotRegistered, CommonPassword and
// ServerBusy.
func (s *Service) SetPassword(ctx context.Context, id, password string) error {
	if err := refuseCommon("/newPassword", password); err != nil {
		return err
	}
	hash, err := s.options.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return s.administer(ctx, id, audit.PasswordChanged, func(q *db.Queries, row db.User) error {
		err := q.ForceUserPassword(ctx, db.ForceUserPasswordParams{ID: id, PasswordHash: hash, UpdatedAt: s.now()})
		if err != nil || row.Phone == nil {
			return err
		}
		return s.forgive(ctx, q, *row.Phone, guess{})
	})
}

// administer changes a user's row, ends all sessions and records it.
func (s *Service) administer(ctx context.Context, id string, action audit.Action, change func(q *db.Queries, row db.User) error) error {
	err := s.changeAndEnd(ctx, id, "", func(q *db.Queries) error {
		row, err := anyUser(ctx, q, id)
		if err != nil {
			return err
		}
		if err := change(q, row); err != nil {
			return err
		}
		return audit.Record(ctx, q, id, action, byAdmin, s.now())
	})
	if err != nil {
		return fmt.Errorf("administer (%s) user %s: %w", action, id, err)
	}
	s.options.Logger.InfoContext(ctx, "user administered", "user", id, "action", string(action))
	return nil
}

// ScheduleDeletion is RequestDeletion without a confirmation. It returns when the user will be erased; who had
// asked for it already is erased then, unless this is earlier. It returns NotRegistered.
func (s *Service) ScheduleDeletion(ctx context.Context, id string) (erasedAt time.Time, err error) {
	err = decide(func() error {
		row, err := anyUser(ctx, s.options.Database.Queries(), id)
		if err != nil {
			return err
		}
		if row.EraseAt != nil && row.EraseAt.Before(s.now().Add(s.options.Grace)) {
			erasedAt = *row.EraseAt
			return nil
		}
		erasedAt, err = s.scheduleErasure(ctx, confirmed{row: row}, byAdmin)
		return err
	})
	return erasedAt, err
}

// anyUser returns a user whatever the account's state, or NotRegistered.
func anyUser(ctx context.Context, q *db.Queries, id string) (db.User, error) {
	row, err := q.GetUser(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return db.User{}, errNotRegistered
	}
	if err != nil {
		return db.User{}, fmt.Errorf("get user %s: %w", id, database.Refusal(err))
	}
	return row, nil
}

// Imported is a user of another system.
type Imported struct {
	ID           string // a UUID; empty: a new one
	Phone        string
	Password     string    // in clear text, or whatever its app sends for it
	PasswordHash string    // instead of the password: of bcrypt or argon2id; it is made anew at the next login
	Nickname     string    // empty, or none that is allowed: one made from the phone
	CreatedAt    time.Time // zero: now
	LastSeenAt   time.Time // zero: now, since nobody would know otherwise who is absent
}

var errImportedID = invalid("/id", "不是 UUID", "is not a UUID")

const maxNickname = 64 // characters

// Import creates a user and returns the id. Without password and hash, the user has none. It returns
// InvalidInput, AlreadyRegistered and ServerBusy.
func (s *Service) Import(ctx context.Context, in Imported) (string, error) {
	user, err := s.newUserFromImported(ctx, in)
	if err != nil {
		return "", err
	}
	err = s.options.Database.InTx(ctx, func(q *db.Queries) error {
		return s.insert(ctx, q, user, audit.Imported, byAdmin)
	})
	if err != nil {
		return "", fmt.Errorf("import user %s: %w", user.id, err)
	}
	return user.id, nil
}

func (s *Service) newUserFromImported(ctx context.Context, in Imported) (newUser, error) {
	phone, err := verify.ParsePhone(in.Phone)
	if err != nil {
		return newUser{}, err
	}
	id := in.ID
	if id == "" {
		id = newID()
	} else if uuid.Validate(id) != nil || len(id) != len(uuid.Nil.String()) {
		return newUser{}, errImportedID
	}
	seenAt := s.now()
	if !in.LastSeenAt.IsZero() {
		seenAt = database.Timestamp(in.LastSeenAt)
	}
	hash := in.PasswordHash
	switch {
	case hash != "":
		err = CheckHash(hash)
	case in.Password != "":
		hash, err = s.options.Hasher.Hash(ctx, in.Password)
	}
	return newUser{
		id: id, phone: phone, passwordHash: hash, nickname: importedNickname(in.Nickname),
		createdAt: in.CreatedAt, seenAt: &seenAt,
	}, err
}

// importedNickname returns a nickname as users may have it; empty where nothing is left.
func importedNickname(nickname string) string {
	nickname = strings.ToValidUTF8(nickname, "")
	if strings.ContainsFunc(nickname, audit.IsHidden) {
		return ""
	}
	characters := []rune(nickname)
	return string(characters[:min(len(characters), maxNickname)])
}
