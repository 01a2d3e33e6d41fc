// Package database opens MySQL or SQLite, migrates it, runs transactions, retries them if the
// database asks for it, and classifies its errors.
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
	"gatehouse/internal/trace"
)

// Options say which database is opened, and how.
type Options struct {
	URL         string       // mysql://user:password@host[:port]/name, or empty for SQLite in DataDir
	DataDir     string       // the folder of SQLite's files, created with mode 0700 if it is missing
	Connections int          // most open connections; 0 is a default for the kind of database
	Logger      *slog.Logger // nil is slog.Default()

	Traces       *trace.Traces       // record statements; may be nil
	ObserveWrite func(time.Duration) // is told how long each InTx and Exec took, retries included; may be nil
}

// Database is an open database. It is safe for concurrent use.
type Database struct {
	engine   engine
	log      *slog.Logger
	migrated atomic.Bool // once true, it stays true: migrations are never undone

	observeWrite            func(time.Duration)
	retries, commitsUnknown atomic.Int64
}

// Stats are what a database does at this moment, and what has happened since it was opened.
type Stats struct {
	Pool           sql.DBStats // of SQLite, the connections that read
	WritesWaiting  int         // of SQLite: transactions that wait for their turn
	Retries        int64       // tries of InTx and Exec, but for the first of each
	CommitsUnknown int64       // results that stayed unknown
}

// engine is what MySQL and SQLite do differently.
type engine interface {
	// pool is the pool for reads.
	pool() *sql.DB
	// queries are for reads; after prepare, they are prepared statements.
	queries() *db.Queries
	// prepare prepares the statements. Their tables must exist.
	prepare(ctx context.Context) error
	// transact runs fn once in a transaction.
	transact(ctx context.Context, fn func(q *db.Queries) error) error
	// exec runs fn once, which is one statement.
	exec(ctx context.Context, fn func(ctx context.Context, q *db.Queries) error) error
	// writesWaiting is how many transactions wait for others to end.
	writesWaiting() int
	// migration describes how this database is migrated.
	migration() migration
	kind() Kind
	// inspect says what this kind of database knows of itself.
	inspect(ctx context.Context, i *Inspection) error
	schema(ctx context.Context) (schema, error)
	// sizeQuery tells about how many bytes a copy has.
	sizeQuery() string
	// copyTo writes a consistent copy to a new file, without keeping others from writing.
	copyTo(ctx context.Context, file string) error
	close() error
}

// migration is what goose needs to know about a database.
type migration struct {
	dialect     goose.Dialect
	folder      string                  // within the embedded migrations
	tableExists string                  // a query that counts the version table
	unrestored  string                  // a query that counts the marks of a restore that is not finished; empty: there are none
	open        func() (*sql.DB, error) // a pool without a time limit for statements
	lock        func() (locker, error)  // keeps other processes from migrating at the same time
}

// Open opens the database. It waits for a MySQL server that is starting.
// Its errors say what to do, and never contain the password.
// Call Migrate before any other use of the database.
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
	if o.ObserveWrite == nil {
		o.ObserveWrite = func(time.Duration) {}
	}
	return &Database{engine: e, log: o.Logger, observeWrite: o.ObserveWrite}, nil
}

// Stats returns what the database does.
func (d *Database) Stats() Stats {
	return Stats{
		Pool: d.engine.pool().Stats(), WritesWaiting: d.engine.writesWaiting(),
		Retries: d.retries.Load(), CommitsUnknown: d.commitsUnknown.Load(),
	}
}

// Queries returns the queries outside of any transaction. They are for reading: writes belong in
// InTx or Exec, and SQLite refuses them here.
func (d *Database) Queries() *db.Queries {
	return d.engine.queries()
}

// readyTimeout is shorter than the time that load balancers wait for an answer.
const readyTimeout = 2 * time.Second

// Ready returns nil if the database answers and has every migration that this program knows.
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

// Close closes every connection. All transactions must have ended.
func (d *Database) Close() error {
	if err := d.engine.close(); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// Timestamp returns a time as both databases store it: in UTC, in whole microseconds.
func Timestamp(t time.Time) time.Time {
	return t.UTC().Truncate(time.Microsecond)
}
