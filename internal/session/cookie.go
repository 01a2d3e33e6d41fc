package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/db"
)

// seenInterval is how exactly it is known when a session was last seen, so that not every page is a write.
const seenInterval = 5 * time.Minute

// Cookie returns the value of a session's cookie: its id, signed.
func (s *Service) Cookie(session Session) string {
	return session.ID + "." + base64.RawURLEncoding.EncodeToString(s.sign(session.ID))
}

// VerifyCookie returns the session of a cookie's value, or NotLoggedIn. It reads the database.
func (s *Service) VerifyCookie(ctx context.Context, value string) (Session, error) {
	id, signature, _ := strings.Cut(value, ".")
	mac, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(mac, s.sign(id)) {
		return Session{}, errNotLoggedIn
	}
	row, err := s.get(ctx, id)
	if err != nil {
		return Session{}, err
	}
	if s.now().Sub(lastSeen(row)) >= seenInterval {
		if err := s.see(ctx, row); err != nil { // no reason to refuse the page
			s.options.Logger.WarnContext(ctx, "cannot note that a session was seen", "error", err)
		}
	}
	return sessionFromRow(row), nil
}

// see notes that a session was seen now. One that was refreshed in between has noted it itself.
func (s *Service) see(ctx context.Context, row db.Session) error {
	now := s.now()
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		_, err := q.SetSessionSeen(ctx, db.SetSessionSeenParams{LastSeenAt: &now, ID: row.ID, Generation: row.Generation})
		return err
	})
	if err != nil {
		return fmt.Errorf("update session %s: %w", row.ID, err)
	}
	return nil
}

func (s *Service) sign(id string) []byte {
	mac := hmac.New(sha256.New, s.options.CookieKey)
	mac.Write([]byte(id))
	return mac.Sum(nil)
}
