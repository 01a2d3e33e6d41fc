package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// copyPages is how many pages are copied before the context is looked at.
const copyPages = 4096

func (e *sqliteEngine) kind() Kind { return SQLite }

func (e *sqliteEngine) sizeQuery() string {
	return "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
}

// copyTo uses SQLite's own backup within a transaction that reads: without one, each write of another
// process would make it begin again. Writers go on in the WAL, which grows by what they write meanwhile.
func (e *sqliteEngine) copyTo(ctx context.Context, file string) error {
	if err := createPrivate(file); err != nil {
		return err
	}
	if err := e.copyAtOnce(ctx, file); err != nil {
		return err
	}
	return checkCopy(ctx, file)
}

// copyAtOnce copies what a transaction reads. The WAL is held up until it returns.
func (e *sqliteEngine) copyAtOnce(ctx context.Context, file string) (err error) {
	pool, err := sql.Open("sqlite", sqliteDSN(e.file, url.Values{"_query_only": {"1"}}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	var tables int // the transaction begins with the first read
	if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master").Scan(&tables); err != nil {
		return err
	}
	return conn.Raw(func(driver any) error { return copyAll(ctx, driver, file) })
}

func copyAll(ctx context.Context, driver any, file string) error {
	source, ok := driver.(interface {
		NewBackup(string) (*sqlite.Backup, error)
	})
	if !ok {
		return errors.New("the driver of SQLite makes no backups")
	}
	backup, err := source.NewBackup(file)
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		if more, err = backup.Step(copyPages); err == nil {
			err = ctx.Err()
		}
	}
	return errors.Join(err, backup.Finish())
}

// checkCopy finds a database that was damaged before.
func checkCopy(ctx context.Context, file string) error {
	pool, err := sql.Open("sqlite", sqliteDSN(file, nil))
	if err != nil {
		return err
	}
	defer pool.Close()
	var found string
	if err := pool.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("the database is damaged: %s", found)
	}
	return nil
}

// sqliteFiles are the suffixes of what belongs to a database. A WAL that is left of another one would be
// taken for a part of the restored one.
var sqliteFiles = []string{"", "-wal", "-shm", "-journal"}

func checkVacantSQLite(dataDir string) error {
	for _, suffix := range sqliteFiles {
		file := filepath.Join(dataDir, sqliteFile+suffix)
		if _, err := os.Stat(file); err == nil {
			return fmt.Errorf("%s is in the way: move it away, with what else is in its folder, or name another data folder", file)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// restoreSQLite lets the file appear whole, unless a server that was started meanwhile has made one.
func restoreSQLite(ctx context.Context, o Options, file string, changes []Statement) error {
	if err := checkVacantSQLite(o.DataDir); err != nil {
		return err
	}
	if err := changeCopy(ctx, file, changes); err != nil {
		return err
	}
	if err := checkCopy(ctx, file); err != nil {
		return err
	}
	for _, suffix := range sqliteFiles[1:] { // the check has left nothing in them
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := syncFile(file); err != nil {
		return err
	}
	if err := place(file, filepath.Join(o.DataDir, sqliteFile)); err != nil {
		return err
	}
	return syncFile(o.DataDir)
}

// place moves a file, and replaces none where the file system knows hard links.
func place(file, target string) error {
	err := os.Link(file, target)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		return os.Rename(file, target)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s appeared meanwhile: stop the server that made it, move it away with its -wal and -shm, and restore again", target)
	}
	if err != nil {
		return err
	}
	return os.Remove(file)
}

func changeCopy(ctx context.Context, file string, changes []Statement) error {
	pool, err := sql.Open("sqlite", sqliteDSN(file, nil))
	if err != nil {
		return err
	}
	return errors.Join(change(ctx, pool, changes), pool.Close())
}

// syncFile makes a file, or the names in a folder, survive a power failure.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
