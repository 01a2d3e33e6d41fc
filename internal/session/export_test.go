package session

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/audit"
	"gatehouse/internal/db"
)

const (
	MaxGenerations = maxGenerations
	MaxSessions    = maxSessions
)

// OpenInTx opens a session in a transaction of its own.
func (s *Service) OpenInTx(ctx context.Context, userID string, from audit.Origin) (session Session, err error) {
	err = s.options.Database.InTx(ctx, func(q *db.Queries) error {
		session, err = s.Open(ctx, q, userID, from)
		return err
	})
	return session, err
}

// SetFeed changes how often the endings are polled, and for how long a poll counts. To be called before Run.
func (s *Service) SetFeed(interval, trust time.Duration) {
	s.endings.interval, s.endings.trust = interval, trust
}

// CatchUp does what Run does again and again.
func (s *Service) CatchUp(ctx context.Context) error { return s.endings.catchUp(ctx) }

// Forget does what Run does each minute with the endings, and returns how many it still knows.
func (s *Service) Forget() int {
	s.endings.forget()
	return len(s.endings.ended)
}

// Hear does what Run does with a message of Redis.
func (s *Service) Hear(message string) { s.endings.hear(message) }

// AdoptAlgorithm does what Run does with the keys at its start.
func (s *Service) AdoptAlgorithm(ctx context.Context) error { return s.keys.adopt(ctx) }

// UpdateKeys does what Run does each minute with the keys.
func (s *Service) UpdateKeys(ctx context.Context) error { return s.keys.update(ctx) }

// ForgeToken makes up a refresh token of a session.
func ForgeToken(sessionID string, generation uint32) string {
	t := newRefreshToken(uuid.MustParse(sessionID))
	binary.BigEndian.PutUint32(t[idBytes:], generation)
	return t.String()
}

// TokenHash returns what the database keeps of a refresh token.
func TokenHash(text string) []byte {
	t, err := parseRefreshToken(text)
	if err != nil {
		panic(err)
	}
	return t.hash()
}

// CreateKey makes a signing key now.
func (s *Service) CreateKey(ctx context.Context) error { return s.keys.create(ctx) }
