package database_test

import (
	"errors"
	"runtime"
	"testing"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// TestBatchIsLost lets the second member of a batch roll back the first one, which is retried.
func TestBatchIsLost(t *testing.T) {
	interrupted := errors.New("interrupted")
	d := dbtest.Open(t, "")
	first, second := newUser("1"), newUser("2")
	started := make(chan struct{})
	answer := make(chan error)
	go func() {
		<-started
		answer <- d.InTx(t.Context(), func(q *db.Queries) error {
			return errors.Join(q.InsertUser(t.Context(), second), d.LoseTransaction(), interrupted)
		})
	}()
	tries := 0
	err := d.InTx(t.Context(), func(q *db.Queries) error {
		tries++
		if tries == 1 {
			close(started)
			for d.Waiting() == 0 { // until the second one is in the queue
				runtime.Gosched()
			}
		}
		return q.InsertUser(t.Context(), first)
	})
	if err != nil || tries != 2 || !stored(t, d, first.ID) {
		t.Errorf("first: %d tries, %v, want the second one stored", tries, err)
	}
	if err := <-answer; !errors.Is(err, interrupted) || stored(t, d, second.ID) {
		t.Errorf("second: %v, want its own error and nothing stored", err)
	}
}

func TestCommitFails(t *testing.T) {
	d := dbtest.Open(t, "")
	u := newUser("1")
	err := d.InTx(t.Context(), func(q *db.Queries) error {
		return errors.Join(q.InsertUser(t.Context(), u), d.LoseTransaction())
	})
	if !errors.Is(err, database.ErrCommitUnknown) {
		t.Errorf("error %v, want an unknown outcome", err)
	}
	if stored(t, d, u.ID) {
		t.Error("the row was stored")
	}
	if err := insertUser(t.Context(), d, u); err != nil {
		t.Errorf("insert afterwards: %v", err)
	}
}
