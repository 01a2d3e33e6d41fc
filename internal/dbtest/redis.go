package dbtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	redisStartup = 10 * time.Second
	// Has characters that mean something in a URL, so that tests notice where escaping is forgotten.
	redisPassword = "geheim/@:?#%"
)

// Redis is a private redis-server that keeps nothing on disk. Tests stop and suspend it to play
// that Redis is away.
type Redis struct {
	URL  string // redis://:password@host:port/0, the same after Start
	port int
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// NewRedis starts a redis-server on a free port of 127.0.0.1 that runs until the test ends. On
// Linux, it dies with this process. If this machine lacks the program, the test is skipped, or
// fails if skipping is forbidden.
func NewRedis(tb testing.TB) *Redis {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	address := url.URL{
		Scheme: "redis",
		User:   url.UserPassword("", redisPassword),
		Host:   "127.0.0.1:" + strconv.Itoa(port),
		Path:   "/0",
	}
	r := &Redis{URL: address.String(), port: port, dir: tb.TempDir()}
	err = r.Start()
	if errors.Is(err, ErrNotInstalled) && !NoSkip() {
		tb.Skipf("SKIP: no Redis: %v; install redis-server (Debian)", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Stop)
	return r
}

// Start starts the server, which forgot everything when it was stopped, and waits until it answers.
func (r *Redis) Start() error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("redis-server: %w", ErrNotInstalled)
	}
	var log bytes.Buffer
	r.cmd = exec.Command(path, "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir,
		"--requirepass", redisPassword, "--save", "", "--appendonly", "no")
	r.cmd.Stdout, r.cmd.Stderr = &log, &log
	if r.done, err = spawn(r.cmd); err != nil {
		return err
	}
	if err := r.await(); err != nil {
		r.Stop()
		return fmt.Errorf("start a private redis-server: %w\n%s", err, log.Bytes())
	}
	return nil
}

// spawn starts a process that dies with this one. The channel is closed when it has ended.
func spawn(cmd *exec.Cmd) (chan struct{}, error) {
	cmd.SysProcAttr = dieWithParent()
	done := make(chan struct{})
	started := make(chan error)
	go func() {
		// The kernel sends its signal when the thread that started the child ends, not the process.
		runtime.LockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	return done, <-started
}

// await waits until the server listens; with no data to load, it then answers.
func (r *Redis) await() error {
	deadline := time.After(redisStartup)
	for {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(r.port))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-r.done:
			return errors.New("redis-server ended")
		case <-deadline:
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Suspend stops the process: the server no longer answers, but its connections stay open.
func (r *Redis) Suspend() error {
	return r.cmd.Process.Signal(syscall.SIGSTOP)
}

// Resume lets a suspended server go on.
func (r *Redis) Resume() error {
	return r.cmd.Process.Signal(syscall.SIGCONT)
}

// Stop kills the server, suspended or not. It may be called again.
func (r *Redis) Stop() {
	r.cmd.Process.Kill()
	<-r.done
}
