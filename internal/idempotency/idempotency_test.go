package idempotency_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/idempotency"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// clock is set by the tests, and has more digits than the databases store.
type clock struct{ microseconds atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.microseconds.Store(time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time {
	return time.UnixMicro(c.microseconds.Load()).Add(789 * time.Nanosecond)
}
func (c *clock) pass(d time.Duration)   { c.microseconds.Add(d.Microseconds()) }
func newKey(first byte) []byte          { return bytes.Repeat([]byte{first}, 32) }
func fingerprint(asked string) [32]byte { return sha256.Sum256([]byte(asked)) }

func open(t *testing.T, d *database.Database, c *clock) *idempotency.Service {
	t.Helper()
	return openWithKey(t, d, c, newKey(1))
}

func openWithKey(t *testing.T, d *database.Database, c *clock, key []byte) *idempotency.Service {
	t.Helper()
	s, err := idempotency.New(idempotency.Options{Database: d, Now: c.now, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request() idempotency.Request {
	return idempotency.Request{
		Operation: "registerUser", Key: "5f1c7a0e-1d5b-4f6e-9b61-0f6f3c1f8a52", Fingerprint: fingerprint("one"),
	}
}

// do stores the answer and has an effect, in one transaction.
func do(t *testing.T, d *database.Database, s *idempotency.Service, r idempotency.Request, answer, effect string) error {
	t.Helper()
	return d.InTx(t.Context(), func(q *db.Queries) error {
		if err := s.Save(t.Context(), q, r, []byte(answer)); err != nil {
			return err
		}
		return addEffect(t.Context(), q, effect)
	})
}

// addEffect adds an event, because those can be counted.
func addEffect(ctx context.Context, q *db.Queries, user string) error {
	return q.InsertAuditEvent(ctx, db.InsertAuditEventParams{
		ID: uuid.Must(uuid.NewV7()).String(), UserID: user, CreatedAt: time.UnixMicro(0),
	})
}

func wantEffects(t *testing.T, d *database.Database, user string, want int) {
	t.Helper()
	events, err := d.Queries().ListAuditEvents(t.Context(), db.ListAuditEventsParams{UserID: user, Before: "~", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != want {
		t.Errorf("done %d times, want %d", len(events), want)
	}
}

func wantAnswer(t *testing.T, s *idempotency.Service, r idempotency.Request, want string) {
	t.Helper()
	answer, found, err := s.Find(t.Context(), r)
	if err != nil || !found || string(answer) != want {
		t.Errorf("found %q, %v, %v, want %q", answer, found, err, want)
	}
}

func wantNoAnswer(t *testing.T, s *idempotency.Service, r idempotency.Request) {
	t.Helper()
	if answer, found, err := s.Find(t.Context(), r); err != nil || found {
		t.Errorf("found %q, %v, %v, want nothing", answer, found, err)
	}
}

func TestAnswerIsRepeated(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for _, answer := range []string{"", "{}", `{"token":"secret"}`} {
			c := newClock()
			s, otherNode := open(t, d, c), open(t, d, c)
			r := request()
			r.Key = uuid.NewString()
			wantNoAnswer(t, s, r)
			if err := do(t, d, s, r, answer, "a"+r.Key[1:]); err != nil {
				t.Fatal(err)
			}
			wantAnswer(t, s, r, answer)
			wantAnswer(t, otherNode, r, answer)
			if err := do(t, d, otherNode, r, "another", "a"+r.Key[1:]); !errors.Is(err, idempotency.ErrStored) {
				t.Errorf("done again: %v, want ErrStored", err)
			}
			wantAnswer(t, s, r, answer)
			wantEffects(t, d, "a"+r.Key[1:], 1)
		}
	})
}

// TestStoredIsNoDuplicate checks that nobody takes ErrStored for a duplicate of their own row.
func TestStoredIsNoDuplicate(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		if err := do(t, d, s, request(), "first", "user"); err != nil {
			t.Fatal(err)
		}
		if err := do(t, d, s, request(), "second", "user"); !errors.Is(err, idempotency.ErrStored) || database.IsDuplicate(err) {
			t.Errorf("error is %v, want ErrStored and no duplicate", err)
		}
	})
}

func TestRequestsAreToldApart(t *testing.T) {
	tests := []struct {
		name   string
		change func(r *idempotency.Request)
	}{
		{"operation", func(r *idempotency.Request) { r.Operation = "refreshSession" }},
		{"caller", func(r *idempotency.Request) { r.Caller = "0198d5c0-0000-7000-8000-000000000001" }},
		{"key", func(r *idempotency.Request) { r.Key += "x" }},
		{"where a part ends", func(r *idempotency.Request) { r.Operation, r.Caller = "register", "User" }},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		if err := do(t, d, s, request(), "first", "user"); err != nil {
			t.Fatal(err)
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				other := request()
				test.change(&other)
				wantNoAnswer(t, s, other)
				if err := do(t, d, s, other, "other", "user"); err != nil {
					t.Fatal(err)
				}
				wantAnswer(t, s, other, "other")
				wantAnswer(t, s, request(), "first")
			})
		}
	})
}

func TestKeyOfAnotherRequestIsRefused(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := open(t, d, c)
		if err := do(t, d, s, request(), "first", "user"); err != nil {
			t.Fatal(err)
		}
		other := request()
		other.Fingerprint = fingerprint("two")
		if err := do(t, d, s, other, "second", "user"); !errors.Is(err, idempotency.ErrStored) {
			t.Errorf("done with a used key: %v, want ErrStored", err)
		}
		if _, found, err := s.Find(t.Context(), other); found || !apperr.Is(err, apperr.IdempotencyKeyReused) {
			t.Errorf("found %v, %v, want IdempotencyKeyReused", found, err)
		}
		wantEffects(t, d, "user", 1)
		c.pass(24 * time.Hour)
		wantNoAnswer(t, s, other)
	})
}

func TestFailedRequestStoresNothing(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		failed := errors.New("the effect failed")
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			return errors.Join(s.Save(t.Context(), q, request(), []byte("lost")), failed)
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		wantNoAnswer(t, s, request())
		if err := do(t, d, s, request(), "again", "user"); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, s, request(), "again")
	})
}

func TestAnswersExpire(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		s := open(t, d, c)
		if err := do(t, d, s, request(), "first", "user"); err != nil {
			t.Fatal(err)
		}
		c.pass(24*time.Hour - time.Microsecond)
		wantAnswer(t, s, request(), "first")
		wantDeleted(t, s, 0)
		c.pass(time.Microsecond)
		wantNoAnswer(t, s, request())
		if err := do(t, d, s, request(), "second", "user"); err != nil {
			t.Fatalf("an expired answer is in the way: %v", err)
		}
		wantAnswer(t, s, request(), "second")
		wantEffects(t, d, "user", 2)
		wantDeleted(t, s, 0)
		c.pass(24 * time.Hour)
		wantDeleted(t, s, 1)
		wantDeleted(t, s, 0)
	})
}

func wantDeleted(t *testing.T, s *idempotency.Service, want int64) {
	t.Helper()
	if deleted, err := s.DeleteExpired(t.Context()); err != nil || deleted != want {
		t.Errorf("deleted %d, %v, want %d", deleted, err, want)
	}
}

// TestParallelRequestsAreDoneOnce sends one request a hundred times, to two nodes, on a fresh key and on an expired one.
func TestParallelRequestsAreDoneOnce(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		nodes := []*idempotency.Service{open(t, d, c), open(t, d, c)}
		for _, user := range []string{"fresh", "expired"} {
			done, stored := sendInParallel(t, d, nodes, user)
			if done != 1 || stored != 99 {
				t.Errorf("%s: done %d times and stored %d times, want 1 and 99", user, done, stored)
			}
			wantEffects(t, d, user, 1)
			wantAnswer(t, nodes[0], request(), "the answer for "+user)
			c.pass(24 * time.Hour)
		}
	})
}

// sendInParallel returns how many requests were done, and how many were told ErrStored.
func sendInParallel(t *testing.T, d *database.Database, nodes []*idempotency.Service, user string) (done, stored int32) {
	t.Helper()
	var doneCount, storedCount atomic.Int32
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			s := nodes[i%len(nodes)]
			switch err := do(t, d, s, request(), "the answer for "+user, user); {
			case err == nil:
				doneCount.Add(1)
			case errors.Is(err, idempotency.ErrStored):
				storedCount.Add(1)
				wantAnswer(t, s, request(), "the answer for "+user)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	return doneCount.Load(), storedCount.Load()
}

// TestParallelRequestsAfterFailures lets the first requests fail while the others wait for them.
func TestParallelRequestsAfterFailures(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		failed := errors.New("failed")
		var tries, done atomic.Int32
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				err := d.InTx(t.Context(), func(q *db.Queries) error {
					if err := s.Save(t.Context(), q, request(), []byte("the answer")); err != nil {
						return err
					}
					if tries.Add(1) <= 3 {
						return failed
					}
					return addEffect(t.Context(), q, "user")
				})
				if err == nil {
					done.Add(1)
				} else if !errors.Is(err, failed) && !errors.Is(err, idempotency.ErrStored) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if done.Load() != 1 {
			t.Errorf("done %d times, want once", done.Load())
		}
		wantEffects(t, d, "user", 1)
		wantAnswer(t, s, request(), "the answer")
	})
}

// TestDatabaseTellsNothing checks that neither the request nor the answer can be read in the database.
func TestDatabaseTellsNothing(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		c := newClock()
		s := open(t, d, c)
		const answer = `{"token":"eyJhbGciOiJFZERTQSJ9","refreshToken":"AZqdXHoufDGfCj18Gypej3wAAAAAx5rYvWm1kq0e"}`
		if err := do(t, d, s, request(), answer, "user"); err != nil {
			t.Fatal(err)
		}
		row := onlyRow(t, pool)
		r := request()
		for _, clear := range []string{answer, "token", r.Key, r.Operation, string(r.Fingerprint[:])} {
			if bytes.Contains(row, []byte(clear)) {
				t.Errorf("the row contains %q", clear)
			}
		}
		wantNoAnswer(t, openWithKey(t, d, c, newKey(2)), request())
		if _, err := pool.ExecContext(t.Context(), "UPDATE idempotent_answers SET answer = expires_at"); err != nil {
			t.Fatal(err)
		}
		if answer, found, err := s.Find(t.Context(), request()); err == nil || found {
			t.Errorf("found %q in a damaged row", answer)
		}
	})
}

func onlyRow(t *testing.T, pool *sql.DB) []byte {
	t.Helper()
	var hash, print, sealed []byte
	const query = "SELECT hash, fingerprint, answer FROM idempotent_answers"
	if err := pool.QueryRowContext(t.Context(), query).Scan(&hash, &print, &sealed); err != nil {
		t.Fatal(err)
	}
	return bytes.Join([][]byte{hash, print, sealed}, []byte("|"))
}

func openDatabase(t *testing.T, url string) (*database.Database, *sql.DB) {
	t.Helper()
	dir := t.TempDir()
	return dbtest.OpenIn(t, url, dir, slog.New(slog.DiscardHandler)), dbtest.OpenPool(t, url, dir)
}

func TestAnswerIsBounded(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := open(t, d, newClock())
		longest := string(make([]byte, 4<<20))
		if err := do(t, d, s, request(), longest+"x", "user"); err == nil {
			t.Error("saved an answer that is too long")
		}
		wantNoAnswer(t, s, request())
		if err := do(t, d, s, request(), longest, "user"); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, s, request(), longest)
	})
}

func TestKeyHasItsLength(t *testing.T) {
	for _, length := range []int{0, 16, 31, 33} {
		if _, err := idempotency.New(idempotency.Options{Key: make([]byte, length)}); err == nil {
			t.Errorf("took a key of %d bytes", length)
		}
	}
}
