package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/dbtest"
)

// TestMain runs the command instead of the tests if the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv("BE_WITHMYSQL") == "1" {
		os.Unsetenv("BE_WITHMYSQL")
		main()
	}
	os.Exit(m.Run())
}

// withMySQL prepares the command with a shell script to run, and without TEST_MYSQL.
func withMySQL(t *testing.T, tmp, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "sh", "-c", script)
	cmd.Env = append(os.Environ(), "BE_WITHMYSQL=1", "TEST_MYSQL=", "TMPDIR="+tmp)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestCommandGetsAServer(t *testing.T) {
	tmp := t.TempDir()
	out, err := withMySQL(t, tmp, "echo $TEST_MYSQL; exit 7").Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("%v, want exit code 7", err)
	}
	if !strings.HasPrefix(string(out), "mysql://") && dbtest.NoSkip() {
		t.Errorf("TEST_MYSQL is %q", out)
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCommandKeepsTestMySQL(t *testing.T) {
	cmd := withMySQL(t, t.TempDir(), "echo $TEST_MYSQL")
	cmd.Env = append(cmd.Env, "TEST_MYSQL=mysql://somewhere/")
	if out, err := cmd.Output(); err != nil || string(out) != "mysql://somewhere/\n" {
		t.Errorf("TEST_MYSQL is %q, %v", out, err)
	}
}

func TestCommandGetsSignals(t *testing.T) {
	cmd := withMySQL(t, t.TempDir(), "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 5 {
		t.Errorf("%v, want the exit code of the script's trap", err)
	}
}

func TestKilledCommandsCode(t *testing.T) {
	cmd := withMySQL(t, t.TempDir(), "kill -9 $$")
	cmd.Env = append(cmd.Env, "TEST_MYSQL=mysql://somewhere/")
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 137 {
		t.Errorf("%v, want exit code 137", err)
	}
}
