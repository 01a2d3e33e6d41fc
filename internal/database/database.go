// Package database opens MySQL or SQLite, migrates it, runs transactions and runs them again
// where the database asks for it, and tells what kind an error of the database is.
package database

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"gatehouse/internal/db"
)

// Options say which database is opened, and how.
type Options struct {
	URL         string       // mysql://user:password@host[:port]/name, or empty for SQLite in DataDir
	DataDir     string       // the folder of SQLite's files, made with mode 0700 where it is missing
	Connections int          // most connections open at once; 0 is a default that suits the database
	Logger      *slog.Logger // nil is slog.Default()
}

// Database is an open database. Its methods may be called by several goroutines at once.
type Database struct {
	engine   engine
	log      *slog.Logger
	migrated atomic.Bool // seen once, it stays so: migrations are never taken back
}

// engine is what MySQL and SQLite do each in its own way.
type engine interface {
	// pool is where reads go.
	pool() *sql.DB
	// queries are for reads; they are prepared once prepare was called.
	queries() *db.Queries
	// prepare prepares the statements, whose tables must exist.
	prepare(ctx context.Context) error
	// transact runs fn once in a transaction.
	transact(ctx context.Context, fn func(q *db.Queries) error) error
	// exec runs fn once, which is one statement.
	exec(ctx context.Context, fn func(ctx context.Context, q *db.Queries) error) error
	// migration says how this database is migrated.
	migration() migration
	close() error
}

// migration is what goose must know of a database.
type migration struct {
	dialect     goose.Dialect
	folder      string                  // within the embedded migrations
	tableExists string                  // a query that counts the version table
	open        func() (*sql.DB, error) // a pool on which a statement may take as long as it likes
	lock        func() (locker, error)  // keeps other processes from migrating at the same time
}

// Open opens the database, and waits a short while for a MySQL server that is starting.
// Its errors say what to do, and never contain the password.
// Call Migrate before anything else is asked of the database.
func Open(ctx context.Context, o Options) (*Database, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	var e engine
	var err error
	if o.URL == "" {
		e, err = openSQLite(ctx, o)
	} else {
		e, err = openMySQL(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	return &Database{engine: e, log: o.Logger}, nil
}

// Queries returns the queries outside of any transaction. They are for reading: whatever
// writes belongs in InTx, and SQLite refuses it here.
func (d *Database) Queries() *db.Queries {
	return d.engine.queries()
}

// readyTimeout is shorter than what load balancers wait for an answer.
const readyTimeout = 2 * time.Second

// Ready returns nil where the database answers and has every migration that this program knows.
func (d *Database) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := d.engine.pool().PingContext(ctx); err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	if d.migrated.Load() {
		return nil
	}
	all, err := d.Status(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.AppliedAt.IsZero() {
			return fmt.Errorf("the database lacks migration %s", m.Name)
		}
	}
	d.migrated.Store(true)
	return nil
}

// Close closes every connection. Transactions under way must have ended.
func (d *Database) Close() error {
	if err := d.engine.close(); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// Timestamp is a time as both databases keep it: UTC, in whole microseconds.
func Timestamp(t time.Time) time.Time {
	return t.UTC().Truncate(time.Microsecond)
}
