package dbtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/servertest"
)

const (
	serverDir     = "gatehouse-mysql-" // then the process id of its owner
	serverStartup = time.Minute
	// Run when the server starts, one statement per line. root can only connect through the socket.
	serverUsers = "CREATE USER 'gatehouse'@'%' IDENTIFIED BY 'secret';\nGRANT ALL ON *.* TO 'gatehouse'@'%' WITH GRANT OPTION;\n"
)

// ErrNotInstalled is in the error of StartServer if this machine lacks the programs.
var ErrNotInstalled = servertest.ErrNotInstalled

// Server is a private MariaDB in a temporary folder.
type Server struct {
	*servertest.Process
	URL string // mysql://user:password@host:port/, with the right to create databases
	dir string
}

// NewServer starts a server that runs until the test ends. If this machine lacks the programs, the
// test is skipped, or fails if skipping is forbidden.
func NewServer(tb testing.TB) *Server {
	tb.Helper()
	s, err := StartServer()
	if errors.Is(err, ErrNotInstalled) && !NoSkip() {
		skipped.Store(true)
		tb.Skipf("SKIP: no MySQL: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// StartServer starts a MariaDB on a free port of 127.0.0.1. On Linux, it dies with this process.
// It needs Debian's mariadb-server-core and mariadb-client-core, but not root.
func StartServer() (*Server, error) {
	removeOrphans()
	dir, err := os.MkdirTemp("", serverDir+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, err
	}
	s, err := startServer(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a private MariaDB: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

func startServer(dir string) (*Server, error) {
	data := filepath.Join(dir, "data")
	install, err := command("mariadb-install-db", "--no-defaults", "--datadir="+data, "--skip-test-db",
		"--auth-root-authentication-method=normal", "--skip-name-resolve")
	if err != nil {
		return nil, err
	}
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	users := filepath.Join(dir, "users.sql")
	if err := os.WriteFile(users, []byte(serverUsers), 0o600); err != nil {
		return nil, err
	}
	port, err := servertest.FreePort()
	if err != nil {
		return nil, err
	}
	cmd, err := command("mariadbd", "--no-defaults", "--datadir="+data, "--init-file="+users,
		"--socket="+filepath.Join(dir, "socket"), "--pid-file="+filepath.Join(dir, "pid"),
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(port), "--skip-name-resolve",
		"--character-set-server=utf8mb4", "--max-connections=500",
		// Small, to start quickly. The durability of commits is left at its default.
		"--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M", "--skip-log-bin")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: fmt.Sprintf("mysql://gatehouse:secret@127.0.0.1:%d/", port), dir: dir}
	a, err := openAdmin(s.URL)
	if err != nil {
		return nil, err
	}
	defer a.pool.Close()
	s.Process, err = servertest.Start(cmd, serverStartup, a.pool.Ping)
	return s, err
}

// command finds a program, and runs it as this user.
func command(name string, args ...string) (*exec.Cmd, error) {
	path, err := servertest.FindProgram(name)
	if err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		args = append(args, "--user=root")
	}
	return exec.Command(path, args...), nil
}

// CreateDatabase creates an empty database, and returns its URL.
func (s *Server) CreateDatabase(tb testing.TB) string {
	tb.Helper()
	admin, err := openAdmin(s.URL)
	if err != nil {
		tb.Fatal(err)
	}
	defer admin.pool.Close()
	if err := admin.exec(tb.Context(), "CREATE DATABASE gatehouse CHARACTER SET utf8mb4"); err != nil {
		tb.Fatal(err)
	}
	return admin.url.JoinPath("gatehouse").String()
}

// Stop ends the server and removes its files. It may be called again. It does not wait for a clean
// shutdown: the data is no longer needed.
func (s *Server) Stop() error {
	s.Process.Stop()
	return os.RemoveAll(s.dir)
}

// removeOrphans removes the folders that killed processes left behind.
func removeOrphans() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), serverDir+"*"))
	for _, dir := range dirs {
		id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), serverDir), "-")
		pid, err := strconv.Atoi(id)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.RemoveAll(dir)
		}
	}
}
