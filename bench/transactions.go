package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	_ "modernc.org/sqlite" // registers the driver
)

// bareTransactions measures how often a handler that does nothing else changes a row and reads it, in
// one transaction, in a second. Of a request that stores something, that is the least.
func bareTransactions(ctx context.Context, b *bench, database string) (rate float64, err error) {
	rows, err := b.openRows(ctx, database)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.remove()) }()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := rows.change(r.Context(), requests.Add(1)%users); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeUser(w)
	}))
	defer server.Close()
	return b.rate(ctx, get(server.URL, ""))
}

// rows are a table with a row for each user, in a database of its own.
type rows struct {
	pool         *sql.DB
	update, read *sql.Stmt
	dropDatabase func() error
}

// openRows makes the table. Its database is as durable as the server's.
func (b *bench) openRows(ctx context.Context, database string) (*rows, error) {
	r := &rows{}
	err := r.open(ctx, b, database)
	if err == nil {
		err = r.fill(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.remove())
	}
	return r, nil
}

func (r *rows) open(ctx context.Context, b *bench, database string) (err error) {
	if database == mysql {
		var name string
		if name, r.dropDatabase, err = b.mysql.create(ctx); err != nil {
			return err
		}
		if r.pool, err = b.mysql.open(name); err != nil {
			return err
		}
		r.pool.SetMaxIdleConns(connections)
		return nil
	}
	dir, err := os.MkdirTemp(b.dir, "rows-")
	if err != nil {
		return err
	}
	r.dropDatabase = func() error { return os.RemoveAll(dir) }
	r.pool, err = openSQLite(filepath.Join(dir, "rows.db"))
	return err
}

// openSQLite opens a file with one connection, since there can be one writer only.
func openSQLite(file string) (*sql.DB, error) {
	params := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"}, "_txlock": {"immediate"}}
	pool, err := sql.Open("sqlite", "file:"+file+"?"+params.Encode())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	return pool, nil
}

func (r *rows) fill(ctx context.Context) (err error) {
	if _, err := r.pool.ExecContext(ctx, "CREATE TABLE counts (id INTEGER PRIMARY KEY, count INTEGER NOT NULL)"); err != nil {
		return err
	}
	for i := range users {
		if _, err := r.pool.ExecContext(ctx, "INSERT INTO counts (id, count) VALUES (?, 0)", i); err != nil {
			return err
		}
	}
	if r.update, err = r.pool.PrepareContext(ctx, "UPDATE counts SET count = count + 1 WHERE id = ?"); err != nil {
		return err
	}
	r.read, err = r.pool.PrepareContext(ctx, "SELECT count FROM counts WHERE id = ?")
	return err
}

func (r *rows) change(ctx context.Context, id int64) error {
	tx, err := r.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	if _, err := tx.StmtContext(ctx, r.update).ExecContext(ctx, id); err != nil {
		return err
	}
	var count int64
	if err := tx.StmtContext(ctx, r.read).QueryRowContext(ctx, id).Scan(&count); err != nil {
		return err
	}
	return tx.Commit()
}

func (r *rows) remove() error {
	var err error
	if r.pool != nil {
		err = r.pool.Close()
	}
	if r.dropDatabase != nil {
		err = errors.Join(err, r.dropDatabase())
	}
	return err
}
