package servertest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const nginxStartup = 10 * time.Second

// nginxConfig is around the configuration under test, what a distribution's nginx.conf is. Nothing can be
// written to its folders of temporary files.
const nginxConfig = `%s
worker_processes 2;
daemon off;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
	client_body_temp_path no-folder;
	proxy_temp_path no-folder; fastcgi_temp_path no-folder; scgi_temp_path no-folder; uwsgi_temp_path no-folder;
	include site.conf;
}
`

// NewNginx starts an nginx with a configuration of sites, which has the files that it names in dir, and runs
// until the test ends. It listens on address. Requests that nginx would buffer in files fail. Without nginx the
// test is skipped, or fails if skipping is forbidden.
func NewNginx(tb testing.TB, dir, address, sites string) *Process {
	tb.Helper()
	program, err := FindProgram("nginx")
	if errors.Is(err, ErrNotInstalled) && !NoSkip() {
		tb.Skipf("SKIP: %v; install nginx-light (Debian)", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	user := ""
	if os.Getuid() == 0 { // its workers must be able to read the test's folders
		user = "user root;"
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConfig, user), 0o600),
		os.WriteFile(filepath.Join(dir, "site.conf"), []byte(sites), 0o600),
	)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(program, "-p", dir, "-e", "stderr", "-c", "nginx.conf")
	cmd.SysProcAttr = dieWithParent(syscall.SIGTERM) // which its workers hear of too
	p, err := Start(cmd, nginxStartup, func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stopNginx(tb, p) })
	if err := forbidFiles(filepath.Join(dir, "no-folder")); err != nil {
		tb.Fatal(err)
	}
	return p
}

// stopNginx ends the workers with their master.
func stopNginx(tb testing.TB, p *Process) {
	err := p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done():
	case <-time.After(nginxStartup):
		err = errors.Join(err, errors.New("it does not stop"))
		p.Stop()
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Errorf("stop nginx: %v", err)
	}
	if tb.Failed() {
		tb.Logf("nginx:\n%s", p.Log())
	}
}

// forbidFiles puts a file where a folder was: not even root can create files in it.
func forbidFiles(folder string) error {
	return errors.Join(os.RemoveAll(folder), os.WriteFile(folder, nil, 0o600))
}
