package dbtest_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// TestDatabasesAreFresh checks that the second round sees nothing of the first.
func TestDatabasesAreFresh(t *testing.T) {
	ran := 0
	for range 2 {
		dbtest.Run(t, func(t *testing.T, d *database.Database) {
			ran++
			if _, err := d.Queries().GetUser(t.Context(), "id"); !errors.Is(err, sql.ErrNoRows) {
				t.Errorf("GetUser: %v, want no rows", err)
			}
			err := d.InTx(t.Context(), func(q *db.Queries) error {
				return q.InsertUser(t.Context(), db.InsertUserParams{ID: "id", Phone: new("1"), CreatedAt: time.Now(), UpdatedAt: time.Now()})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	if ran != 4 && dbtest.NoSkip() {
		t.Errorf("%d databases, want 4", ran)
	}
}

func TestURLsHaveNoTables(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, err := database.Open(t.Context(), database.Options{URL: url, DataDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.Ready(t.Context()); err == nil {
			t.Error("ready, want no migration applied")
		}
	})
}
