package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serviceManager plays the two parts of systemd that a service sees: sockets that are passed to it, and messages
// that it sends.
type serviceManager struct {
	socket   *net.TCPListener
	messages *net.UnixConn
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	messages, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = socket.Close(), messages.Close() })
	return &serviceManager{socket.(*net.TCPListener), messages}
}

// launch starts the program with the socket under a name.
func (m *serviceManager) launch(t *testing.T, name string, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	file, err := m.socket.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// The shell knows the process id before it becomes the program.
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, path}, args...)...)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Env = []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=" + name, "NOTIFY_SOCKET=" + m.messages.LocalAddr().String()}
	return launchLineage(t, cmd)
}

// await waits for a message with a line, and returns its lines.
func (m *serviceManager) await(t *testing.T, line string) []string {
	t.Helper()
	if err := m.messages.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for {
		n, err := m.messages.Read(buffer)
		if err != nil {
			t.Fatalf("wait for %s: %v", line, err)
		}
		if lines := strings.Split(string(buffer[:n]), "\n"); slices.Contains(lines, line) {
			return lines
		}
	}
}

// TestSystemdSocket serves on a socket of systemd, hands it over, and stops: the socket goes on without it.
func TestSystemdSocket(t *testing.T) {
	m := newServiceManager(t)
	p := m.launch(t, "api", "--addr", "127.0.0.1:1", "--data-dir", t.TempDir())
	ready := m.await(t, "READY=1")
	if want := fmt.Sprintf("MAINPID=%d", p.cmd.Process.Pid); !slices.Contains(ready, want) {
		t.Errorf("systemd was told %q, want %s", ready, want)
	}
	p.awaitBanner(t)
	if p.address != m.socket.Addr().String() {
		t.Errorf("it says that it listens on %s, want %s", p.address, m.socket.Addr())
	}
	app := newClient(t, p)
	messageOf[string](t, app.get("/healthz"))

	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.await(t, "RELOADING=1")
	next := mainPID(t, m.await(t, "READY=1"))
	if next == p.cmd.Process.Pid {
		t.Error("the old process says that it goes on")
	}
	messageOf[string](t, newClient(t, p).get("/healthz"))

	if err := syscall.Kill(next, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.await(t, "STOPPING=1")
	p.awaitGoodEnd(t)
	waiting, err := net.Dial("tcp", p.address) // for who is started next
	if err != nil {
		t.Fatalf("the socket of systemd was closed: %v", err)
	}
	defer waiting.Close()
	if err := waiting.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection to the socket of systemd: %v, want it to wait", err)
	}
}

// mainPID reads the process that systemd is told to watch.
func mainPID(t *testing.T, message []string) (pid int) {
	t.Helper()
	if _, err := fmt.Sscanf(strings.Join(message, "\n"), "READY=1\nMAINPID=%d", &pid); err != nil {
		t.Fatalf("message %q: %v", message, err)
	}
	return pid
}

func TestUnknownSystemdSocket(t *testing.T) {
	p := newServiceManager(t).launch(t, "gatehouse.socket", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir())
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(p.stderr.String(), "FileDescriptorName=") {
		t.Errorf("code %d, want 1 and what to do", code)
	}
}
