package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/pressly/goose/v3"

	migrations "gatehouse/sql"
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string    // 00001_users.sql
	AppliedAt time.Time // UTC; zero if it is not applied yet
}

// locker keeps other processes from migrating the same database.
type locker interface {
	Lock(ctx context.Context, pool *sql.DB) error
	Unlock(ctx context.Context, pool *sql.DB) error
}

// Migrate applies the migrations that the database lacks and returns them. If several programs call
// it at the same time, one migrates and the others wait. A database that is newer than the program
// is not changed: schemas are only ever extended while old programs run.
func (d *Database) Migrate(ctx context.Context) ([]Migration, error) {
	applied, err := d.migrate(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate the database: %w", err)
	}
	if err := d.engine.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare the queries: %w", err)
	}
	d.migrated.Store(true)
	return applied, nil
}

// errUnrestored is about a database that a restore is loading, or did not load to its end.
var errUnrestored = errors.New("a restore is under way here, or was interrupted: wait for it, or run gatehouse restore again")

func (d *Database) migrate(ctx context.Context) (applied []Migration, err error) {
	if err := d.checkRestored(ctx); err != nil {
		return nil, err
	}
	if d.Ready(ctx) == nil {
		return nil, nil
	}
	m := d.engine.migration()
	pool, err := m.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	l, err := m.lock()
	if err != nil {
		return nil, err
	}
	// Taken here and not by goose, which creates its version table before it locks.
	if err := l.Lock(ctx, pool); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Unlock(context.WithoutCancel(ctx), pool)) }()
	return d.up(ctx, pool)
}

// checkRestored refuses half a database: its migrations would be made again, and it would be served.
func (d *Database) checkRestored(ctx context.Context) error {
	query := d.engine.migration().unrestored
	if query == "" {
		return nil
	}
	var marks int
	if err := d.engine.pool().QueryRowContext(ctx, query).Scan(&marks); err != nil {
		return err
	}
	if marks > 0 {
		return errUnrestored
	}
	return nil
}

func (d *Database) up(ctx context.Context, pool *sql.DB) ([]Migration, error) {
	if err := d.dropEmptyVersionTable(ctx, pool); err != nil {
		return nil, err
	}
	p, err := d.provider(pool)
	if err != nil {
		return nil, err
	}
	var applied []Migration
	for {
		results, err := p.Up(ctx)
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			results = partial.Applied
		}
		if partial != nil && isAlreadyAltered(err) {
			results, err = append(results, partial.Failed), record(ctx, pool, partial.Failed.Source.Version)
		}
		for _, r := range results {
			applied = append(applied, Migration{r.Source.Version, path.Base(r.Source.Path), time.Now().UTC()})
		}
		if partial == nil || err != nil {
			return applied, err
		}
	}
}

// record notes a migration that a program made before it was killed: MySQL commits ALTER TABLE before
// its number is noted, and knows no IF NOT EXISTS for columns.
func record(ctx context.Context, pool *sql.DB, version int64) error {
	_, err := pool.ExecContext(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, TRUE)", version)
	return err
}

// dropEmptyVersionTable cleans up after a program that was killed while it created the version table:
// MySQL commits the table before its first row, and goose refuses a table without that row.
func (d *Database) dropEmptyVersionTable(ctx context.Context, pool *sql.DB) error {
	applied, err := d.applied(ctx)
	if err != nil || len(applied) > 0 {
		return err
	}
	_, err = pool.ExecContext(ctx, "DROP TABLE IF EXISTS goose_db_version")
	return err
}

// Status returns every migration that the program knows, in their order. It changes nothing.
func (d *Database) Status(ctx context.Context) ([]Migration, error) {
	p, err := d.provider(d.engine.pool())
	if err != nil {
		return nil, err
	}
	applied, err := d.applied(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the applied migrations: %w", err)
	}
	var all []Migration
	for _, s := range p.ListSources() {
		all = append(all, Migration{s.Version, path.Base(s.Path), applied[s.Version]})
	}
	return all, nil
}

// applied returns when each version was applied. goose can do that too, but then creates its version
// table without a lock.
func (d *Database) applied(ctx context.Context) (map[int64]time.Time, error) {
	pool := d.engine.pool()
	var tables int
	if err := pool.QueryRowContext(ctx, d.engine.migration().tableExists).Scan(&tables); err != nil || tables == 0 {
		return nil, err
	}
	rows, err := pool.QueryContext(ctx, "SELECT version_id, tstamp FROM goose_db_version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	applied := make(map[int64]time.Time)
	for rows.Next() {
		var version int64
		var at time.Time
		if err := rows.Scan(&version, &at); err != nil {
			return nil, err
		}
		applied[version] = at.UTC()
	}
	return applied, rows.Err()
}

func (d *Database) provider(pool *sql.DB) (*goose.Provider, error) {
	m := d.engine.migration()
	folder, err := fs.Sub(migrations.Migrations, m.folder)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(m.dialect, pool, folder, goose.WithSlog(d.log), goose.WithDisableGlobalRegistry(true))
}
