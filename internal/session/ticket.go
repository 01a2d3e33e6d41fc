package session

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// A ticket is the id of a session, when the ticket expires (µs of Unix time) and a random number,
// signed. It is not kept until it is used, so that a login costs no row for a page that may never be opened.
const (
	ticketExpiry = len(uuid.UUID{})
	ticketNonce  = ticketExpiry + 8
	ticketMAC    = ticketNonce + 8
	ticketBytes  = ticketMAC + 16
)

// Ticket returns a one-time ticket that opens H5 pages in the name of a session, and how long it is valid.
func (s *Service) Ticket(session Session) (string, time.Duration) {
	id := uuid.MustParse(session.ID)
	ticket := append(make([]byte, 0, ticketBytes), id[:]...)
	ticket = binary.BigEndian.AppendUint64(ticket, uint64(s.now().Add(s.options.TicketLifetime).UnixMicro()))
	ticket = ticket[:ticketMAC]
	_, _ = rand.Read(ticket[ticketNonce:]) // never fails
	return base64.RawURLEncoding.EncodeToString(append(ticket, s.ticketMAC(ticket)...)), s.options.TicketLifetime
}

// PeekTicket returns the session that a ticket would open, without using it up, or NotLoggedIn.
func (s *Service) PeekTicket(ctx context.Context, ticket string) (Session, error) {
	id, expiresAt, err := s.readTicket(ticket)
	if err != nil {
		return Session{}, err
	}
	if !s.now().Before(expiresAt) {
		return Session{}, errNotLoggedIn
	}
	_, err = s.options.Database.Queries().GetUsedTicket(ctx, ticketHash(ticket))
	if err == nil {
		return Session{}, errNotLoggedIn
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return Session{}, fmt.Errorf("look for a used ticket of session %s: %w", id, database.Refusal(err))
	}
	row, err := s.get(ctx, id)
	if err != nil {
		return Session{}, err
	}
	return Session{ID: row.ID, UserID: row.UserID, ExpiresAt: row.ExpiresAt}, nil
}

// RedeemTicket uses a ticket up and returns its session; NotLoggedIn if it is
// used, too old or made up. Of several calls at once, one succeeds.
func (s *Service) RedeemTicket(ctx context.Context, ticket string) (Session, error) {
	session, err := s.PeekTicket(ctx, ticket)
	if err != nil {
		return Session{}, err
	}
	err = s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.InsertUsedTicket(ctx, db.InsertUsedTicketParams{
			Hash: ticketHash(ticket), SessionID: session.ID,
			ExpiresAt: s.now().Add(s.options.TicketLifetime + 2*clockSkew), // until the ticket has expired by every clock
		})
	})
	if database.IsDuplicate(err) {
		return Session{}, errNotLoggedIn
	}
	if err != nil {
		return Session{}, fmt.Errorf("use up a ticket of session %s: %w", session.ID, err)
	}
	return session, nil
}

func (s *Service) readTicket(text string) (sessionID string, expiresAt time.Time, err error) {
	ticket, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(ticket) != ticketBytes || !hmac.Equal(ticket[ticketMAC:], s.ticketMAC(ticket[:ticketMAC])) {
		return "", time.Time{}, errNotLoggedIn
	}
	expiry := binary.BigEndian.Uint64(ticket[ticketExpiry:ticketNonce])
	return uuid.UUID(ticket[:ticketExpiry]).String(), time.UnixMicro(int64(expiry)), nil
}

func (s *Service) ticketMAC(ticket []byte) []byte {
	mac := hmac.New(sha256.New, s.options.TicketKey)
	mac.Write(ticket)
	return mac.Sum(nil)[:ticketBytes-ticketMAC]
}

func ticketHash(ticket string) []byte {
	hash := sha256.Sum256([]byte(ticket))
	return hash[:]
}
