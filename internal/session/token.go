package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/apperr"
)

// maxTokenBytes is far more than our tokens have; longer ones are not looked at.
const maxTokenBytes = 2048

type claims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
}

// AccessToken returns a token (JWT) that any node, and any service that has the public keys, recognises
// without the database, and how long it is valid: not longer than the session.
func (s *Service) AccessToken(session Session) (string, time.Duration, error) {
	now := s.options.Now()
	lifetime := min(s.options.AccessTokenLifetime, session.ExpiresAt.Sub(now))
	key, err := s.keys.signer()
	if err != nil {
		return "", 0, fmt.Errorf("sign an access token of session %s: %w", session.ID, err)
	}
	token := jwt.NewWithClaims(key.method(), claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.options.Issuer,
			Subject:   session.UserID,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
		},
		SessionID: session.ID,
	})
	token.Header["kid"] = key.published.ID
	signed, err := token.SignedString(key.private)
	if err != nil {
		return "", 0, fmt.Errorf("sign an access token of session %s: %w", session.ID, err)
	}
	return signed, lifetime, nil
}

// VerifyAccessToken returns the session that a token was issued to, or NotLoggedIn. A session that
// ended more than a second ago is refused, whichever node ended it. While Run follows the endings,
// that costs no read of the database.
func (s *Service) VerifyAccessToken(ctx context.Context, token string) (Session, error) {
	session, err := s.recognise(ctx, token)
	if err != nil {
		return Session{}, err
	}
	if err := s.checkNotEnded(ctx, session.ID); err != nil {
		return Session{}, err
	}
	return session, nil
}

// recognise returns the session of a token that is genuine and has not expired. Such tokens are
// remembered: to check a signature costs 51 µs.
func (s *Service) recognise(ctx context.Context, token string) (Session, error) {
	if len(token) > maxTokenBytes {
		return Session{}, errNotLoggedIn
	}
	if known, ok := s.verified.Get(token); ok && s.options.Now().Before(known.ExpiresAt) {
		s.lookups.RecordHits(1)
		return known, nil
	}
	s.lookups.RecordMisses(1)
	session, err := s.parse(ctx, token)
	if err != nil {
		return Session{}, err
	}
	s.verified.Add(token, session)
	return session, nil
}

// checkNotEnded asks the feed, or the database where the feed is behind: one read for each request.
// To share the reads would be to answer with one that began before the session ended.
func (s *Service) checkNotEnded(ctx context.Context, id string) error {
	current := s.endings.isCurrent()
	if s.endings.isEnded(id) {
		return errNotLoggedIn
	}
	if current {
		return nil
	}
	_, err := s.get(ctx, id)
	return err
}

func (s *Service) parse(ctx context.Context, token string) (Session, error) {
	var c claims
	var lookupErr error
	_, err := jwt.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, err := s.keys.verifier(ctx, id)
		if err != nil {
			if !errors.Is(err, errUnknownKey) {
				lookupErr = err
			}
			return nil, err
		}
		if t.Method.Alg() != string(key.published.Algorithm) {
			return nil, jwt.ErrTokenSignatureInvalid
		}
		return key.public, nil
	}, jwt.WithValidMethods([]string{string(EdDSA), string(ES256)}), jwt.WithExpirationRequired(), jwt.WithTimeFunc(s.options.Now))
	if lookupErr != nil { // our failure, not the caller's
		return Session{}, lookupErr
	}
	if err != nil {
		return Session{}, apperr.Wrap(apperr.NotLoggedIn, err)
	}
	return Session{ID: c.SessionID, UserID: c.Subject, ExpiresAt: c.ExpiresAt.Time}, nil
}
