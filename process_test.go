package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// patience is how long a process may take for anything, on a busy machine.
const patience = 30 * time.Second

// program is the path of the program, built once for all tests, with the race detector where the tests have it.
var program = sync.OnceValues(func() (string, error) {
	if err := os.MkdirAll("bin", 0o755); err != nil {
		return "", err
	}
	path, err := filepath.Abs("bin/gatehouse-under-test")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-o", fmt.Sprintf("%s.%d", path, os.Getpid())}
	if withRaceDetector() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, os.Rename(args[2], path) // atomic, for tests that run at the same time
})

func withRaceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// process is the running program.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{} // closed when it has ended
	address        string        // host:port where it listens
}

// launch starts the program in a new folder, without ./web and ./data. It is killed when the test ends.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return launchCommand(t, exec.Command(path, args...))
}

// launchCommand starts a command as launch does the program.
func launchCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(p.cmd.Env, "TZ=UTC", "TMPDIR="+p.cmd.Dir) // no options from the environment of the tests
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start the program: %v", err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its exit code is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended already
		<-p.ended
		if strings.Contains(p.stderr.String(), "WARNING: DATA RACE") {
			t.Error("the program has a data race")
		}
		if t.Failed() {
			t.Logf("%s\n%s%s", p.cmd, p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// start launches the program and returns when it listens on a free port.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := launch(t, append([]string{"--addr", "127.0.0.1:0"}, args...)...)
	p.awaitBanner(t)
	return p
}

var bannerAddress = regexp.MustCompile(`(?m)^Gatehouse .* mode, on (\S+)$`)

func (p *process) awaitBanner(t *testing.T) {
	t.Helper()
	eventually(t, "it says where it listens", func() bool {
		if p.hasEnded() {
			t.Fatalf("it ended with code %d before it listened:\n%s", p.cmd.ProcessState.ExitCode(), p.stderr.String())
		}
		match := bannerAddress.FindStringSubmatch(p.stdout.String())
		if match != nil {
			p.address = match[1]
		}
		return match != nil
	})
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// url is the address of the process for clients on this machine.
func (p *process) url() string { return "http://" + p.address }

// terminate sends SIGTERM to the process.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
}

// stop sends SIGTERM to the process, which must then end with code 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.terminate(t)
	p.awaitGoodEnd(t)
}

func (p *process) awaitGoodEnd(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// call runs the program to its end, and returns its output and exit code.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	p := launch(t, args...)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("gatehouse %s does not end", strings.Join(args, " "))
	}
	return p.stdout.String(), p.stderr.String(), p.cmd.ProcessState.ExitCode()
}

// eventually waits until a condition is true.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// output collects what a process writes while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// databaseArgs are the options for a database of dbtest, and a new data folder.
func databaseArgs(t *testing.T, url string) (args []string, dataDir string) {
	t.Helper()
	dataDir = filepath.Join(t.TempDir(), "data")
	args = []string{"--data-dir", dataDir}
	if url != "" {
		args = append(args, "--database", url)
	}
	return args, dataDir
}

// productionArgs are the options that production mode requires, with a new secret.
func productionArgs(t *testing.T) []string {
	t.Helper()
	return []string{"--mode", "production", "--public-url", publicURL, "--sms", "none",
		"--trusted-proxy", "127.0.0.1/32", "--secret-file", newSecret(t, strings.Repeat("s3cret-", 6))}
}

// publicURL is the address of the tests' production servers, behind the proxy of a client.
const publicURL = "https://app.example.com"

func newSecret(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// wantMode checks the permissions of a file.
func wantMode(t *testing.T, file string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is no %s", file)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", file, got, want)
	}
}
