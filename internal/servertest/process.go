// Package servertest starts the private servers that tests need: on free ports of 127.0.0.1, without
// root, from programs that are installed or built once from a pinned Go module.
package servertest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// ErrNotInstalled is in the error where this machine lacks a program.
var ErrNotInstalled = errors.New("not installed")

// NoSkip reports whether a test must fail, instead of being skipped, if this machine lacks what it needs.
func NoSkip() bool {
	return os.Getenv("GATEHOUSE_TEST_NO_SKIP") == "1"
}

// FindProgram finds a program, even if Debian's folder for servers is not in PATH.
func FindProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, ErrNotInstalled)
	}
	return path, nil
}

// FreePort returns a port of 127.0.0.1 that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Process is a server that runs. On Linux, it dies with this process.
type Process struct {
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{} // closed when the process has ended
}

// Start starts a server, and waits until ready returns no error. The error of a start that failed has
// what the server wrote.
func Start(cmd *exec.Cmd, timeout time.Duration, ready func() error) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = dieWithParent(syscall.SIGKILL)
	}
	if err := p.spawn(); err != nil {
		return nil, err
	}
	if err := p.await(timeout, ready); err != nil {
		p.Stop()
		return nil, fmt.Errorf("start a private %s: %w\n%s", filepath.Base(cmd.Path), err, p.log.Bytes())
	}
	return p, nil
}

func (p *Process) spawn() error {
	started := make(chan error)
	go func() {
		// The kernel sends its signal when the thread that started the child ends, not the process.
		runtime.LockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
		}
	}()
	return <-started
}

func (p *Process) await(timeout time.Duration, ready func() error) error {
	deadline := time.After(timeout)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return errors.New("it ended")
		case <-deadline:
			return fmt.Errorf("not ready after %s: %w", timeout, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Signal sends the process a signal.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Suspend stops the process: the server no longer answers, but its connections stay open.
func (p *Process) Suspend() error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return awaitStop(p.cmd.Process.Pid)
}

// Resume lets a suspended server go on.
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

// Stop kills the server, suspended or not. It may be called again.
func (p *Process) Stop() {
	p.cmd.Process.Kill()
	<-p.done
}

// Log returns what the server wrote, once it has ended.
func (p *Process) Log() string {
	<-p.done
	return p.log.String()
}
