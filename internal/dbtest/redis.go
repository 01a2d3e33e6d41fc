package dbtest

import (
	"errors"
	"net"
	"net/url"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"gatehouse/internal/servertest"
)

const (
	redisStartup = 10 * time.Second
	// Has characters that mean something in a URL, so that tests notice where escaping is forgotten.
	redisPassword = "geheim/@:?#%"
)

// Redis is a private redis-server that keeps nothing on disk. Tests stop and suspend it to play
// that Redis is away.
type Redis struct {
	*servertest.Process
	URL  string // redis://:password@host:port/0, the same after Start
	port int
	dir  string
}

// NewRedis starts a redis-server on a free port of 127.0.0.1 that runs until the test ends. On
// Linux, it dies with this process. If this machine lacks the program, the test is skipped, or
// fails if skipping is forbidden.
func NewRedis(tb testing.TB) *Redis {
	tb.Helper()
	port, err := servertest.FreePort()
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
	tb.Cleanup(func() { r.Stop() })
	return r
}

// Start starts the server, which forgot everything when it was stopped, and waits until it answers.
func (r *Redis) Start() error {
	path, err := servertest.FindProgram("redis-server")
	if err != nil {
		return err
	}
	cmd := exec.Command(path, "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir,
		"--requirepass", redisPassword, "--save", "", "--appendonly", "no")
	r.Process, err = servertest.Start(cmd, redisStartup, r.listens)
	return err
}

// listens reports whether the server listens; with no data to load, it then answers.
func (r *Redis) listens() error {
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(r.port))
	if err != nil {
		return err
	}
	return conn.Close()
}
