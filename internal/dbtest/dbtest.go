// Package dbtest provides tests with new databases: SQLite in a temporary folder, and MySQL on the
// server that TEST_MYSQL names, or else on a private MariaDB that it starts and stops.
//
// A package that uses it needs this once:
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
package dbtest

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"gatehouse/internal/database"
)

// Main runs the tests and then the cleanups, stops the server if the tests started one, and exits.
func Main(m *testing.M, cleanups ...func() error) {
	code := m.Run()
	for _, cleanup := range append(cleanups, stopShared, stopSharedMinIO) {
		if err := cleanup(); err != nil {
			fmt.Fprintln(os.Stderr, "clean up after the tests:", err)
			code = max(code, 1)
		}
	}
	if skipped.Load() {
		fmt.Println(Banner)
	}
	os.Exit(code)
}

// Run runs the test once for each kind of database, on a new one that is migrated.
func Run(t *testing.T, test func(t *testing.T, d *database.Database)) {
	t.Helper()
	RunURL(t, func(t *testing.T, url string) { test(t, Open(t, url)) })
}

// RunURL runs the test once for each kind of database, with the URL of a new one that has no tables.
// The URL of SQLite is empty: the test provides its data folder.
func RunURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, "") })
	t.Run("mysql", func(t *testing.T) { test(t, MySQL(t)) })
}

// Open opens and migrates a database until the test ends. SQLite gets a new folder.
func Open(tb testing.TB, url string) *database.Database {
	tb.Helper()
	return OpenIn(tb, url, tb.TempDir(), slog.New(slog.DiscardHandler))
}

// OpenIn opens and migrates a database, with SQLite's file in dataDir. It is closed when the test ends, if the
// test has not closed it.
func OpenIn(tb testing.TB, url, dataDir string, logger *slog.Logger) *database.Database {
	tb.Helper()
	d, err := database.Open(tb.Context(), database.Options{URL: url, DataDir: dataDir, Logger: logger})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
			tb.Error(err)
		}
	})
	if _, err := d.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return d
}
