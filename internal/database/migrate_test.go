package database_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	migrations "gatehouse/sql"
)

// steps returns how many migrations there are for a database.
func steps(t *testing.T, url string) int {
	t.Helper()
	folder := "sqlite"
	if url != "" {
		folder = "mysql"
	}
	files, err := migrations.Migrations.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestMigrate(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		before := time.Now().Add(-2 * time.Second) // the database's clock has whole seconds
		d := open(t, options(url, t.TempDir()))
		if err := d.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "00001_users.sql") {
			t.Errorf("Ready of an empty database: %v, want the first missing migration", err)
		}
		if all, err := d.Status(t.Context()); err != nil || len(all) != steps(t, url) || !all[0].AppliedAt.IsZero() {
			t.Errorf("Status of an empty database: %v, %v", all, err)
		}
		applied, err := d.Migrate(t.Context())
		if err != nil || len(applied) != steps(t, url) || applied[0].Name != "00001_users.sql" || applied[0].Version != 1 {
			t.Fatalf("Migrate: %v, %v", applied, err)
		}
		if err := d.Ready(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		if again, err := d.Migrate(t.Context()); err != nil || len(again) != 0 {
			t.Errorf("Migrate again: %v, %v, want nothing", again, err)
		}
		all, err := d.Status(t.Context())
		if err != nil || len(all) != len(applied) {
			t.Fatalf("Status: %v, %v", all, err)
		}
		for _, m := range all {
			if m.AppliedAt.Before(before) || m.AppliedAt.After(time.Now()) || m.AppliedAt.Location() != time.UTC {
				t.Errorf("%s applied at %v, want now in UTC", m.Name, m.AppliedAt)
			}
		}
	})
}

func TestNewerSchema(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		newer := open(t, options(url, dir))
		if _, err := newer.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		pool := raw(t, newer)
		for _, query := range []string{
			"ALTER TABLE users ADD COLUMN added VARCHAR(10) NULL",
			"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)",
		} {
			if _, err := pool.Exec(query); err != nil {
				t.Fatal(err)
			}
		}
		older := open(t, options(url, dir))
		if applied, err := older.Migrate(t.Context()); err != nil || len(applied) != 0 {
			t.Errorf("Migrate: %v, %v, want nothing done", applied, err)
		}
		if err := older.Ready(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		if err := insertUser(t.Context(), older, newUser("+8618866668888")); err != nil {
			t.Errorf("insert: %v", err)
		}
	})
}

func TestMigrateAtOnceInOneProcess(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		var mu sync.Mutex
		total := 0
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				d, err := database.Open(t.Context(), options(url, dir))
				if err != nil {
					t.Error(err)
					return
				}
				defer d.Close()
				applied, err := d.Migrate(t.Context())
				if err != nil {
					t.Error(err)
				}
				if err := d.Ready(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				total += len(applied)
			})
		}
		wg.Wait()
		if total != steps(t, url) {
			t.Errorf("%d migrations applied, want %d", total, steps(t, url))
		}
	})
}

func TestMigrateAtOnceInProcesses(t *testing.T) {
	if url, ok := os.LookupEnv("MIGRATE_URL"); ok { // one of those started below
		applied, err := open(t, options(url, os.Getenv("MIGRATE_DIR"))).Migrate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(strings.Repeat("applied\n", len(applied)))
		return
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		outputs := make([]strings.Builder, 4)
		var wg sync.WaitGroup
		for i := range outputs {
			wg.Go(func() {
				cmd := exec.Command(os.Args[0], "-test.run=^TestMigrateAtOnceInProcesses$")
				cmd.Env = append(os.Environ(), "MIGRATE_URL="+url, "MIGRATE_DIR="+dir)
				cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
				if err := cmd.Run(); err != nil {
					t.Errorf("%v\n%s", err, outputs[i].String())
				}
			})
		}
		wg.Wait()
		total := 0
		for i := range outputs {
			total += strings.Count(outputs[i].String(), "applied\n")
		}
		if total != steps(t, url) {
			t.Errorf("%d migrations applied, want %d", total, steps(t, url))
		}
	})
}

// TestMigrateAgainAfterAKill repeats migrations that were applied, but not recorded before a kill.
func TestMigrateAgainAfterAKill(t *testing.T) {
	url := dbtest.MySQL(t)
	for recorded := range steps(t, url) + 1 { // version 0 is the first row of a new version table
		d := dbtest.Open(t, url)
		pool, err := d.OpenRaw()
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		if _, err := pool.ExecContext(t.Context(), "DELETE FROM goose_db_version WHERE version_id >= ?", recorded); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, options(url, "")).Migrate(t.Context()); err != nil {
			t.Errorf("migrate when version %d was not recorded: %v", recorded, err)
		}
	}
}
