package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// stored reports whether the user is in the database.
func stored(t *testing.T, d *database.Database, id string) bool {
	t.Helper()
	_, err := d.Queries().GetUser(context.WithoutCancel(t.Context()), id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return err == nil
}

func TestInTx(t *testing.T) {
	refusal := errors.New("refused")
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		tests := []struct {
			name       string
			before     bool // cancel the context before InTx
			fn         func(cancel func()) error
			wantErr    error
			wantStored bool
		}{
			{name: "success", fn: func(func()) error { return nil }, wantStored: true},
			{name: "error", fn: func(func()) error { return refusal }, wantErr: refusal},
			{name: "context over before", before: true, fn: func(func()) error { return nil }, wantErr: context.Canceled},
			{name: "context ends within", fn: func(cancel func()) error { cancel(); return nil }, wantErr: context.Canceled},
		}
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.before {
					cancel()
				}
				u := newUser(fmt.Sprint(i))
				err := d.InTx(ctx, func(q *db.Queries) error {
					if err := q.InsertUser(ctx, u); err != nil {
						return err
					}
					return test.fn(cancel)
				})
				if !errors.Is(err, test.wantErr) {
					t.Errorf("error %v, want %v", err, test.wantErr)
				}
				if got := stored(t, d, u.ID); got != test.wantStored {
					t.Errorf("stored %v, want %v", got, test.wantStored)
				}
			})
		}
	})
}

func TestInTxRollsBackOnPanicAndExit(t *testing.T) {
	tests := map[string]func(){
		"panic": func() { panic("boom") },
		"exit":  runtime.Goexit,
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for name, leave := range tests {
			t.Run(name, func(t *testing.T) {
				u := newUser(newID()[20:])
				recovered := make(chan any)
				go func() {
					defer func() { recovered <- recover() }()
					d.InTx(t.Context(), func(q *db.Queries) error {
						if err := q.InsertUser(t.Context(), u); err != nil {
							return err
						}
						leave()
						return nil
					})
				}()
				if got := <-recovered; name == "panic" && got != "boom" {
					t.Errorf("recovered %v, want the panic of the function", got)
				}
				if stored(t, d, u.ID) {
					t.Error("the row was stored")
				}
				if err := insertUser(t.Context(), d, u); err != nil {
					t.Errorf("insert afterwards: %v", err)
				}
			})
		}
	})
}

func TestInTxRunsAgain(t *testing.T) {
	conflict := fmt.Errorf("insert: %w", &mysql.MySQLError{Number: 1213})
	tests := []struct {
		name      string
		conflicts int
		wantTries int
		wantBusy  bool
	}{
		{"once", 0, 1, false},
		{"after conflicts", 2, 3, false},
		{"until it gives up", 1000, database.MaxTries, true},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				u := newUser(newID()[20:])
				tries, before := 0, d.Stats().Retries
				err := d.InTx(t.Context(), func(q *db.Queries) error {
					tries++
					if err := q.InsertUser(t.Context(), u); err != nil {
						return err
					}
					if tries <= test.conflicts {
						return conflict
					}
					return nil
				})
				if tries != test.wantTries || database.IsBusy(err) != test.wantBusy || err != nil != test.wantBusy {
					t.Errorf("%d tries, %v, want %d and busy %v", tries, err, test.wantTries, test.wantBusy)
				}
				if got := stored(t, d, u.ID); got == test.wantBusy {
					t.Errorf("stored %v", got)
				}
				if got := d.Stats().Retries - before; got != int64(test.wantTries-1) {
					t.Errorf("%d retries are counted, want %d", got, test.wantTries-1)
				}
			})
		}
	})
}

func TestInTxStopsTryingWhenTheContextEnds(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := d.InTx(ctx, func(*db.Queries) error {
			cancel()
			return &mysql.MySQLError{Number: 1205}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
	})
}

// TestDeadlock locks two rows in opposite order in two transactions, one of which MySQL rolls back. It is retried.
func TestDeadlock(t *testing.T) {
	d := dbtest.Open(t, dbtest.MySQL(t))
	a, b := newUser("1"), newUser("2")
	for _, u := range []db.InsertUserParams{a, b} {
		if err := insertUser(t.Context(), d, u); err != nil {
			t.Fatal(err)
		}
	}
	var tries atomic.Int32
	var both sync.WaitGroup // reached when each holds its first row
	both.Add(2)
	visit := func(first, second string) error {
		var once sync.Once
		return d.InTx(t.Context(), func(q *db.Queries) error {
			tries.Add(1)
			if _, err := q.AddHomeVisit(t.Context(), db.AddHomeVisitParams{UpdatedAt: time.Now(), ID: first}); err != nil {
				return err
			}
			once.Do(func() { both.Done(); both.Wait() })
			_, err := q.AddHomeVisit(t.Context(), db.AddHomeVisitParams{UpdatedAt: time.Now(), ID: second})
			return err
		})
	}
	other := make(chan error)
	go func() { other <- visit(b.ID, a.ID) }()
	if err := errors.Join(visit(a.ID, b.ID), <-other); err != nil {
		t.Fatal(err)
	}
	if tries.Load() < 3 {
		t.Errorf("%d tries, want one more than two", tries.Load())
	}
	for _, id := range []string{a.ID, b.ID} {
		if u, err := d.Queries().GetUser(t.Context(), id); err != nil || u.HomeVisits != 2 {
			t.Errorf("visits %d, %v, want 2", u.HomeVisits, err)
		}
	}
}

// TestBusy holds SQLite's only lock on another connection for longer than SQLite itself waits.
func TestBusy(t *testing.T) {
	d := dbtest.Open(t, "")
	other, err := raw(t, d).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	released := make(chan error)
	go func() {
		time.Sleep(2500 * time.Millisecond)
		_, err := other.ExecContext(context.Background(), "ROLLBACK")
		released <- err
	}()
	u := newUser("1")
	if err := insertUser(t.Context(), d, u); err != nil {
		t.Error(err)
	}
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	if !stored(t, d, u.ID) {
		t.Error("the row was not stored")
	}
}

func TestLostUpdatesDoNotHappen(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		u := newUser("1")
		if err := insertUser(t.Context(), d, u); err != nil {
			t.Fatal(err)
		}
		const clients, visits = 16, 20
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for range visits {
					err := d.InTx(t.Context(), func(q *db.Queries) error {
						_, err := q.AddHomeVisit(t.Context(), db.AddHomeVisitParams{UpdatedAt: time.Now(), ID: u.ID})
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got, err := d.Queries().GetUser(t.Context(), u.ID); err != nil || got.HomeVisits != clients*visits {
			t.Errorf("visits %d, %v, want %d", got.HomeVisits, err, clients*visits)
		}
	})
}

// TestAnswersAreTrue runs many concurrent transactions that succeed, refuse, panic, collide and lose
// their clients. Whatever they do to each other, exactly the successful ones are stored.
func TestAnswersAreTrue(t *testing.T) {
	refusal := errors.New("refused")
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		taken := newUser("taken")
		if err := insertUser(t.Context(), d, taken); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for j := range 40 {
					u := newUser(fmt.Sprintf("%d-%d", i, j))
					ctx, cancel := context.WithCancel(t.Context())
					err := func() (err error) {
						defer func() {
							if recover() != nil {
								err = refusal
							}
						}()
						return d.InTx(ctx, func(q *db.Queries) error {
							if err := q.InsertUser(ctx, u); err != nil {
								return err
							}
							switch (i + j) % 6 {
							case 0:
								return refusal
							case 1:
								panic("boom")
							case 2:
								again := newUser("taken")
								if err := q.InsertUser(ctx, again); !database.IsDuplicate(err) {
									return fmt.Errorf("insert of a duplicate: %w", err)
								}
							case 3:
								go cancel() // interrupts a statement, or comes too late
								_, err := q.AddHomeVisit(ctx, db.AddHomeVisitParams{UpdatedAt: time.Now(), ID: u.ID})
								return err
							}
							return nil
						})
					}()
					cancel()
					if got := stored(t, d, u.ID); got != (err == nil) {
						t.Errorf("stored %v, answered %v", got, err)
					}
					switch (i + j) % 6 {
					case 0, 1:
						if !errors.Is(err, refusal) {
							t.Errorf("error %v, want the refusal", err)
						}
					case 3:
						if err != nil && ctx.Err() == nil {
							t.Errorf("error %v without a reason", err)
						}
					default:
						if err != nil {
							t.Errorf("error %v, want none", err)
						}
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestLostConnectionRunsAgain(t *testing.T) {
	p := newProxy(t, dbtest.MySQL(t))
	d := dbtest.Open(t, p.url)
	u := newUser("1")
	tries := 0
	err := d.InTx(t.Context(), func(q *db.Queries) error {
		tries++
		if tries == 1 {
			p.cut()
		}
		return q.InsertUser(t.Context(), u)
	})
	if err != nil || tries != 2 || !stored(t, d, u.ID) {
		t.Errorf("%d tries, %v, want the second one to store the row", tries, err)
	}
}

// TestLostConnection breaks the connection around the packet that decides: a COMMIT, or the statement of Exec.
func TestLostConnection(t *testing.T) {
	u := newUser("1")
	writes := []struct {
		name, decides string
		write         func(ctx context.Context, d *database.Database) error
	}{
		{"transaction", "COMMIT", func(ctx context.Context, d *database.Database) error {
			return d.InTx(ctx, func(q *db.Queries) error { return q.InsertUser(ctx, u) })
		}},
		{"statement", u.ID, func(ctx context.Context, d *database.Database) error {
			return d.Exec(ctx, func(ctx context.Context, q *db.Queries) error { return q.InsertUser(ctx, u) })
		}},
	}
	tests := []struct {
		name        string
		forward     bool // it reaches the server
		cut         bool // the connection breaks before the answer
		wantUnknown bool
		wantStored  bool
	}{
		{"client goes away meanwhile", true, false, false, true},
		{"lost before the server has it", false, true, true, false},
		{"lost before the answer", true, true, true, true},
	}
	for _, write := range writes {
		for _, test := range tests {
			t.Run(write.name+" "+test.name, func(t *testing.T) {
				direct := dbtest.MySQL(t)
				p := newProxy(t, direct)
				d := dbtest.Open(t, p.url)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var packets atomic.Int32
				p.trigger = write.decides
				p.onPacket = func(packet []byte, server net.Conn) {
					packets.Add(1)
					cancel()
					if test.forward {
						p.mute.Store(test.cut)
						server.Write(packet)
					}
					if test.cut && test.forward {
						<-p.muted // the server has answered
					}
					if test.cut {
						p.cut()
					}
				}
				err := write.write(ctx, d)
				if packets.Load() != 1 || errors.Is(err, database.ErrCommitUnknown) != test.wantUnknown || err != nil != test.wantUnknown {
					t.Errorf("%d tries, %v, want unknown %v", packets.Load(), err, test.wantUnknown)
				}
				if got := stored(t, dbtest.Open(t, direct), u.ID); got != test.wantStored {
					t.Errorf("stored %v, want %v", got, test.wantStored)
				}
			})
		}
	}
}
