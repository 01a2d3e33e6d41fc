package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/idempotency"
)

// doOnce asks for an effect, and answers with the text.
func doOnce(t *testing.T, d *database.Database, once *idempotency.Once, text string) ([]byte, error) {
	t.Helper()
	return once.Do(t.Context(), func() ([]byte, error) {
		render := func(text string) ([]byte, error) { return []byte(text), nil }
		commit := idempotency.CommitResult(t.Context(), once, render)
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			if commit != nil {
				if err := commit(q, text); err != nil {
					return err
				}
			}
			return addEffect(t.Context(), q, "user")
		})
		return []byte(text), err
	})
}

func TestOnceDoesIt(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		for i := range 3 {
			answer, err := doOnce(t, d, s.Once(request()), fmt.Sprint("answer ", i))
			if err != nil || string(answer) != "answer 0" {
				t.Errorf("time %d: answer %q, %v, want that of the first", i, answer, err)
			}
		}
		wantEffects(t, d, "user", 1)
		other := request()
		other.Fingerprint = fingerprint("two")
		if answer, err := doOnce(t, d, s.Once(other), "other"); !apperr.Is(err, apperr.IdempotencyKeyReused) {
			t.Errorf("answer %q, %v, want IdempotencyKeyReused", answer, err)
		}
		wantEffects(t, d, "user", 1)
	})
}

func TestWithoutKeyItIsDoneEachTime(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		var without *idempotency.Once
		for i := range 2 {
			want := fmt.Sprint("answer ", i)
			if answer, err := doOnce(t, d, without, want); err != nil || string(answer) != want {
				t.Errorf("answer %q, %v, want %q", answer, err, want)
			}
		}
		if without.Commit(t.Context(), nil) != nil {
			t.Error("there is something to commit")
		}
		wantEffects(t, d, "user", 2)
	})
}

// TestOnceInParallel has only some requests find the answer at first; the others lose the race.
func TestOnceInParallel(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		answers := make([][]byte, 50)
		var group sync.WaitGroup
		for i := range answers {
			group.Go(func() {
				var err error
				if answers[i], err = doOnce(t, d, s.Once(request()), fmt.Sprint("answer ", i)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		for _, answer := range answers {
			if !bytes.Equal(answer, answers[0]) || len(answer) == 0 {
				t.Errorf("answers %q and %q, want the same", answer, answers[0])
			}
		}
		wantEffects(t, d, "user", 1)
	})
}

// TestLostCommitIsAnswered loses the answer of the database, and the client too: the effect is there, and so is the answer.
func TestLostCommitIsAnswered(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		once := s.Once(request())
		answer, err := once.Do(t.Context(), func() ([]byte, error) {
			if err := d.InTx(t.Context(), once.Commit(t.Context(), []byte("stored"))); err != nil {
				t.Fatal(err)
			}
			return nil, database.Refusal(database.ErrCommitUnknown)
		})
		if err != nil || string(answer) != "stored" {
			t.Errorf("answer %q, %v, want what was stored", answer, err)
		}
	})
}

func TestFailureIsNotRepeated(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		tries := 0
		failed := errors.New("failed")
		for range 2 {
			_, err := s.Once(request()).Do(t.Context(), func() ([]byte, error) { tries++; return nil, failed })
			if !errors.Is(err, failed) {
				t.Errorf("error is %v, want %v", err, failed)
			}
		}
		if tries != 2 {
			t.Errorf("tried %d times, want 2", tries)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Once(request()).Do(gone, func() ([]byte, error) { return nil, failed }); err == nil {
			t.Error("answered a client that is gone")
		}
	})
}
