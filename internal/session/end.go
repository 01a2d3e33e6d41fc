package session

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/internal/audit"
	"gatehouse/internal/db"
)

// Endings are sessions that were ended in a transaction. After its commit they are announced.
type Endings struct {
	ids []string
}

// End ends one session of a user, or returns SessionNotFound.
func (s *Service) End(ctx context.Context, userID, sessionID string, from audit.Origin) error {
	found, err := s.endOne(ctx, userID, sessionID, audit.SessionEnded, from)
	if err != nil {
		return err
	}
	if !found {
		return errSessionNotFound
	}
	return nil
}

// Logout ends the caller's own session. If it has ended already, that is as well.
func (s *Service) Logout(ctx context.Context, current Session, from audit.Origin) error {
	_, err := s.endOne(ctx, current.UserID, current.ID, audit.Logout, from)
	return err
}

// EndOthers ends all sessions of the caller's user but the caller's own.
func (s *Service) EndOthers(ctx context.Context, current Session, from audit.Origin) error {
	var endings Endings
	err := s.options.Database.InTx(ctx, func(q *db.Queries) (err error) {
		endings, err = s.EndAll(ctx, q, current.UserID, current.ID)
		if err != nil || len(endings.ids) == 0 {
			return err
		}
		return audit.Record(ctx, q, current.UserID, audit.SessionEnded, from, s.now())
	})
	if err != nil {
		return fmt.Errorf("end all sessions of user %s but %s: %w", current.UserID, current.ID, err)
	}
	s.Announce(ctx, endings)
	return nil
}

// EndAll ends all sessions of a user, except one (empty: none), in the caller's transaction. To keep
// out a login of the same moment, that transaction must have changed the user's row before, as the
// one of a login does. After the commit the caller must call Announce. It notes nothing in the audit.
func (s *Service) EndAll(ctx context.Context, q *db.Queries, userID, exceptID string) (Endings, error) {
	ids, err := q.ListOtherSessionIDs(ctx, db.ListOtherSessionIDsParams{UserID: userID, ID: exceptID})
	if err != nil {
		return Endings{}, fmt.Errorf("list the sessions of user %s: %w", userID, err)
	}
	ended, err := s.end(ctx, q, userID, ids...)
	return Endings{ended}, err
}

// Announce makes endings known on this node at once, and on the others if Redis is there. Without
// it they find them in the database.
func (s *Service) Announce(ctx context.Context, endings Endings) {
	s.endings.add(endings.ids...)
	if s.options.Redis == nil || len(endings.ids) == 0 {
		return
	}
	// The client may be gone already. Errors are the Redis client's to log.
	_ = s.options.Redis.Publish(context.WithoutCancel(ctx), endingsChannel, strings.Join(endings.ids, idSeparator))
}

// endOne ends one session and notes why. It reports whether it was there.
func (s *Service) endOne(ctx context.Context, userID, id string, why audit.Action, from audit.Origin) (found bool, err error) {
	err = s.options.Database.InTx(ctx, func(q *db.Queries) error {
		ended, err := s.end(ctx, q, userID, id)
		found = len(ended) > 0
		if err != nil || !found {
			return err
		}
		return audit.Record(ctx, q, userID, why, from, s.now())
	})
	if err != nil {
		return false, fmt.Errorf("end session %s: %w", id, err)
	}
	if found {
		s.Announce(ctx, Endings{[]string{id}})
	}
	return found, nil
}

// end deletes the rows of sessions, notes the endings for the nodes that hold them for alive, and returns which were
// there. Who finds no row leaves the note to who deleted it. Cookies and tickets read the row.
func (s *Service) end(ctx context.Context, q *db.Queries, userID string, ids ...string) (ended []string, err error) {
	for _, id := range ids {
		rows, err := q.DeleteSession(ctx, db.DeleteSessionParams{ID: id, UserID: userID})
		if err != nil {
			return nil, fmt.Errorf("delete session %s: %w", id, err)
		}
		if rows > 0 {
			ended = append(ended, id)
		}
	}
	endedAt := s.now() // after the waits for rows, since nodes ask for the endings of the last minute only
	for _, id := range ended {
		if err := q.InsertSessionEnding(ctx, db.InsertSessionEndingParams{SessionID: id, EndedAt: endedAt}); err != nil {
			return nil, fmt.Errorf("note the ending of session %s: %w", id, err)
		}
	}
	return ended, nil
}
