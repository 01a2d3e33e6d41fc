package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/browsertest"
	"gatehouse/internal/servertest"
)

const bootTimeout = 2 * time.Minute

// machine is a copy of this machine with a systemd of its own, which forgets everything when the test ends. Its
// network is its own loopback.
type machine struct{ systemd string } // the process id

// bootMachine needs root and what testdata/deploy/machine.sh calls. Without them the test is skipped, or fails if
// skipping is forbidden.
func bootMachine(t *testing.T) *machine {
	t.Helper()
	namespaces := []string{"--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child"}
	for _, needed := range [][]string{
		{"test", "-x", "/lib/systemd/systemd"}, {"which", "setpriv", "nsenter", "ip"}, append(append([]string{"unshare"}, namespaces...), "true"),
	} {
		if out, err := exec.Command(needed[0], needed[1:]...).CombinedOutput(); err != nil {
			browsertest.Missing(t, fmt.Sprintf("no copy of this machine can be booted, which takes root and systemd: %s: %v %s", needed[0], err, out))
		}
	}
	cgroup := newCgroup(t)
	m := &machine{}
	boot := append(append([]string{}, namespaces...), "sh", "testdata/deploy/machine.sh", t.TempDir(), cgroup)
	process, err := servertest.Start(exec.Command("unshare", boot...), bootTimeout, func() error { return m.find(cgroup) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Stop)
	return m
}

// newCgroup makes a group for all processes of a machine.
func newCgroup(t *testing.T) string {
	t.Helper()
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/unified"); err == nil { // beside the groups of version 1
		root += "/unified"
	}
	dir := filepath.Join(root, fmt.Sprintf("gatehouse-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		browsertest.Missing(t, fmt.Sprintf("no copy of this machine can be booted: %v", err))
	}
	t.Cleanup(func() {
		eventually(t, "the groups of the machine are empty", func() bool { return removeCgroup(dir) == nil })
	})
	return dir
}

// removeCgroup removes a group and those in it, which are empty folders for who removes them.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			err = errors.Join(err, removeCgroup(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(err, os.Remove(dir))
}

// find finds the machine's first process, and asks it whether it is up.
func (m *machine) find(cgroup string) error {
	processes, err := os.ReadFile(filepath.Join(cgroup, "init.scope/cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("systemd has not started")
	}
	if err != nil {
		return err
	}
	m.systemd, _, _ = strings.Cut(string(processes), "\n")
	out, err := m.command("systemctl", "is-system-running").CombinedOutput()
	if state := strings.TrimSpace(string(out)); state != "running" && state != "degraded" {
		return fmt.Errorf("systemd is %s: %w", state, err)
	}
	return nil
}

// command is a command in the machine, as root in its home folder.
func (m *machine) command(name string, args ...string) *exec.Cmd {
	enter := []string{"--target", m.systemd, "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--", "env", "--chdir=/root", name}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// run runs a script in the machine, which must succeed, and returns what it printed.
func (m *machine) run(t *testing.T, script string) string {
	t.Helper()
	cmd := m.command("sh", "-eu")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s\n%s", script, err, out, m.journal())
	}
	return string(out)
}

func (m *machine) journal() []byte {
	out, _ := m.command("journalctl", "--no-pager", "--lines=60", "--quiet").CombinedOutput() // what there is of it
	return out
}

// put copies a file of this machine into root's home folder.
func (m *machine) put(t *testing.T, file, as string) {
	t.Helper()
	content, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	cmd := m.command("sh", "-c", `mkdir -p "$(dirname "$0")" && cat > "$0"`, as)
	cmd.Stdin = io.Reader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v %s", file, err, bytes.TrimSpace(out))
	}
}
