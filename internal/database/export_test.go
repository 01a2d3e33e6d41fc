package database

import (
	"context"
	"database/sql"
	"fmt"
)

// OpenRaw opens another pool on the database, for statements that the program does not have.
func (d *Database) OpenRaw() (*sql.DB, error) {
	return d.engine.migration().open()
}

// LimitSize makes SQLite report a full disk after this many pages.
func (d *Database) LimitSize(ctx context.Context, pages int) error {
	w := d.engine.(*sqliteEngine).writer
	_, err := w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return err
}

const MaxTries = maxTries

var IsBusy = isBusy

// Waiting returns how many transactions are waiting for SQLite's writer.
func (d *Database) Waiting() int {
	return int(d.engine.(*sqliteEngine).writer.waiting.Load())
}

// LoseTransaction rolls SQLite's open transaction back, as SQLite itself does when a statement is
// interrupted or the disk fails. Call it within InTx.
func (d *Database) LoseTransaction() error {
	return exec(d.engine.(*sqliteEngine).writer.rollback)
}
