// Package session owns the answer to "who is calling": sessions, access tokens,
// the cookies of H5 pages and the tickets that open them.
package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// verifiedTokens bounds how many access tokens are remembered as verified (about 0.5 KB each).
const verifiedTokens = 20_000

var errNotLoggedIn = apperr.New(apperr.NotLoggedIn)

// Session is one login of one user.
type Session struct {
	ID        string
	UserID    string
	ExpiresAt time.Time // of the session, or of the token that it was found by
}

// Options are what a Service stands on.
type Options struct {
	Database *database.Database
	Now      func() time.Time

	SealKey   []byte // 32 bytes; seals the signing keys in the database
	CookieKey []byte // 32 bytes; signs session cookies

	SessionLifetime     time.Duration
	AccessTokenLifetime time.Duration
	TicketLifetime      time.Duration
}

// Service opens sessions and recognises their callers.
type Service struct {
	options  Options
	keys     *keyring
	verified *lru.Cache[string, Session]
}

// New returns the service of sessions. The first start on a database makes a signing key.
func New(ctx context.Context, options Options) (*Service, error) {
	keys, err := openKeyring(ctx, options.Database, options.SealKey, options.Now)
	if err != nil {
		return nil, err
	}
	verified, err := lru.New[string, Session](verifiedTokens)
	if err != nil {
		return nil, fmt.Errorf("make the cache of verified tokens: %w", err)
	}
	return &Service{options: options, keys: keys, verified: verified}, nil
}

// Open starts a session of a user.
func (s *Service) Open(ctx context.Context, userID string) (Session, error) {
	now := s.now()
	session := Session{ID: uuid.Must(uuid.NewV7()).String(), UserID: userID, ExpiresAt: now.Add(s.options.SessionLifetime)}
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.InsertSession(ctx, db.InsertSessionParams{
			ID: session.ID, UserID: userID, CreatedAt: now, ExpiresAt: session.ExpiresAt,
		})
	})
	if err != nil {
		return Session{}, fmt.Errorf("insert session %s: %w", session.ID, err)
	}
	return session, nil
}

// get returns a session that has not ended, or NotLoggedIn.
func (s *Service) get(ctx context.Context, id string) (Session, error) {
	row, err := s.options.Database.Queries().GetSession(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, errNotLoggedIn
	}
	if err != nil {
		return Session{}, fmt.Errorf("get session %s: %w", id, database.Refusal(err))
	}
	if !s.now().Before(row.ExpiresAt) {
		return Session{}, errNotLoggedIn
	}
	return Session{ID: row.ID, UserID: row.UserID, ExpiresAt: row.ExpiresAt}, nil
}

// Cookie returns the value of a session's cookie: its id, signed.
func (s *Service) Cookie(session Session) string {
	return session.ID + "." + base64.RawURLEncoding.EncodeToString(s.sign(session.ID))
}

// VerifyCookie returns the session of a cookie's value, or NotLoggedIn.
func (s *Service) VerifyCookie(ctx context.Context, value string) (Session, error) {
	id, signature, _ := strings.Cut(value, ".")
	mac, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(mac, s.sign(id)) {
		return Session{}, errNotLoggedIn
	}
	return s.get(ctx, id)
}

func (s *Service) sign(id string) []byte {
	mac := hmac.New(sha256.New, s.options.CookieKey)
	mac.Write([]byte(id))
	return mac.Sum(nil)
}

// DeleteExpired removes the sessions and tickets that have expired, and returns how many.
func (s *Service) DeleteExpired(ctx context.Context) (int64, error) {
	var deleted int64
	err := s.options.Database.InTx(ctx, func(q *db.Queries) error {
		sessions, err := q.DeleteExpiredSessions(ctx, s.now())
		if err != nil {
			return err
		}
		tickets, err := q.DeleteExpiredTickets(ctx, s.now())
		deleted = sessions + tickets
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete expired sessions and tickets: %w", err)
	}
	return deleted, nil
}

func (s *Service) now() time.Time {
	return database.Timestamp(s.options.Now())
}
