package dbtest

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// OpenPool opens a database without package database, until the test ends: to see what is really stored, and for
// statements that the program does not have. SQLite's file is in dataDir. Times are scanned as in the program.
func OpenPool(tb testing.TB, databaseURL, dataDir string) *sql.DB {
	tb.Helper()
	pool, err := openPool(databaseURL, dataDir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = pool.Close() })
	return pool
}

func openPool(databaseURL, dataDir string) (*sql.DB, error) {
	if databaseURL == "" {
		file := filepath.Join(dataDir, "gatehouse.db")
		return sql.Open("sqlite", "file:"+file+"?_time_integer_format=unix_micro&_inttotime=1&_timezone=UTC")
	}
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, err
	}
	return openMySQL(u)
}

// openMySQL parses URLs itself, so that the tests do not depend on the program's own parser.
func openMySQL(u *url.URL) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", u.Host
	if socket := u.Query().Get("socket"); socket != "" {
		config.Net, config.Addr = "unix", socket
	}
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.ParseTime = true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
