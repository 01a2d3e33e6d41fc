package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Banner is printed where the MySQL half of the tests was left out.
const Banner = `
################################################################################
# SKIP: no MySQL server: the MySQL half of the tests did NOT run.
#       Install mariadb-server-core and mariadb-client-core (Debian), or set
#       TEST_MYSQL=mysql://user:password@host:3306/ to a server on which the
#       user may create databases.
################################################################################`

// NoSkip reports whether a test that can't have what it needs must fail instead of being skipped.
func NoSkip() bool {
	return os.Getenv("GATEHOUSE_TEST_NO_SKIP") == "1"
}

// skipped is set when a test was skipped for want of a server.
var skipped atomic.Bool

// MySQL returns the URL of a fresh, empty database that is dropped when the test ends.
// Without a server the test is skipped, or fails where skipping is forbidden.
func MySQL(tb testing.TB) string {
	tb.Helper()
	server, err := shared()
	if errors.Is(err, ErrNotInstalled) && !NoSkip() {
		skipped.Store(true)
		tb.Skipf("SKIP: no MySQL: %v", err)
	}
	if err != nil {
		tb.Fatalf("MySQL for the tests: %v", err)
	}
	name := "gatehouse_test_" + strings.ToLower(rand.Text())
	if err := server.exec(tb.Context(), "CREATE DATABASE "+name+" CHARACTER SET utf8mb4"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.exec(context.Background(), "DROP DATABASE "+name); err != nil {
			tb.Error(err)
		}
	})
	return server.url.JoinPath(name).String()
}

// admin is a server on which databases can be created.
type admin struct {
	url  *url.URL
	pool *sql.DB
}

func openAdmin(raw string) (*admin, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "mysql" || u.Host == "" {
		return nil, errors.New("TEST_MYSQL must look like mysql://user:password@host:3306/")
	}
	u.Path = "/"
	pool, err := openMySQL(u)
	return &admin{u, pool}, err
}

func (a *admin) exec(ctx context.Context, query string) error {
	_, err := a.pool.ExecContext(ctx, query)
	return err
}

// shared returns the server that all tests of this process use, started when the first one asks.
var shared = sync.OnceValues(func() (*admin, error) {
	if raw := os.Getenv("TEST_MYSQL"); raw != "" {
		return openAdmin(raw)
	}
	server, err := StartServer()
	if err != nil {
		return nil, err
	}
	started = server
	return openAdmin(server.URL)
})

// started is the private server of this process, if shared started one.
var started *Server

func stopShared() error {
	if started == nil {
		return nil
	}
	return started.Stop()
}
