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

// AccessToken returns a token (JWT, EdDSA) that any node recognises without the database,
// and how long it is valid.
func (s *Service) AccessToken(session Session) (string, time.Duration, error) {
	now := s.options.Now()
	id, key := s.keys.signer()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject:   session.UserID,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(s.options.AccessTokenLifetime)),
		},
		SessionID: session.ID,
	})
	token.Header["kid"] = id
	signed, err := token.SignedString(key)
	if err != nil {
		return "", 0, fmt.Errorf("sign an access token of session %s: %w", session.ID, err)
	}
	return signed, s.options.AccessTokenLifetime, nil
}

// VerifyAccessToken returns the session that a token was issued to, or NotLoggedIn.
// Tokens are remembered: to check a signature costs 51 µs.
func (s *Service) VerifyAccessToken(ctx context.Context, token string) (Session, error) {
	if len(token) > maxTokenBytes {
		return Session{}, errNotLoggedIn
	}
	if known, ok := s.verified.Get(token); ok && s.options.Now().Before(known.ExpiresAt) {
		return known, nil
	}
	verified, err := s.parse(ctx, token)
	if err != nil {
		return Session{}, err
	}
	s.verified.Add(token, verified)
	return verified, nil
}

func (s *Service) parse(ctx context.Context, token string) (Session, error) {
	var c claims
	var lookupErr error
	_, err := jwt.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, err := s.keys.verifier(ctx, id)
		if err != nil && !errors.Is(err, errUnknownKey) {
			lookupErr = err
		}
		return key, err
	}, jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithExpirationRequired(), jwt.WithTimeFunc(s.options.Now))
	if lookupErr != nil { // our failure, not the caller's
		return Session{}, lookupErr
	}
	if err != nil {
		return Session{}, apperr.Wrap(apperr.NotLoggedIn, err)
	}
	return Session{ID: c.SessionID, UserID: c.Subject, ExpiresAt: c.ExpiresAt.Time}, nil
}
