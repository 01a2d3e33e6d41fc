package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the driver

	"gatehouse/internal/db"
)

// sqliteFile is the file of the database in the data folder.
const sqliteFile = "gatehouse.db"

// sqliteEngine has one connection for writes and several for reads, because SQLite allows only one writer.
type sqliteEngine struct {
	file    string
	readers *sql.DB
	reads   *db.Queries
	writer  *sqliteWriter
}

func openSQLite(ctx context.Context, o Options) (*sqliteEngine, error) {
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data folder: %w", err)
	}
	file := filepath.Join(o.DataDir, sqliteFile)
	if err := createPrivate(file); err != nil {
		return nil, err
	}
	writer, err := openSQLiteWriter(ctx, file, o.Traces)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	readers, err := o.Traces.OpenDriver("sqlite", sqliteDSN(file, url.Values{"_query_only": {"1"}}), "sqlite")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", file, err), writer.close())
	}
	n := cmp.Or(o.Connections, max(4, runtime.NumCPU()))
	readers.SetMaxOpenConns(n)
	readers.SetMaxIdleConns(n)
	return &sqliteEngine{file: file, readers: readers, reads: db.New(readers), writer: writer}, nil
}

// createPrivate creates an empty database that only this user can read. SQLite gives its other files the same mode.
func createPrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return f.Close()
}

// sqliteDSN returns the data source name with the parameters of every connection, and more.
func sqliteDSN(file string, more url.Values) string {
	v := url.Values{
		"_busy_timeout":        {"2000"}, // milliseconds; InTx retries after that
		"_journal_mode":        {"WAL"},
		"_synchronous":         {"NORMAL"}, // safe against kill -9; a power failure may lose the last commits, but never consistency
		"_foreign_keys":        {"1"},
		"_dqs":                 {"0"},
		"_timezone":            {"UTC"},
		"_time_integer_format": {"unix_micro"},
		"_inttotime":           {"1"},
		"_pragma":              {"temp_store(MEMORY)"},
	}
	for key, values := range more {
		v[key] = append(v[key], values...)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: v.Encode()}).String()
}

func (e *sqliteEngine) pool() *sql.DB        { return e.readers }
func (e *sqliteEngine) queries() *db.Queries { return e.reads }
func (e *sqliteEngine) writesWaiting() int   { return int(e.writer.waiting.Load()) }

func (e *sqliteEngine) prepare(ctx context.Context) error {
	reads, err := db.Prepare(ctx, e.readers)
	if err != nil {
		return err
	}
	e.reads = reads
	return e.writer.prepare(ctx)
}

func (e *sqliteEngine) transact(ctx context.Context, fn func(q *db.Queries) error) error {
	return e.writer.transact(ctx, fn)
}

func (e *sqliteEngine) exec(ctx context.Context, fn func(ctx context.Context, q *db.Queries) error) error {
	return e.transact(ctx, func(q *db.Queries) error { return fn(ctx, q) })
}

func (e *sqliteEngine) migration() migration {
	return migration{
		dialect:     goose.DialectSQLite3,
		folder:      "sqlite",
		tableExists: "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'",
		open:        func() (*sql.DB, error) { return sql.Open("sqlite", sqliteDSN(e.file, nil)) },
		lock: func() (locker, error) {
			return fileLock{flock.New(e.file+".migrate", flock.SetPermissions(0o600))}, nil
		},
	}
}

func (e *sqliteEngine) close() error {
	return errors.Join(e.readers.Close(), e.writer.close())
}

// fileLock keeps other processes on this machine from migrating.
type fileLock struct{ file *flock.Flock }

func (l fileLock) Lock(ctx context.Context, _ *sql.DB) error {
	if _, err := l.file.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("lock %s: %w", l.file.Path(), err)
	}
	return nil
}

func (l fileLock) Unlock(context.Context, *sql.DB) error {
	return l.file.Unlock()
}
