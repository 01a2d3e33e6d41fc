package database_test

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

func TestDuplicates(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		first := newUser("+8618866668888")
		if err := insertUser(t.Context(), d, first); err != nil {
			t.Fatal(err)
		}
		samePhone, sameID := newUser(*first.Phone), newUser("+8618866668889")
		sameID.ID = first.ID
		for name, u := range map[string]db.InsertUserParams{"unique key": samePhone, "primary key": sameID} {
			if err := insertUser(t.Context(), d, u); !database.IsDuplicate(err) {
				t.Errorf("%s: %v, want a duplicate", name, err)
			}
		}
	})
}

func TestGoOnAfterADuplicate(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		first, second := newUser("1"), newUser("2")
		if err := insertUser(t.Context(), d, first); err != nil {
			t.Fatal(err)
		}
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			if err := q.InsertUser(t.Context(), newUser("1")); !database.IsDuplicate(err) {
				return fmt.Errorf("want a duplicate: %w", err)
			}
			if got, err := q.GetUserByPhone(t.Context(), new("1")); err != nil || got.ID != first.ID {
				return fmt.Errorf("the row in the way is %s, %w", got.ID, err)
			}
			return q.InsertUser(t.Context(), second)
		})
		if err != nil {
			t.Fatal(err)
		}
		if !stored(t, d, second.ID) {
			t.Error("what came after the duplicate was not stored")
		}
	})
}

// TestReadAfterDuplicate commits a row in another transaction after this one has begun to read.
func TestReadAfterDuplicate(t *testing.T) {
	d := dbtest.Open(t, dbtest.MySQL(t))
	theirs := newUser("1")
	err := d.InTx(t.Context(), func(q *db.Queries) error {
		if _, err := q.GetUserByPhone(t.Context(), new("1")); err == nil {
			return errors.New("the row is there already")
		}
		if err := insertUser(t.Context(), d, theirs); err != nil {
			return err
		}
		if err := q.InsertUser(t.Context(), newUser("1")); !database.IsDuplicate(err) {
			return fmt.Errorf("want a duplicate: %w", err)
		}
		_, err := q.GetUserByPhone(t.Context(), new("1"))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOneOfManyInsertsWins(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		var mu sync.Mutex
		won := 0
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				err := insertUser(t.Context(), d, newUser("1"))
				if err != nil && !database.IsDuplicate(err) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d inserts won, want 1", won)
		}
	})
}

func TestFullDisk(t *testing.T) {
	d := dbtest.Open(t, "")
	if err := d.LimitSize(t.Context(), 1); err != nil { // SQLite raises it to the current size
		t.Fatal(err)
	}
	before, after := newUser("1"), newUser("2")
	big := newUser("3")
	big.PasswordHash = string(bytes.Repeat([]byte("x"), 1<<20))
	if err := insertUser(t.Context(), d, before); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := insertUser(t.Context(), d, big); !database.IsFull(err) || errors.Is(err, database.ErrCommitUnknown) {
				t.Errorf("error %v, want a full disk", err)
			}
		})
	}
	wg.Wait()
	if err := insertUser(t.Context(), d, after); err != nil {
		t.Errorf("small row afterwards: %v", err)
	}
	for _, u := range []db.InsertUserParams{before, after} {
		if !stored(t, d, u.ID) {
			t.Errorf("user %s is lost", *u.Phone)
		}
	}
}

func TestKindsOfErrors(t *testing.T) {
	number := func(n uint16) error { return fmt.Errorf("insert: %w", &mysql.MySQLError{Number: n}) }
	tests := []struct {
		name                              string
		err                               error
		wantDuplicate, wantBusy, wantFull bool
	}{
		{name: "none"},
		{name: "other", err: errors.New("duplicate, busy and full")},
		{name: "duplicate", err: number(1062), wantDuplicate: true},
		{name: "foreign key", err: number(1452)},
		{name: "deadlock", err: number(1213), wantBusy: true},
		{name: "lock timeout", err: number(1205), wantBusy: true},
		{name: "record changed", err: number(1020), wantBusy: true},
		{name: "write conflict", err: number(9007), wantBusy: true},
		{name: "too many connections", err: number(1040), wantBusy: true},
		{name: "lost", err: fmt.Errorf("insert: %w", mysql.ErrInvalidConn), wantBusy: true},
		{name: "bad", err: driver.ErrBadConn, wantBusy: true},
		{name: "no server", err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}, wantBusy: true},
		{name: "unknown commit", err: fmt.Errorf("%w: %w", database.ErrCommitUnknown, mysql.ErrInvalidConn)},
		{name: "disk full", err: number(1021), wantFull: true},
		{name: "table full", err: number(1114), wantFull: true},
		{name: "syntax", err: number(1064)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := database.IsDuplicate(test.err); got != test.wantDuplicate {
				t.Errorf("IsDuplicate %v", got)
			}
			if got := database.IsBusy(test.err); got != test.wantBusy {
				t.Errorf("IsBusy %v", got)
			}
			if got := database.IsFull(test.err); got != test.wantFull {
				t.Errorf("IsFull %v", got)
			}
		})
	}
}
