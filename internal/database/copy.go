package database

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"strings"

	migrations "gatehouse/sql"
)

// Kind is a kind of database.
type Kind string

// A copy of SQLite is a database file, one of MySQL is SQL.
const (
	SQLite Kind = "sqlite"
	MySQL  Kind = "mysql"
)

// KindOf returns the kind of the database with a URL.
func KindOf(url string) Kind {
	if url == "" {
		return SQLite
	}
	return MySQL
}

// Kind returns the kind of the database.
func (d *Database) Kind() Kind { return d.engine.kind() }

// Copy writes a copy of the database, as it is at one moment, to a new file, while others read and write.
// The copy was made to its end if there is no error.
func (d *Database) Copy(ctx context.Context, file string) error {
	if err := d.engine.copyTo(ctx, file); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	return nil
}

// CopySize returns about how many bytes a copy has.
func (d *Database) CopySize(ctx context.Context) (bytes int64, err error) {
	if err := d.engine.pool().QueryRowContext(ctx, d.engine.sizeQuery()).Scan(&bytes); err != nil {
		return 0, fmt.Errorf("ask for the size of the database: %w", err)
	}
	return bytes, nil
}

// Columns are what is read of a table.
type Columns struct {
	Table string
	Names []string
}

// ReadCopy calls see with the named columns of every row of the tables, in the order of the copy for MySQL
// and in that of the tables for SQLite. Values are text, or bytes where the column is binary; see must not
// keep them.
func ReadCopy(ctx context.Context, kind Kind, file string, tables []Columns, see func(table string, row [][]byte) error) error {
	read := readSQL
	if kind == SQLite {
		read = readSQLite
	}
	if err := read(ctx, file, tables, see); err != nil {
		return fmt.Errorf("read the copy of the database: %w", err)
	}
	return nil
}

// Statement changes a copy before it becomes a database.
type Statement struct {
	Query string
	Args  []any
}

// Restore makes a database out of a copy, which the statements change first. There must be none, but for what
// an interrupted Restore left. The file of SQLite must be in the data folder or below, and is moved from
// there. If Restore is interrupted, no program takes what is there for a database.
func Restore(ctx context.Context, o Options, file string, changes []Statement) error {
	restore := restoreMySQL
	if o.URL == "" {
		restore = restoreSQLite
	}
	if err := restore(ctx, o, file, changes); err != nil {
		return fmt.Errorf("restore the database: %w", err)
	}
	return nil
}

// CheckVacant reports what is in the way of Restore.
func CheckVacant(ctx context.Context, o Options) error {
	if o.URL == "" {
		return checkVacantSQLite(o.DataDir)
	}
	e, err := openMySQL(ctx, o)
	if err != nil {
		return err
	}
	defer e.close()
	_, err = vacantMySQL(ctx, e.db)
	return err
}

// Migrations returns the names of the migrations that the program knows, in their order.
func Migrations(kind Kind) ([]string, error) {
	entries, err := fs.ReadDir(migrations.Migrations, string(kind))
	if err != nil {
		return nil, fmt.Errorf("list the migrations: %w", err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

// executor is a pool, or one of its connections.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func change(ctx context.Context, on executor, changes []Statement) error {
	for _, s := range changes {
		if _, err := on.ExecContext(ctx, s.Query, s.Args...); err != nil {
			return fmt.Errorf("%s: %w", s.Query, err)
		}
	}
	return nil
}

func readSQLite(ctx context.Context, file string, tables []Columns, see func(string, [][]byte) error) error {
	pool, err := sql.Open("sqlite", sqliteDSN(file, nil))
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, table := range tables {
		if err := readTable(ctx, pool, table, see); err != nil {
			return err
		}
	}
	return nil
}

func readTable(ctx context.Context, pool *sql.DB, table Columns, see func(string, [][]byte) error) error {
	rows, err := pool.QueryContext(ctx, "SELECT "+strings.Join(table.Names, ", ")+" FROM "+table.Table)
	if err != nil {
		return err
	}
	defer rows.Close()
	row := make([][]byte, len(table.Names))
	targets := make([]any, len(row))
	for i := range row {
		targets[i] = (*sql.RawBytes)(&row[i])
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if err := see(table.Table, row); err != nil {
			return err
		}
	}
	return rows.Err()
}

func readSQL(ctx context.Context, file string, tables []Columns, see func(string, [][]byte) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	wanted := make(map[string][]string)
	for _, table := range tables {
		wanted[table.Table] = table.Names
	}
	for statement, err := range statements(f) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		table, _ := subject(statement, "INSERT INTO")
		if names := wanted[table]; names != nil {
			err = readInsert(statement, names, func(row [][]byte) error { return see(table, row) })
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}
