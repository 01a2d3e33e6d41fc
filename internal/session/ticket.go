package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// Ticket returns a one-time ticket that opens H5 pages in the name of a session, and how long
// it is valid. Only its hash is kept.
func (s *Service) Ticket(ctx context.Context, session Session) (string, time.Duration, error) {
	ticket := rand.Text()
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.InsertTicket(ctx, db.InsertTicketParams{
			Hash: ticketHash(ticket), SessionID: session.ID,
			ExpiresAt: s.now().Add(s.options.TicketLifetime),
		})
	})
	if err != nil {
		return "", 0, fmt.Errorf("insert a ticket of session %s: %w", session.ID, err)
	}
	return ticket, s.options.TicketLifetime, nil
}

// PeekTicket returns the session that a ticket would open, without using it up, or NotLoggedIn.
func (s *Service) PeekTicket(ctx context.Context, ticket string) (Session, error) {
	row, err := s.options.Database.Queries().GetTicket(ctx, ticketHash(ticket))
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, errNotLoggedIn
	}
	if err != nil {
		return Session{}, fmt.Errorf("get a ticket: %w", database.Refusal(err))
	}
	if !s.now().Before(row.ExpiresAt) {
		return Session{}, errNotLoggedIn
	}
	session, err := s.get(ctx, row.SessionID)
	if err != nil {
		return Session{}, err
	}
	return sessionFromRow(session), nil
}

// RedeemTicket uses a ticket up and returns its session; NotLoggedIn if it is
// used, too old or unknown. Of several calls at once, one succeeds.
func (s *Service) RedeemTicket(ctx context.Context, ticket string) (Session, error) {
	session, err := s.PeekTicket(ctx, ticket)
	if err != nil {
		return Session{}, err
	}
	var used int64
	err = s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		used, err = q.DeleteTicket(ctx, ticketHash(ticket))
		return err
	})
	if err != nil {
		return Session{}, fmt.Errorf("use up a ticket of session %s: %w", session.ID, err)
	}
	if used == 0 {
		return Session{}, errNotLoggedIn
	}
	return session, nil
}

// ticketHash needs no salt and no cost: a ticket is 130 random bits.
func ticketHash(ticket string) []byte {
	hash := sha256.Sum256([]byte(ticket))
	return hash[:]
}
