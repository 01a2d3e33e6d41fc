package database

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"

	"gatehouse/internal/db"
	"gatehouse/internal/trace"
)

// maxBatch is the most transactions that share one commit.
const maxBatch = 32

// errBatchLost is the error of a transaction whose batch was rolled back because of another one. It
// is retried.
var errBatchLost = errors.New("the transactions committed together were rolled back")

// sqliteWriter is the only connection for writes. Transactions that arrive while another one runs
// share its BEGIN and COMMIT, each in its own savepoint, and return after the commit: a commit
// costs more than the few rows in it.
type sqliteWriter struct {
	pool *sql.DB
	conn *sql.Conn

	begin, commit, rollback        *sql.Stmt
	savepoint, release, rollbackTo *sql.Stmt

	waiting atomic.Int32 // transactions in the queue
	turn    sync.Mutex   // held while a transaction runs; guards what follows
	queries *db.Queries
	batch   *batch // nil if no transaction is open
}

// batch is the transactions that share a commit.
type batch struct {
	size int
	done chan struct{} // closed when the batch is over
	err  error         // why it was not stored; to be read after done
}

func openSQLiteWriter(ctx context.Context, file string, traces *trace.Traces) (*sqliteWriter, error) {
	pool, err := traces.OpenDriver("sqlite", sqliteDSN(file, url.Values{"_pragma": {
		"cache_size(-16000)",       // KiB
		"wal_autocheckpoint(4000)", // pages of 4 KiB: fewer fsyncs than with SQLite's own 1000
		"journal_size_limit(67108864)",
	}}), "sqlite")
	if err != nil {
		return nil, err
	}
	var conn *sql.Conn
	// A new file is switched to WAL mode. SQLite does not wait if another process does the same.
	err = retry(ctx, func() (err error) {
		conn, err = pool.Conn(ctx)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	w := &sqliteWriter{pool: pool, conn: conn, queries: db.New(conn)}
	for stmt, query := range map[**sql.Stmt]string{
		&w.begin:      "BEGIN IMMEDIATE",
		&w.commit:     "COMMIT",
		&w.rollback:   "ROLLBACK",
		&w.savepoint:  "SAVEPOINT member",
		&w.release:    "RELEASE member",
		&w.rollbackTo: "ROLLBACK TO member",
	} {
		if *stmt, err = conn.PrepareContext(ctx, query); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

func (w *sqliteWriter) prepare(ctx context.Context) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	queries, err := db.Prepare(ctx, w.conn)
	if err != nil {
		return err
	}
	w.queries = queries
	return nil
}

func (w *sqliteWriter) close() error {
	return errors.Join(w.conn.Close(), w.pool.Close())
}

// transact runs fn as a member of a batch and waits for the end of the batch.
func (w *sqliteWriter) transact(ctx context.Context, fn func(q *db.Queries) error) error {
	b, err := w.takeTurn(ctx, fn)
	if b == nil {
		return err
	}
	// Wait even if fn failed: the reason may be another row of the batch, which may not be stored.
	<-b.done
	if b.err != nil {
		return b.err
	}
	return err
}

// takeTurn waits for the writer and runs fn. No transaction leaves the queue early, because the last
// one in it ends the batch; turns are short.
func (w *sqliteWriter) takeTurn(ctx context.Context, fn func(q *db.Queries) error) (*batch, error) {
	w.waiting.Add(1)
	w.turn.Lock()
	w.waiting.Add(-1)
	defer w.turn.Unlock()
	defer w.endTurn()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.join(); err != nil {
		return nil, err
	}
	b := w.batch
	returned := false
	defer func() {
		if !returned { // fn panicked
			w.undo(b)
		}
	}()
	err := fn(w.queries)
	returned = true
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = w.keep(b)
	}
	if err != nil && !w.undo(b) {
		return nil, err
	}
	return b, err
}

// join begins a batch, or a savepoint in the open one. The first member needs no savepoint: if it
// fails, the batch contains nothing else.
func (w *sqliteWriter) join() error {
	if w.batch != nil {
		return exec(w.savepoint)
	}
	if err := exec(w.begin); err != nil {
		return err
	}
	w.batch = &batch{done: make(chan struct{})}
	return nil
}

// keep adds what the member wrote to the batch.
func (w *sqliteWriter) keep(b *batch) error {
	if b.size > 0 {
		if err := exec(w.release); err != nil {
			return err
		}
	}
	b.size++
	return nil
}

// undo rolls back what the member wrote, and reports whether the batch goes on. It does not if the
// member was the first, or if SQLite has rolled everything back (interrupted, disk full).
func (w *sqliteWriter) undo(b *batch) bool {
	if b.size > 0 && exec(w.rollbackTo) == nil && exec(w.release) == nil {
		return true
	}
	exec(w.rollback) // fails if SQLite has already done it
	w.end(b, errBatchLost)
	return false
}

// endTurn commits, unless another transaction is waiting that can join the batch.
func (w *sqliteWriter) endTurn() {
	b := w.batch
	if b == nil || w.waiting.Load() > 0 && b.size < maxBatch {
		return
	}
	err := exec(w.commit)
	if err != nil {
		exec(w.rollback) // fails if SQLite has already done it
	}
	w.end(b, commitError(err))
}

// end tells the members the result of their batch.
func (w *sqliteWriter) end(b *batch, err error) {
	w.batch = nil
	b.err = err
	close(b.done)
}

// exec takes no context: BEGIN and COMMIT must not be interrupted when a client disconnects.
func exec(stmt *sql.Stmt) error {
	_, err := stmt.Exec()
	return err
}
