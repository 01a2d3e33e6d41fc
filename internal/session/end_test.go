package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/session"
)

func TestEnd(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		alice, bob := uuid.NewString(), uuid.NewString()
		first, second := openAs(t, s, alice, audit.Origin{}), openAs(t, s, alice, audit.Origin{})
		bobs := openAs(t, s, bob, audit.Origin{})
		for name, end := range map[string]struct{ user, id string }{
			"somebody else's": {alice, bobs.ID},
			"unknown":         {alice, uuid.NewString()},
			"empty":           {alice, ""},
		} {
			if err := s.End(t.Context(), end.user, end.id, audit.Origin{}); !apperr.Is(err, apperr.SessionNotFound) {
				t.Errorf("%s: error is %v, want SessionNotFound", name, err)
			}
		}
		wantAlive(t, s, bobs)
		ticket := ticket(t, s, first)
		if err := s.End(t.Context(), alice, first.ID, audit.Origin{Address: "192.0.2.1"}); err != nil {
			t.Fatal(err)
		}
		wantEnded(t, s, first)
		got, err := s.RedeemTicket(t.Context(), ticket)
		wantNotLoggedIn(t, got, err)
		if err := s.End(t.Context(), alice, first.ID, audit.Origin{}); !apperr.Is(err, apperr.SessionNotFound) {
			t.Errorf("again: error is %v, want SessionNotFound", err)
		}
		wantAlive(t, s, second)
		if event := wantAudit(t, d, alice, audit.SessionEnded)[0]; event.Origin.Address != "192.0.2.1" || event.Origin.Actor != audit.User {
			t.Errorf("noted is %+v", event)
		}
	})
}

func TestLogout(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, options(d, newClock()))
		opened := open(t, s)
		for range 2 { // the second comes from an app that did not hear the answer
			if err := s.Logout(t.Context(), opened, audit.Origin{}); err != nil {
				t.Fatal(err)
			}
			wantEnded(t, s, opened)
		}
		wantAudit(t, d, opened.UserID, audit.Logout)
	})
}

func TestEndOthers(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, options(d, newClock()))
		user := uuid.NewString()
		var sessions [4]session.Session
		for i := range sessions {
			sessions[i] = openAs(t, s, user, audit.Origin{})
		}
		stranger, current := open(t, s), sessions[1]
		for range 2 {
			if err := s.EndOthers(t.Context(), current, audit.Origin{}); err != nil {
				t.Fatal(err)
			}
		}
		for i, of := range sessions {
			if i == 1 {
				wantAlive(t, s, of)
			} else {
				wantEnded(t, s, of)
			}
		}
		wantAlive(t, s, stranger)
		wantAudit(t, d, user, audit.SessionEnded) // nothing is noted where nothing ended
	})
}

// TestEndAll ends sessions as a change of the password does.
func TestEndAll(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, options(d, newClock()))
		user := uuid.NewString()
		first, second := openAs(t, s, user, audit.Origin{}), openAs(t, s, user, audit.Origin{})
		failure := errors.New("the password cannot be stored")
		end := func(exceptID string, result error) (endings session.Endings, err error) {
			err = d.InTx(t.Context(), func(q *db.Queries) error {
				endings, err = s.EndAll(t.Context(), q, user, exceptID)
				return errors.Join(err, result)
			})
			return endings, err
		}
		if _, err := end("", failure); !errors.Is(err, failure) {
			t.Fatal(err)
		}
		wantAlive(t, s, first)
		wantAlive(t, s, second)
		for _, test := range []struct {
			exceptID string
			ended    session.Session
		}{{second.ID, first}, {"", second}, {"", first}} {
			endings, err := end(test.exceptID, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Announce(t.Context(), endings)
			wantEnded(t, s, test.ended)
			if test.exceptID != "" {
				wantAlive(t, s, second)
			}
		}
		wantAudit(t, d, user) // the caller knows why
	})
}

// TestEndAllNotesOneTime ends sessions while time goes on: what counts is when the last row was gone.
func TestEndAllNotesOneTime(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		o := options(d, c)
		o.Now = func() time.Time { c.advance(time.Second); return c.Now() }
		s := newService(t, o)
		user := uuid.NewString()
		first, second := openAs(t, s, user, audit.Origin{}), openAs(t, s, user, audit.Origin{})
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			_, err := s.EndAll(t.Context(), q, user, "")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wantEndings(t, d, c.Now(), first.ID, second.ID)
	})
}

// TestEndingsAtOnce ends and refreshes one session from all sides: it ends once, and nothing fails.
func TestEndingsAtOnce(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := newService(t, options(d, c))
		opened := open(t, s)
		old := opened.RefreshToken
		opened = refresh(t, s, old)
		c.advance(time.Minute)
		results := make(chan error)
		ends := []func() error{
			func() error { return s.End(t.Context(), opened.UserID, opened.ID, audit.Origin{}) },
			func() error { return s.Logout(t.Context(), opened, audit.Origin{}) },
			func() error { return s.EndOthers(t.Context(), session.Session{UserID: opened.UserID}, audit.Origin{}) },
			func() error { _, err := s.Refresh(t.Context(), old, audit.Origin{}, nil); return err },
		}
		const times = 5
		for range times {
			for _, end := range ends {
				go func() { results <- end() }()
			}
		}
		for range times * len(ends) {
			err := <-results
			if err != nil && !apperr.Is(err, apperr.SessionNotFound, apperr.RefreshTokenReused, apperr.InvalidRefreshToken) {
				t.Error(err)
			}
		}
		wantEnded(t, s, opened)
		if events, _, err := audit.New(audit.Options{Database: d}).List(t.Context(), opened.UserID, "", 10); err != nil || len(events) != 1 {
			t.Errorf("noted are %v, %v", events, err)
		}
	})
}
