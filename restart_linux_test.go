package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/dbtest"
	"gatehouse/internal/servertest"
)

// succession is a server whose program is replaced while it serves: each process takes over from the one before.
type succession struct {
	*process        // the first one
	program  string // the file
}

// startSuccession starts a copy of the program, with its options in a file that a test may change.
func startSuccession(t *testing.T, args ...string) *succession {
	t.Helper()
	s := &succession{program: filepath.Join(t.TempDir(), "gatehouse")}
	s.replaceProgram(t)
	s.process = launchLineage(t, exec.Command(s.program, append([]string{"--addr", "127.0.0.1:0"}, args...)...))
	s.awaitBanner(t)
	s.awaitServing(t, 1)
	return s
}

// launchLineage starts a command as launchCommand does. Those that took over from it are killed with it.
func launchLineage(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := launchCommand(t, cmd)
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // they may have ended
	return p
}

// replaceProgram puts a copy of the program in its place, which is a file of its own.
func (s *succession) replaceProgram(t *testing.T) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.replaceProgramBy(t, content)
}

func (s *succession) replaceProgramBy(t *testing.T, content []byte) {
	t.Helper()
	if err := os.WriteFile(s.program+".new", content, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.program+".new", s.program); err != nil {
		t.Fatal(err)
	}
}

var servingPID = regexp.MustCompile(` serving .*\bpid=(\d+)`)

// pids are the processes that have served, in their order.
func (s *succession) pids(t *testing.T) (pids []int) {
	t.Helper()
	for _, match := range servingPID.FindAllStringSubmatch(s.stderr.String(), -1) {
		pid, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// awaitServing returns the last of so many processes.
func (s *succession) awaitServing(t *testing.T, processes int) (pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d serves", processes), func() bool { return len(s.pids(t)) == processes })
	return s.pids(t)[processes-1]
}

func (s *succession) hangUp(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatalf("SIGHUP: %v", err)
	}
}

// restart replaces the program and lets it take over. It returns when the process before has ended.
func (s *succession) restart(t *testing.T) {
	t.Helper()
	before := s.pids(t)
	old := before[len(before)-1]
	s.replaceProgram(t)
	s.hangUp(t, old)
	next := s.awaitServing(t, len(before)+1)
	s.wantProgramOf(t, next)
	eventually(t, "the process before has ended", func() bool {
		_, err := os.Readlink(exeOf(old)) // a zombie has none either
		return err != nil
	})
}

// wantProgramOf checks that a process runs what is on disk.
func (s *succession) wantProgramOf(t *testing.T, pid int) {
	t.Helper()
	running, err := os.Stat(exeOf(pid))
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := os.Stat(s.program)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(running, onDisk) {
		t.Errorf("process %d does not run the program on disk", pid)
	}
}

func exeOf(pid int) string { return fmt.Sprintf("/proc/%d/exe", pid) }

// stopLast sends SIGTERM to the process that serves, and returns when all have ended.
func (s *succession) stopLast(t *testing.T) {
	t.Helper()
	pids := s.pids(t)
	if err := syscall.Kill(pids[len(pids)-1], syscall.SIGTERM); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	s.awaitGoodEnd(t)
}

// TestRestart replaces the program in the middle of an upload.
func TestRestart(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, database string) {
		args, _ := databaseArgs(t, database)
		s := startSuccession(t, args...)
		app := newClient(t, s.process)
		token := registerAndLogIn(t, app)
		picture := pngPicture(t)
		uploader, rest := startUpload(t, s.process, token, picture)

		s.replaceProgram(t)
		s.hangUp(t, s.awaitServing(t, 1))
		s.wantProgramOf(t, s.awaitServing(t, 2))
		other := newClient(t, s.process) // on a new connection
		messageOf[user](t, other.get("/users/me", "Authorization", "Bearer "+token))

		if _, err := uploader.conn.Write(rest); err != nil {
			t.Fatalf("send the rest of the upload: %v", err)
		}
		stored := messageOf[uploaded](t, readAnswer(t, uploader.reader))
		if loaded := other.get(mustParse(t, stored.ImageURL[0]).Path); loaded.body != string(picture) {
			t.Errorf("the picture is not there: %d", loaded.status)
		}
		s.stopLast(t)
	})
}

// TestRestartOfAllAddresses restarts a server that speaks HTTPS, redirects to it and tells metrics, on ports that were
// free at its first start.
func TestRestartOfAllAddresses(t *testing.T) {
	c := servertest.NewCertificate(t, publicName)
	s := startSuccession(t, httpsArgs(t, "--data-dir", t.TempDir(), "--tls-cert", c.File, "--tls-key", c.KeyFile, "--shutdown-idle", "0s")...)
	for range 2 {
		s.restart(t)
		messageOf[string](t, newHTTPSClient(t, s.process, poolOf(c), true).get("/healthz"))
		browser := newClient(t, s.process)
		browser.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		if got := browser.get("http://" + s.redirectAddress(t) + "/docs/"); got.header.Get("Location") != publicURL+"/docs/" {
			t.Errorf("plain HTTP: status %d to %q", got.status, got.header.Get("Location"))
		}
		if got := newAdmin(t, s.process).get("/metrics"); got.status != http.StatusOK {
			t.Errorf("metrics: status %d", got.status)
		}
	}
	s.stopLast(t)
}

// TestRestartWhileAnotherDrains asks for a restart while an upload keeps the process before alive: it comes afterwards.
func TestRestartWhileAnotherDrains(t *testing.T) {
	s := startSuccession(t, "--data-dir", t.TempDir())
	token := registerAndLogIn(t, newClient(t, s.process))
	uploader, rest := startUpload(t, s.process, token, pngPicture(t))
	s.hangUp(t, s.awaitServing(t, 1))
	second := s.awaitServing(t, 2)
	s.hangUp(t, second)
	eventually(t, "the second process has heard", func() bool {
		return strings.Count(s.stderr.String(), "starting the program on disk") == 2
	})
	messageOf[string](t, newClient(t, s.process).get("/healthz"))
	if pids := s.pids(t); len(pids) != 2 {
		t.Fatalf("processes %v serve while the first still has a request", pids)
	}
	if _, err := uploader.conn.Write(rest); err != nil {
		t.Fatalf("send the rest of the upload: %v", err)
	}
	messageOf[uploaded](t, readAnswer(t, uploader.reader))
	s.awaitServing(t, 3)
	s.stopLast(t)
}

// TestRestartThatFails puts something in the program's place that does not start: nothing changes, and the next
// good one takes over.
func TestRestartThatFails(t *testing.T) {
	options := filepath.Join(t.TempDir(), "gatehouse.yaml")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(options, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log-level: info\n")
	s := startSuccession(t, "--config", options)
	app := newClient(t, s.process)
	first := s.awaitServing(t, 1)
	for i, spoil := range []func(){
		func() { s.replaceProgramBy(t, []byte("#!/bin/sh\nexit 3\n")) },
		func() { s.replaceProgram(t); write("log-level: loud\n") },
	} {
		spoil()
		s.hangUp(t, first)
		eventually(t, "the server says that nothing changed", func() bool {
			return strings.Count(s.stderr.String(), "the program on disk did not take over") == i+1
		})
		messageOf[string](t, app.get("/healthz"))
		if pids := s.pids(t); len(pids) != 1 {
			t.Fatalf("processes %v serve", pids)
		}
	}
	if !strings.Contains(s.stderr.String(), "log-level") {
		t.Error("nobody says what is wrong with the options")
	}
	write("log-level: info\n")
	s.restart(t)
	messageOf[string](t, app.get("/healthz"))
	s.stopLast(t)
}

// TestRestartUnderLoad replaces the program ten times. Clients send one request after the other, on connections that
// they keep.
func TestRestartUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("it restarts a server ten times; make test-all runs this")
	}
	dbtest.RunURL(t, func(t *testing.T, database string) {
		args, _ := databaseArgs(t, database)
		s := startSuccession(t, append(args, busyArgs(t)...)...)
		l := newLoad(t, map[string]func() *client{"http1": func() *client { return newPublicClient(t, s.process) }})
		s.restartUnderLoad(t, l)
	})
}

// TestRestartBehindNginx does the same behind nginx. Some clients rest so long between two requests that the
// connections of nginx to the server are idle, or given up, when the program is replaced.
func TestRestartBehindNginx(t *testing.T) {
	if testing.Short() {
		t.Skip("it restarts a server ten times; make test-all runs this")
	}
	s := startSuccession(t, append(busyArgs(t), "--data-dir", t.TempDir(), "--database", dbtest.MySQL(t))...)
	h := &house{servers: []*process{s.process, s.process, s.process}} // no other that a request could go to
	h.startNginx(t)
	l := h.newLoad(t)
	l.addResting(func() *client { return h.client(t, phone) })
	s.restartUnderLoad(t, l)
	for id, request := range h.requests(t) {
		if len(request.servers) != 1 {
			t.Errorf("nginx had to send %s again: %+v", id, request)
		}
	}
}

// busyArgs are for a server that is to do nothing but its part in a test.
func busyArgs(t *testing.T) []string {
	t.Helper()
	return append(productionArgs(t), "--limits", "off", "--password-memory", "64", "--password-iterations", "1", "--log-level", "warn,server=info")
}

func (s *succession) restartUnderLoad(t *testing.T, l *load) {
	t.Helper()
	for range 10 {
		l.awaitMore(t, 50)
		s.restart(t)
	}
	l.awaitMore(t, 50)
	l.end()
	t.Logf("%d requests were answered", l.answered.Load())
	for id, what := range l.failed {
		t.Errorf("%s failed: %s", id, what)
	}
	s.stopLast(t)
	if strings.Contains(s.stderr.String(), " ERROR ") {
		t.Error("a process logged errors")
	}
}
