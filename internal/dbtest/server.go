package dbtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	serverDir     = "gatehouse-mysql-" // then the process id of its owner
	serverStartup = time.Minute
	// Run when the server starts, one statement per line. root can only connect through the socket.
	serverUsers = "CREATE USER 'gatehouse'@'%' IDENTIFIED BY 'secret';\nGRANT ALL ON *.* TO 'gatehouse'@'%';\n"
)

// ErrNotInstalled is in the error of StartServer if this machine lacks the programs.
var ErrNotInstalled = errors.New("not installed")

// Server is a private MariaDB in a temporary folder.
type Server struct {
	URL  string // mysql://user:password@host:port/, with the right to create databases
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
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
	port, err := freePort()
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
	s := &Server{
		URL:  fmt.Sprintf("mysql://gatehouse:secret@127.0.0.1:%d/", port),
		dir:  dir,
		cmd:  cmd,
		done: make(chan struct{}),
	}
	return s, s.start()
}

// command finds a program, even if Debian's folder for it is not in PATH, and runs it as this user.
func command(name string, args ...string) (*exec.Cmd, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, ErrNotInstalled)
	}
	if os.Getuid() == 0 {
		args = append(args, "--user=root")
	}
	return exec.Command(path, args...), nil
}

// start starts the process and returns when it is ready.
func (s *Server) start() error {
	var log bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	s.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		// The kernel sends its signal when the thread that started the child ends, not the process.
		runtime.LockOSThread()
		defer close(s.done)
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	if err := s.await(); err != nil {
		s.kill()
		return fmt.Errorf("%w\n%s", err, log.Bytes())
	}
	return nil
}

func (s *Server) await() error {
	a, err := openAdmin(s.URL)
	if err != nil {
		return err
	}
	defer a.pool.Close()
	ctx, cancel := context.WithTimeout(context.Background(), serverStartup)
	defer cancel()
	for {
		err := a.pool.PingContext(ctx)
		var refused *mysql.MySQLError
		if err == nil || errors.As(err, &refused) {
			return err
		}
		select {
		case <-s.done:
			return errors.New("mariadbd ended")
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
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

// Suspend stops the process: the server no longer answers, but its connections stay open.
func (s *Server) Suspend() error {
	return s.cmd.Process.Signal(syscall.SIGSTOP)
}

// Resume lets a suspended server go on.
func (s *Server) Resume() error {
	return s.cmd.Process.Signal(syscall.SIGCONT)
}

// Stop ends the server and removes its files. It may be called again.
func (s *Server) Stop() error {
	s.kill()
	return os.RemoveAll(s.dir)
}

// kill does not wait for a clean shutdown: the data is no longer needed.
func (s *Server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
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
