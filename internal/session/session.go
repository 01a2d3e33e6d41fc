// Package session owns the answer to "who is calling": sessions and how they end, access tokens
// and the keys that sign them, refresh tokens, the cookies of H5 pages and the tickets that open them.
package session

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2/stats"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/redis"
)

const (
	// verifiedTokens bounds how many access tokens are remembered as verified (about 0.5 KB each).
	verifiedTokens = 20_000
	// clockSkew is how far the clocks of two nodes may be apart.
	clockSkew = 30 * time.Second
	// maxSessions is how many sessions a user has: more than anybody has devices, and few enough to end or list them
	// all at once. An app that logs in at every start would otherwise fill the database.
	maxSessions = 200

	defaultSigningKeyLifetime = 90 * 24 * time.Hour
)

var (
	errNotLoggedIn     = apperr.New(apperr.NotLoggedIn)
	errSessionNotFound = apperr.New(apperr.SessionNotFound)
)

// Session is one login of one user.
type Session struct {
	ID        string
	UserID    string
	ExpiresAt time.Time // of the session, or of the token that it was found by

	// Only where they were just issued, by Open and Refresh.
	RefreshToken     string
	RefreshExpiresAt time.Time
}

// Login is a session as its user sees it.
type Login struct {
	ID         string
	Device     string // what the client said of itself
	Address    string // that it was last seen at
	CreatedAt  time.Time
	LastSeenAt time.Time // to some minutes
}

// Options are what a Service stands on.
type Options struct {
	Database *database.Database
	Redis    *redis.Client // tells other nodes of endings at once; nil: they see them in the database
	Logger   *slog.Logger  // nil is slog.Default()
	Now      func() time.Time

	SealKey    []byte // 32 bytes; seals the signing keys in the database
	CookieKey  []byte // 32 bytes; signs session cookies
	TicketKey  []byte // 32 bytes; signs tickets
	RefreshKey []byte // 32 bytes; computes each refresh token from the one before

	Issuer             string        // the `iss` of access tokens: the server's public URL; empty: none
	Algorithm          Algorithm     // of new signing keys; empty: EdDSA
	SigningKeyLifetime time.Duration // after which a new key is made; 0: 90 days

	RefreshIdle         time.Duration // a session ends when it was not refreshed for so long
	RefreshLifetime     time.Duration // a session ends so long after its login
	AccessTokenLifetime time.Duration
	TicketLifetime      time.Duration
}

// Service opens and ends sessions, and recognises their callers.
type Service struct {
	options  Options
	keys     *keyring
	endings  *feed
	verified *lru.Cache[string, Session]
	lookups  *stats.Counter // of verified
}

// CacheStats are what a cache holds, and how often it was of use since the start.
type CacheStats struct {
	Hits, Misses uint64
	Entries      int
}

// VerifiedTokens returns how access tokens are remembered as verified.
func (s *Service) VerifiedTokens() CacheStats {
	counts := s.lookups.Snapshot()
	return CacheStats{Hits: counts.Hits, Misses: counts.Misses, Entries: s.verified.Len()}
}

// New returns the service of sessions. The first start on a database makes a signing key.
func New(ctx context.Context, options Options) (*Service, error) {
	for of, key := range map[string][]byte{"cookies": options.CookieKey, "tickets": options.TicketKey, "refresh tokens": options.RefreshKey} {
		if len(key) != 32 { // an empty one would let anybody sign
			return nil, fmt.Errorf("the key of %s has %d bytes, not 32", of, len(key))
		}
	}
	options.Logger = cmp.Or(options.Logger, slog.Default())
	options.Algorithm = cmp.Or(options.Algorithm, EdDSA)
	options.SigningKeyLifetime = cmp.Or(options.SigningKeyLifetime, defaultSigningKeyLifetime)
	keys, err := openKeyring(ctx, options)
	if err != nil {
		return nil, err
	}
	endings := newFeed(options)
	if err := endings.poll(ctx); err != nil {
		return nil, err
	}
	verified, err := lru.New[string, Session](verifiedTokens)
	if err != nil {
		return nil, fmt.Errorf("make the cache of verified tokens: %w", err)
	}
	return &Service{options: options, keys: keys, endings: endings, verified: verified, lookups: stats.NewCounter()}, nil
}

// Run follows the endings of sessions on other nodes, and the signing keys, until ctx ends. Without
// it, each access token costs a read of the database.
func (s *Service) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.endings.follow(ctx) })
	running.Go(func() { s.keys.follow(ctx) })
	if s.options.Redis != nil {
		running.Go(func() { s.options.Redis.Subscribe(ctx, endingsChannel, s.endings.hear) })
	}
}

// Open starts a session of a user, in the transaction that found that the user may log in and has changed the user's
// row, which keeps out a login of the same moment. A user who has 200 loses the one that was not seen for the longest.
func (s *Service) Open(ctx context.Context, q *db.Queries, userID string, from audit.Origin) (Session, error) {
	if err := s.makeRoom(ctx, q, userID); err != nil {
		return Session{}, err
	}
	now := s.now()
	id := uuid.Must(uuid.NewV7())
	token := newRefreshToken(id)
	session := s.issued(id.String(), userID, s.expiry(now, now), token)
	err := q.InsertSession(ctx, db.InsertSessionParams{
		ID: session.ID, UserID: userID, CreatedAt: now, ExpiresAt: session.ExpiresAt, TokenHash: token.hash(),
		Device: audit.Cut(from.Device), Address: from.Address, LastSeenAt: &now,
	})
	if err != nil {
		return Session{}, fmt.Errorf("insert session %s: %w", session.ID, err)
	}
	return session, nil
}

// makeRoom ends the sessions of a user that one more would make too many. Of the many that versions without a bound
// may have left, each login ends some. All nodes, this one too, find them in the database, as they find other endings.
func (s *Service) makeRoom(ctx context.Context, q *db.Queries, userID string) error {
	ids, err := q.ListSurplusSessionIDs(ctx, db.ListSurplusSessionIDsParams{
		UserID: userID, Offset: maxSessions - 1, Limit: maxSessions,
	})
	if err != nil {
		return fmt.Errorf("list the surplus sessions of user %s: %w", userID, err)
	}
	_, err = s.end(ctx, q, userID, ids...)
	return err
}

// expiry is when a session ends that logged in and was refreshed at these times.
func (s *Service) expiry(createdAt, refreshedAt time.Time) time.Time {
	idle, latest := refreshedAt.Add(s.options.RefreshIdle), createdAt.Add(s.options.RefreshLifetime)
	if latest.Before(idle) {
		return latest
	}
	return idle
}

func (s *Service) issued(id, userID string, expiresAt time.Time, token refreshToken) Session {
	return Session{ID: id, UserID: userID, ExpiresAt: expiresAt, RefreshToken: token.String(), RefreshExpiresAt: expiresAt}
}

// get returns the row of a session that has not ended, or NotLoggedIn.
func (s *Service) get(ctx context.Context, id string) (db.Session, error) {
	row, err := s.options.Database.Queries().GetSession(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return db.Session{}, errNotLoggedIn
	}
	if err != nil {
		return db.Session{}, fmt.Errorf("get session %s: %w", id, database.Refusal(err))
	}
	if !s.now().Before(row.ExpiresAt) {
		return db.Session{}, errNotLoggedIn
	}
	return row, nil
}

func sessionFromRow(row db.Session) Session {
	return Session{ID: row.ID, UserID: row.UserID, ExpiresAt: row.ExpiresAt}
}

// List returns the sessions of a user, the one that was seen last first.
func (s *Service) List(ctx context.Context, userID string) ([]Login, error) {
	rows, err := s.options.Database.Queries().ListSessions(ctx, db.ListSessionsParams{
		UserID: userID, ExpiresAt: s.now(), Limit: maxSessions,
	})
	if err != nil {
		return nil, fmt.Errorf("list the sessions of user %s: %w", userID, database.Refusal(err))
	}
	logins := make([]Login, len(rows))
	for i, row := range rows {
		logins[i] = Login{
			ID: row.ID, Device: row.Device, Address: row.Address, CreatedAt: row.CreatedAt, LastSeenAt: lastSeen(row),
		}
	}
	return logins, nil
}

// lastSeen returns when a session was last seen: at its login, where nothing is noted.
func lastSeen(row db.Session) time.Time {
	if row.LastSeenAt == nil {
		return row.CreatedAt
	}
	return *row.LastSeenAt
}

// DeleteExpired removes the sessions and tickets that have expired, the endings that no access token
// outlives, and the signing keys that no access token needs. It returns how many.
func (s *Service) DeleteExpired(ctx context.Context) (int64, error) {
	now, deleted := s.now(), int64(0)
	err := s.options.Database.InTx(ctx, func(q *db.Queries) error {
		sessions, err := q.DeleteExpiredSessions(ctx, now)
		if err != nil {
			return err
		}
		tickets, err := q.DeleteExpiredTickets(ctx, now)
		if err != nil {
			return err
		}
		endings, err := q.DeleteOldSessionEndings(ctx, now.Add(-tokensGone(s.options)))
		if err != nil {
			return err
		}
		keys, err := s.keys.deleteRetired(ctx, q)
		deleted = sessions + tickets + endings + keys
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete expired sessions and tickets: %w", err)
	}
	return deleted, nil
}

// tokensGone is how long after something happened the access tokens from before have expired, by
// every node's clock. A transaction that notes it late is allowed for.
func tokensGone(options Options) time.Duration {
	return options.AccessTokenLifetime + 2*clockSkew
}

func (s *Service) now() time.Time {
	return database.Timestamp(s.options.Now())
}
