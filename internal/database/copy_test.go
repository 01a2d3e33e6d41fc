package database_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// TestCopyIsOfOneMoment copies while pairs of rows are written, each in a transaction.
func TestCopyIsOfOneMoment(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
		if databaseURL != "" {
			dbtest.NeedDump(t)
		}
		d := dbtest.Open(t, databaseURL)
		ctx, cancel := context.WithCancel(t.Context())
		var writer sync.WaitGroup
		written := 0
		writer.Go(func() {
			for ctx.Err() == nil {
				err := d.InTx(t.Context(), func(q *db.Queries) error {
					for _, half := range []string{"a", "b"} {
						if err := insertLease(t.Context(), q, fmt.Sprintf("%s%d", half, written)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				written++
			}
		})
		for i := range 5 {
			file := filepath.Join(t.TempDir(), "copy")
			if err := d.Copy(t.Context(), file); err != nil {
				t.Fatal(err)
			}
			halves := map[byte]int{}
			columns := []database.Columns{{Table: "leases", Names: []string{"holder", "name"}}}
			err := database.ReadCopy(t.Context(), d.Kind(), file, columns, func(_ string, row [][]byte) error {
				if string(row[0]) != odd {
					return fmt.Errorf("holder %q, want %q", row[0], odd)
				}
				halves[row[1][0]]++
				return nil
			})
			if err != nil || halves['a'] != halves['b'] {
				t.Errorf("copy %d has %d first and %d second halves, %v", i, halves['a'], halves['b'], err)
			}
		}
		cancel()
		writer.Wait()
		if written == 0 {
			t.Error("nobody could write")
		}
	})
}

// odd is a text that a dump must escape.
const odd = "it's; a \\ \"name\"\n(1,2),\r\t\x00\x1a ü ('"

func insertLease(ctx context.Context, q *db.Queries, name string) error {
	return q.InsertLease(ctx, db.InsertLeaseParams{Name: name, Holder: odd, ExpiresAt: time.Unix(0, 0).UTC()})
}

// TestCopyOfAUserWithAnOddPassword has a password that the option file must quote.
func TestCopyOfAUserWithAnOddPassword(t *testing.T) {
	dbtest.NeedDump(t)
	databaseURL := dbtest.NewServer(t).CreateDatabase(t)
	const password = `p"a#s's w\o%r$d;`
	pool := dbtest.OpenPool(t, databaseURL, "")
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE USER odd@'%' IDENTIFIED BY '" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(password) + "'",
		"GRANT ALL ON gatehouse.* TO odd@'%'",
	} {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	u.User = url.UserPassword("odd", password)
	d := dbtest.OpenIn(t, u.String(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err := d.Copy(t.Context(), filepath.Join(t.TempDir(), "copy")); err != nil {
		t.Errorf("copy: %v", err)
	}
}
