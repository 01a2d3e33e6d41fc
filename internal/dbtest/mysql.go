package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/internal/servertest"
)

// Banner is printed if the MySQL half of the tests was skipped.
const Banner = `
################################################################################
# SKIP: no MySQL server: the MySQL half of the tests did NOT run.
#       Install mariadb-server-core and mariadb-client-core (Debian), or set
#       TEST_MYSQL=mysql://user:password@host:3306/ to a server on which the
#       user may create databases.
################################################################################`

// NoSkip reports whether a test must fail, instead of being skipped, if this machine lacks what it needs.
func NoSkip() bool { return servertest.NoSkip() }

// skipped is set if a test was skipped because there is no server.
var skipped atomic.Bool

// MySQL returns the URL of a new, empty database that is dropped when the test ends.
// Without a server, the test is skipped, or fails if skipping is forbidden.
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

// NeedDump skips a test where the program is missing that dumps MySQL, or fails if skipping is forbidden.
func NeedDump(tb testing.TB) {
	tb.Helper()
	for _, name := range []string{"mariadb-dump", "mysqldump"} {
		if _, err := exec.LookPath(name); err == nil {
			return
		}
	}
	if NoSkip() {
		tb.Fatal("neither mariadb-dump nor mysqldump is installed")
	}
	fmt.Fprintln(os.Stderr, "SKIP: backups of MySQL are NOT tested: install mariadb-client (Debian)")
	tb.Skip("SKIP: neither mariadb-dump nor mysqldump is installed")
}

// admin is a server with the right to create databases on it.
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

// shared returns the server that all tests of this process share. The first call starts it.
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
