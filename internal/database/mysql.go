package database

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"gatehouse/internal/db"
	"gatehouse/internal/trace"
)

const (
	mysqlConnections = 32
	// Under the five minutes after which proxies and firewalls begin to drop idle connections.
	mysqlLifetime = 4 * time.Minute
	// Longer than any statement takes, its wait for a lock included, so that a silent server is noticed.
	mysqlReadTimeout = 5 * time.Second
	mysqlDialTimeout = 5 * time.Second
	// How long Exec waits for a connection and for its statement together.
	execTimeout = 10 * time.Second
	// How long Open waits for a server that does not answer yet.
	mysqlStartup = 20 * time.Second
)

// mysqlEngine is a MySQL or MariaDB server, or a cluster with the same protocol.
type mysqlEngine struct {
	config *mysql.Config
	db     *sql.DB
	q      *db.Queries
}

func openMySQL(ctx context.Context, o Options) (*mysqlEngine, error) {
	config, err := mysqlConfig(o.URL, o.Logger)
	if err != nil {
		return nil, err
	}
	pool, err := mysqlPool(config, o.Traces)
	if err != nil {
		return nil, err
	}
	n := cmp.Or(o.Connections, mysqlConnections)
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	if err := awaitMySQL(ctx, pool, config, o.Logger); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &mysqlEngine{config: config, db: pool, q: db.New(pool)}, nil
}

func mysqlPool(config *mysql.Config, traces *trace.Traces) (*sql.DB, error) {
	c, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	pool := traces.OpenDB(readCommitted{c}, "mysql")
	pool.SetConnMaxLifetime(mysqlLifetime)
	return pool, nil
}

// readCommitted sets the isolation level of each new connection. Under MySQL's default, a read
// after a duplicate would not see the row that is in the way. A statement sets it, because the name
// of the variable differs between servers.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	const query = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, query, nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// awaitMySQL waits until the server answers. Its error says what to do.
func awaitMySQL(ctx context.Context, pool *sql.DB, config *mysql.Config, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, mysqlStartup)
	defer cancel()
	var last error
	for try := 0; ; try++ {
		err := pool.PingContext(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // a network error says more than "deadline exceeded"
			last = err
		}
		if !isLost(err) {
			return explainMySQL(last, config)
		}
		if try == 0 {
			log.InfoContext(ctx, "waiting for the database", "addr", config.Addr, "error", err)
		}
		if sleep(ctx, 250*time.Millisecond) != nil {
			return explainMySQL(last, config)
		}
	}
}

// explainMySQL adds to an error what to do about it.
func explainMySQL(err error, config *mysql.Config) error {
	at := fmt.Sprintf("MySQL at %s", config.Addr)
	switch {
	case isMySQL(err, 1045, 1698):
		return fmt.Errorf("%s refuses user %q: check the user and the password in the database URL (write special characters as %%XX): %w", at, config.User, err)
	case isMySQL(err, 1044):
		return fmt.Errorf("%s does not let user %[2]q use database %[3]q: GRANT ALL ON `%[3]s`.* TO that user: %[4]w", at, config.User, config.DBName, err)
	case isMySQL(err, 1049):
		return fmt.Errorf("%s has no database %[2]q: CREATE DATABASE `%[2]s`: %[3]w", at, config.DBName, err)
	case isLost(err) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer: check that it runs, and the host and the port in the database URL: %w", at, err)
	default:
		return fmt.Errorf("%s: %w", at, err)
	}
}

func (e *mysqlEngine) pool() *sql.DB        { return e.db }
func (e *mysqlEngine) queries() *db.Queries { return e.q }
func (e *mysqlEngine) writesWaiting() int   { return 0 } // they wait in MySQL, or for a connection

func (e *mysqlEngine) prepare(ctx context.Context) error {
	q, err := db.Prepare(ctx, e.db)
	if err != nil {
		return err
	}
	e.q = q
	return nil
}

func (e *mysqlEngine) transact(ctx context.Context, fn func(q *db.Queries) error) error {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The statements have the caller's context. BEGIN and COMMIT do not: a client that disconnects
	// must not leave the result in doubt.
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	if err := fn(e.q.WithTx(tx)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return commitError(tx.Commit())
}

func (e *mysqlEngine) exec(ctx context.Context, fn func(ctx context.Context, q *db.Queries) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), execTimeout)
	defer cancel()
	err := fn(ctx, e.q)
	if errors.Is(err, context.DeadlineExceeded) || isLost(err) && !isUnsent(err) {
		return commitError(err) // the statement may have been stored
	}
	return err
}

func (e *mysqlEngine) migration() migration {
	return migration{
		dialect:     goose.DialectMySQL,
		folder:      "mysql",
		tableExists: "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'goose_db_version'",
		unrestored:  "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '" + restoring + "'",
		open:        e.migrationPool,
		lock:        mysqlLock,
	}
}

// migrationPool is for statements that may take longer than mysqlReadTimeout, such as ALTER TABLE.
func (e *mysqlEngine) migrationPool() (*sql.DB, error) {
	config := e.config.Clone()
	config.ReadTimeout = 0
	return mysqlPool(config, nil)
}

// mysqlLock is a row, not GET_LOCK, which the other nodes of a cluster do not see.
func mysqlLock() (locker, error) {
	return lock.NewMySQLTableLocker(
		lock.WithTableLockTimeout(100*time.Millisecond, 3000),
		lock.WithTableLeaseDuration(15*time.Second),
		lock.WithTableHeartbeatInterval(3*time.Second),
		lock.WithTableRetryPolicy(func(err error) bool {
			var refused *mysql.MySQLError
			return !errors.As(err, &refused) || isBusy(err)
		}),
	)
}

func (e *mysqlEngine) close() error {
	return e.db.Close()
}
