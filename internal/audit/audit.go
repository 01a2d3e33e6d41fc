// Package audit owns the record of who did what to an account, and when.
package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// Action is what was done.
type Action string

// The actions, as the contract names them.
const (
	Register          Action = "register"
	Login             Action = "login"
	LoginFailed       Action = "login-failed"
	Logout            Action = "logout"
	SessionEnded      Action = "session-ended"
	TokenReused       Action = "token-reused"
	PasswordChanged   Action = "password-changed"
	PasswordReset     Action = "password-reset"
	PhoneChanged      Action = "phone-changed"
	ProfileChanged    Action = "profile-changed"
	DeletionRequested Action = "deletion-requested"
	Restored          Action = "restored"
	Exported          Action = "exported"
	Disabled          Action = "disabled"
	Enabled           Action = "enabled"
	Imported          Action = "imported"
	LeftBehind        Action = "left-behind" // the phone went to a new account
)

// Actor is who did it.
type Actor string

// Users act by the API, admins by the command line, the server by itself.
const (
	User   Actor = "user"
	Admin  Actor = "admin"
	Server Actor = "server"
)

// Origin is where an action came from.
type Origin struct {
	Actor   Actor  // empty: User
	Address string // of the client; empty where there is none
	Device  string // what the client says of itself; cut to 255 characters
}

// Event is one entry of the record.
type Event struct {
	ID     string // UUIDv7
	UserID string
	Action Action
	Origin Origin
	At     time.Time
}

// Options are what a Service stands on.
type Options struct {
	Database  *database.Database
	Now       func() time.Time
	Retention time.Duration // for which events are kept
}

// Service reads the record and keeps it from growing for ever. Who acts writes to it with Record.
type Service struct {
	options Options
}

// New returns the service of the record.
func New(options Options) *Service {
	return &Service{options}
}

// Record notes an action in the transaction that does it.
func Record(ctx context.Context, q *db.Queries, userID string, action Action, from Origin, at time.Time) error {
	if from.Actor == "" {
		from.Actor = User
	}
	err := q.InsertAuditEvent(ctx, db.InsertAuditEventParams{
		ID: uuid.Must(uuid.NewV7()).String(), UserID: userID, Actor: string(from.Actor), Action: string(action),
		Address: withoutZone(from.Address), Device: Cut(from.Device), CreatedAt: database.Timestamp(at),
	})
	if err != nil {
		return fmt.Errorf("record %s of user %s: %w", action, userID, err)
	}
	return nil
}

// repeatAfter is how long an action is not noted again that may be done all day.
const repeatAfter = time.Hour

// RecordSeldom is Record for an action that a user may do again and again: within an hour of one that is noted, others
// are not. The transaction must have changed the user's row before, which keeps out another one of the same moment.
func RecordSeldom(ctx context.Context, q *db.Queries, userID string, action Action, from Origin, at time.Time) error {
	last, err := q.GetLastAuditEventTime(ctx, db.GetLastAuditEventTimeParams{UserID: userID, Action: string(action)})
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return fmt.Errorf("read when %s of user %s was last recorded: %w", action, userID, err)
	case at.Sub(last) < repeatAfter:
		return nil
	}
	return Record(ctx, q, userID, action, from, at)
}

// maxDevice is how many characters of a device's name are kept.
const maxDevice = 255

// Cut shortens what a client says of its device to what is kept, and blanks what is no text: what is
// hidden, or is not UTF-8.
func Cut(device string) string {
	characters := []rune(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || IsHidden(r) {
			return ' '
		}
		return r
	}, device))
	return strings.TrimSpace(string(characters[:min(len(characters), maxDevice)]))
}

// IsHidden reports whether a character has no place in a line of text, since it makes something else of the line than
// it shows: characters that control a terminal, end the line, turn its direction or take no room. Joiners are
// allowed, which emoji and some languages need, and so are tags, which make flags of emoji.
func IsHidden(r rune) bool {
	if unicode.Is(unicode.Join_Control, r) || '\U000e0020' <= r && r <= '\U000e007f' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// withoutZone drops the network interface from an IPv6 address. It means nothing elsewhere, and a
// client can make up one of any length.
func withoutZone(address string) string {
	address, _, _ = strings.Cut(address, "%")
	return address
}

// newest is greater than every id.
const newest = "~"

// maxPage is the most events that List returns at once.
const maxPage = 1000

// List returns up to limit events (at least 1, at most 1000) of a user that are older than the one with
// the id before (empty: the newest), the newest first, and whether there are more.
func (s *Service) List(ctx context.Context, userID, before string, limit int) ([]Event, bool, error) {
	if before == "" {
		before = newest
	}
	limit = min(max(limit, 1), maxPage)
	rows, err := s.options.Database.Queries().ListAuditEvents(ctx, db.ListAuditEventsParams{
		UserID: userID, Before: before, Limit: int32(limit + 1),
	})
	if err != nil {
		return nil, false, fmt.Errorf("list the events of user %s: %w", userID, database.Refusal(err))
	}
	more := len(rows) > limit
	events := make([]Event, 0, limit)
	for _, row := range rows[:min(len(rows), limit)] {
		events = append(events, Event{
			ID: row.ID, UserID: row.UserID, Action: Action(row.Action), At: row.CreatedAt,
			Origin: Origin{Actor: Actor(row.Actor), Address: row.Address, Device: row.Device},
		})
	}
	return events, more, nil
}

// DeleteExpired removes events that are older than the retention, and returns how many.
func (s *Service) DeleteExpired(ctx context.Context) (int64, error) {
	oldest := database.Timestamp(s.options.Now().Add(-s.options.Retention))
	var deleted int64
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		deleted, err = q.DeleteOldAuditEvents(ctx, oldest)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete old events: %w", err)
	}
	return deleted, nil
}
