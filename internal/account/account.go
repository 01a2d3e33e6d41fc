// Package account owns users: who is registered, by which secrets they are known, and what they say of themselves.
//
// A user is out of sight from the moment that deletion is asked for: only a login within the grace brings the
// user back. After the grace, nothing does: the phone is free for somebody else, whether or not the row has
// been erased yet.
package account

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/session"
	"gatehouse/internal/verify"
)

var (
	errAlreadyRegistered = apperr.New(apperr.AlreadyRegistered)
	errNotRegistered     = apperr.New(apperr.NotRegistered)
	errWrongPassword     = apperr.New(apperr.WrongPassword)
	errPasswordRequired  = apperr.New(apperr.PasswordRequired)
	errAccountDisabled   = apperr.New(apperr.AccountDisabled)
	errNotLoggedIn       = apperr.New(apperr.NotLoggedIn)
	errNoSecret          = invalid("/password", "需要密码或验证码", "is needed, or else a code")
)

// errChanged says that a user changed between the decision and the statement that carries it out.
var errChanged = errors.New("the user has changed in the same moment")

// User is a registered user. Users are remembered and shared: what the pointers and the map hold must not be changed.
type User struct {
	ID          string
	Phone       string // E.164; empty where the phone went to another account
	Nickname    string
	HasPassword bool
	AvatarID    *string
	AvatarName  *string
	Birthday    *time.Time // midnight UTC
	Gender      *string
	Bio         *string
	Metadata    map[string]any // nil where there is none
	HomeVisits  int64
	LastLoginAt *time.Time // nil before the first login
	CreatedAt   time.Time
	DisabledAt  *time.Time // nil unless disabled
	EraseAt     *time.Time // nil unless deletion was asked for
}

// Options are what a Service stands on.
type Options struct {
	Database *database.Database
	Hasher   *Hasher
	Codes    *verify.Service
	Sessions *session.Service
	Logger   *slog.Logger
	Now      func() time.Time

	Grace           time.Duration // between asking for deletion and being erased
	AbsentAfter     time.Duration // without being seen, a code alone is no longer enough; 0: never
	RegisterAtLogin bool          // a right code of an unknown phone registers it
	HideRegistered  bool          // an unknown phone is answered like a wrong password
	Throttle        bool          // wrong passwords delay the next ones
}

// Service registers users, logs them in and looks after their accounts.
type Service struct {
	options    Options
	remembered *remembered
	hidings    *otter.Cache[string, hiding]

	hidingLookups *stats.Counter
}

// New returns the service of users.
func New(options Options) *Service {
	return &Service{options: options, remembered: newRemembered(), hidings: newHidings(), hidingLookups: stats.NewCounter()}
}

// CacheStats are what a cache holds, and how often it was of use since the start.
type CacheStats struct {
	Hits, Misses uint64
	Entries      int
}

// Remembered returns how users are remembered, and whether they hide what they made public.
func (s *Service) Remembered() (users, hidings CacheStats) {
	users = cacheStats(s.remembered.lookups, s.remembered.size())
	return users, cacheStats(s.hidingLookups, s.hidings.EstimatedSize())
}

func cacheStats(lookups *stats.Counter, entries int) CacheStats {
	counts := lookups.Snapshot()
	return CacheStats{Hits: counts.Hits, Misses: counts.Misses, Entries: entries}
}

// maxDecisions bounds how often a user may change in the same moment as something is decided about them.
const maxDecisions = 5

// decide runs f again for as long as it returns errChanged. It returns ServerBusy where that does not end.
func decide(f func() error) error {
	for range maxDecisions {
		if err := f(); !errors.Is(err, errChanged) {
			return err
		}
	}
	return apperr.Later(apperr.ServerBusy, time.Second, errChanged)
}

// change runs fn in a transaction that changes a user, after which this node reads the user anew.
func (s *Service) change(ctx context.Context, userID string, fn func(q *db.Queries) error) error {
	defer s.remembered.forget(userID) // also where it is unknown whether the change was stored
	return s.options.Database.InTx(ctx, fn)
}

// changeAndEnd is change for what ends the sessions of the user, all but one (empty: none). They end after fn, whose
// change of the user's row keeps out a login of the same moment.
func (s *Service) changeAndEnd(ctx context.Context, userID, keep string, fn func(q *db.Queries) error) error {
	var endings session.Endings
	err := s.change(ctx, userID, func(q *db.Queries) (err error) {
		if err := fn(q); err != nil {
			return err
		}
		endings, err = s.options.Sessions.EndAll(ctx, q, userID, keep)
		return err
	})
	if err == nil {
		s.options.Sessions.Announce(ctx, endings)
	}
	return err
}

// oneRow is the result of a statement that changes a user on conditions: errChanged if there was none to change.
func oneRow(rows int64, err error) error {
	if err == nil && rows == 0 {
		return errChanged
	}
	return err
}

// userByPhone returns the user of a phone, or NotRegistered. A user whose grace is over is nobody's.
func (s *Service) userByPhone(ctx context.Context, phone string) (db.User, error) {
	row, err := s.options.Database.Queries().GetUserByPhone(ctx, &phone)
	if errors.Is(err, sql.ErrNoRows) || err == nil && row.EraseAt != nil && !row.EraseAt.After(s.now()) {
		return db.User{}, errNotRegistered
	}
	if err != nil {
		return db.User{}, fmt.Errorf("get a user by phone: %w", database.Refusal(err))
	}
	return row, nil
}

// visibleUser returns the user of a session, or NotLoggedIn where the user is gone or asked to be.
func visibleUser(ctx context.Context, q *db.Queries, id string) (db.User, error) {
	row, err := q.GetUser(ctx, id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (row.EraseAt != nil || row.Phone == nil) {
		return db.User{}, errNotLoggedIn
	}
	if err != nil {
		return db.User{}, fmt.Errorf("get user %s: %w", id, database.Refusal(err))
	}
	return row, nil
}

func (s *Service) now() time.Time {
	return database.Timestamp(s.options.Now())
}

func userFromRow(row db.User) (User, error) {
	user := User{
		ID: row.ID, Nickname: row.Nickname, HasPassword: row.PasswordHash != "",
		AvatarID: row.AvatarID, AvatarName: row.AvatarName, Gender: row.Gender, Bio: row.Bio,
		HomeVisits: row.HomeVisits, LastLoginAt: row.LastLoginAt, CreatedAt: row.CreatedAt,
		DisabledAt: row.DisabledAt, EraseAt: row.EraseAt,
	}
	if row.Phone != nil {
		user.Phone = *row.Phone
	}
	if row.Birthday != nil {
		birthday, err := time.Parse(time.DateOnly, *row.Birthday)
		if err != nil {
			return User{}, fmt.Errorf("read the birthday of user %s: %w", row.ID, err)
		}
		user.Birthday = &birthday
	}
	if row.Metadata != nil {
		if err := json.Unmarshal([]byte(*row.Metadata), &user.Metadata); err != nil {
			return User{}, fmt.Errorf("read the metadata of user %s: %w", row.ID, err)
		}
	}
	return user, nil
}

// defaultNickname shows no more of a phone number than its last four digits.
func defaultNickname(phone string) string {
	return "用户" + phone[len(phone)-4:]
}

func invalid(field, chinese, english string) *apperr.Error {
	return apperr.New(apperr.InvalidInput, detail(field, chinese, english))
}

func detail(field, chinese, english string) apperr.Detail {
	return apperr.Detail{Field: field, Reason: apperr.Text{Chinese: chinese, English: english}}
}
