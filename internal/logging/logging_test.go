package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// open opens logs in a folder of the test. Its read closes them, and returns the content of the console and of the
// file of a module.
func open(t testing.TB, spec string, asJSON bool) (logs *Logs, read func(module string) (console, file string)) {
	t.Helper()
	levels, err := ParseLevels(spec)
	if err != nil {
		t.Fatal(err)
	}
	var console bytes.Buffer
	dir := t.TempDir()
	logs, err = New(Options{Levels: levels, JSON: asJSON, Dir: dir, Console: &console})
	if err != nil {
		t.Fatal(err)
	}
	return logs, func(module string) (string, string) {
		t.Helper()
		if err := logs.Close(); err != nil {
			t.Error(err)
		}
		return console.String(), readFile(t, filepath.Join(dir, module, module+".log"))
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestLine(t *testing.T) {
	logs, read := open(t, "info", false)
	logger := logs.Module(Image).With("user", "u1").WithGroup("file")
	logger.Info("image stored", "bytes", 48123, "took", 1500*time.Microsecond, "name", "猫 one.jpg",
		slog.Group("size", "width", 640, "ok", true), "peer", netip.MustParseAddr("::1"), "error", errors.New("no space"))
	console, file := read(Image)
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d) INFO image logging/logging_test\.go:\d+ image stored ` +
		`user=u1 file\.bytes=48123 file\.took=1\.500ms file\.name="猫 one\.jpg" file\.size\.width=640 file\.size\.ok=true ` +
		`file\.peer=::1 file\.error="no space"\n$`)
	if !want.MatchString(file) {
		t.Errorf("file holds %q, want %s", file, want)
	}
	if console != file {
		t.Errorf("console shows %q, want what the file holds: %q", console, file)
	}
}

func TestJSONLine(t *testing.T) {
	logs, read := open(t, "info", true)
	logs.Module(HTTP).With("request_id", "r1").WithGroup("client").Info("request", "ip", "203.0.113.1", "Token", "s3cret")
	console, file := read(HTTP)
	if console != file {
		t.Errorf("console shows %q, want what the file holds: %q", console, file)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(file), &got); err != nil {
		t.Fatalf("%q: %v", file, err)
	}
	if source, _ := got["source"].(string); !strings.HasPrefix(source, "logging/logging_test.go:") {
		t.Errorf("source = %q, want this file", source)
	}
	delete(got, "time")
	delete(got, "source")
	want := map[string]any{"level": "INFO", "module": "http", "msg": "request", "request_id": "r1",
		"client": map[string]any{"ip": "203.0.113.1", "Token": redacted}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("line = %v, want %v", got, want)
	}
}

func TestLevels(t *testing.T) {
	tests := []struct {
		spec      string
		wantImage []string
		wantHTTP  []string
	}{
		{"info", []string{"INFO", "WARN", "ERROR"}, []string{"INFO", "WARN", "ERROR"}},
		{"warn,image=debug", []string{"DEBUG", "INFO", "WARN", "ERROR"}, []string{"WARN", "ERROR"}},
		{"error", []string{"ERROR"}, []string{"ERROR"}},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			logs, read := open(t, tt.spec, false)
			for _, module := range []string{Image, HTTP} {
				for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
					logs.Module(module).Log(context.Background(), level, "x")
				}
			}
			for module, want := range map[string][]string{Image: tt.wantImage, HTTP: tt.wantHTTP} {
				_, file := read(module)
				var got []string
				for line := range strings.Lines(file) {
					got = append(got, strings.Fields(line)[1])
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s logged %v, want %v", module, got, want)
				}
			}
		})
	}
}

func TestNoneLeavesNothing(t *testing.T) {
	levels, _ := ParseLevels("none")
	dir := filepath.Join(t.TempDir(), "log")
	var console bytes.Buffer
	logs, err := New(Options{Levels: levels, Dir: dir, Console: &console})
	if err != nil {
		t.Fatal(err)
	}
	logs.Module(Server).Error("x")
	if err := logs.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || console.Len() > 0 {
		t.Errorf("folder: %v, console: %q, want neither", err, console.String())
	}
}

func TestUnknownModulePanics(t *testing.T) {
	logs, read := open(t, "info", false)
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, `no module "mail"`) {
			t.Errorf("panic = %s, want one about the module", got)
		}
		read(Server)
	}()
	logs.Module("mail")
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	levels, _ := ParseLevels("info")
	dir := filepath.Join(t.TempDir(), "log")
	logs, err := New(Options{Levels: levels, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	for path, want := range map[string]fs.FileMode{dir: 0o700, dir + "/http": 0o700, dir + "/http/http.log": 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestFolderThatCannotBeMade(t *testing.T) {
	levels, _ := ParseLevels("info")
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Levels: levels, Dir: blocked}); err == nil || !strings.Contains(err.Error(), "open log of account") {
		t.Errorf("error = %v, want one that names the log", err)
	}
}

type resolving struct{ value slog.Value }

func (r resolving) LogValue() slog.Value { return r.value }

type exploding struct{}

func (*exploding) String() string { panic("boom") }

func TestSecretsAreRedacted(t *testing.T) {
	const secret = "hunter2"
	attrs := map[string]slog.Attr{
		"password":      slog.String("password", secret),
		"capitals":      slog.String("Authorization", secret),
		"ending":        slog.String("accessToken", secret),
		"header":        slog.String("Set-Cookie", secret),
		"whole key":     slog.String("query", secret),
		"number":        slog.Any("code", []string{secret}),
		"group":         slog.Group("request", slog.Group("body", slog.String("ticket", secret))),
		"secret group":  slog.Group("cookie", slog.String("value", secret)),
		"resolved":      slog.Any("login", resolving{slog.GroupValue(slog.String("secret", secret))}),
		"inlined group": slog.Group("", slog.String("token", secret)),
	}
	for _, asJSON := range []bool{false, true} {
		for name, attr := range attrs {
			t.Run(fmt.Sprintf("%s/json=%t", name, asJSON), func(t *testing.T) {
				logs, read := open(t, "info", asJSON)
				logger := logs.Module(Account)
				logger.LogAttrs(context.Background(), slog.LevelInfo, "direct", attr)
				logger.With(attr).Info("bound")
				logger.WithGroup("token").Info("grouped", "value", secret)
				_, file := read(Account)
				if strings.Contains(file, secret) || strings.Count(file, redacted) != 3 {
					t.Errorf("logged %s, want three lines with %s", file, redacted)
				}
			})
		}
	}
}

func TestHarmlessKeysAreShown(t *testing.T) {
	for _, key := range []string{"status_code", "status", "route", "id", "querying", "tokens", "duration", "y", ""} {
		if isSecret(key) {
			t.Errorf("%q counts as a secret", key)
		}
	}
}

func TestOneLineWhateverIsLogged(t *testing.T) {
	var nilExploding *exploding
	evil := "a\nERROR forged\r\n\x1b[31mred\x00\u2028\u202e\xff"
	for _, asJSON := range []bool{false, true} {
		t.Run(fmt.Sprintf("json=%t", asJSON), func(t *testing.T) {
			logs, read := open(t, "info", asJSON)
			logs.Module(HTTP).With(evil, evil).WithGroup(evil).Info(evil, evil, evil, "error", errors.New(evil), "any", []string{evil},
				"bytes", []byte(evil), "nil", nilExploding, "explodes", &exploding{})
			_, file := read(HTTP)
			if strings.Count(file, "\n") != 1 || !strings.HasSuffix(file, "\n") {
				t.Errorf("%d lines, want one: %q", strings.Count(file, "\n"), file)
			}
			if i := strings.IndexAny(strings.TrimSuffix(file, "\n"), "\r\x1b\x00\u2028"); i >= 0 {
				t.Errorf("control character at %d of %q", i, file)
			}
			if !asJSON && strings.Contains(file, "\u202e") {
				t.Errorf("a character that turns the direction of text is in %q", file)
			}
		})
	}
}

func TestColoursForATerminal(t *testing.T) {
	var console, file bytes.Buffer
	out := &outlet{console: newSink(&console, reportText), file: newSink(&file, reportText), colour: true}
	slog.New(newHandler(out, Server, slog.LevelInfo, false)).Error("x")
	for _, sink := range []*sink{out.console, out.file} {
		sink.stop()
		<-sink.done
	}
	if !strings.Contains(console.String(), " \x1b[91mERROR\x1b[0m server ") {
		t.Errorf("console shows %q, want the level in red", console.String())
	}
	if strings.Contains(file.String(), "\x1b") {
		t.Errorf("file holds %q, want no colours", file.String())
	}
}

func TestConcurrentLinesStayWhole(t *testing.T) {
	logs, read := open(t, "info", false)
	const writers, each = 8, 500
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for i := range each {
				logs.Module(HTTP).Info("line", "i", i, "filler", strings.Repeat("x", 50))
			}
		})
	}
	group.Wait()
	console, file := read(HTTP)
	for name, text := range map[string]string{"console": console, "file": file} {
		whole := 0
		for line := range strings.Lines(text) {
			if strings.HasSuffix(line, "filler="+strings.Repeat("x", 50)+"\n") && strings.Count(line, "line") == 1 {
				whole++
			}
		}
		if whole != writers*each {
			t.Errorf("%s: %d whole lines, want %d", name, whole, writers*each)
		}
	}
}

// gate is an output that blocks until it is opened.
type gate struct {
	opened  chan struct{}
	entered chan struct{}
	once    sync.Once
	bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() { close(g.entered) })
	<-g.opened
	return g.Buffer.Write(p)
}

func TestBlockedOutputCostsLinesNotTime(t *testing.T) {
	output := &gate{opened: make(chan struct{}), entered: make(chan struct{})}
	s := newSink(output, reportText)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	s.append(line)
	<-output.entered
	const more = sinkLimit/1024 + 100
	for range more {
		s.append(line) // would block here if it waited
	}
	close(output.opened)
	s.stop()
	<-s.done
	want := "lines=100 cause=\"no room in memory\"\n"
	if got := output.String(); strings.Count(got, "\n") != more-100+2 || !strings.HasSuffix(got, want) {
		t.Errorf("%d lines, ending in %q, want %d and %q", strings.Count(got, "\n"), got[max(0, len(got)-100):], more-100+2, want)
	}
}

// disk is an output that becomes full after a few more bytes, and is not full later.
type disk struct {
	full bool
	left int
	bytes.Buffer
}

func (d *disk) Write(p []byte) (int, error) {
	if !d.full {
		return d.Buffer.Write(p)
	}
	n, _ := d.Buffer.Write(p[:min(d.left, len(p))])
	d.left -= n
	return n, errors.New("no space left on device")
}

func TestFullDisk(t *testing.T) {
	output := &disk{full: true, left: 7}
	s := &sink{out: output, report: reportText, wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
	for i := range 3 {
		s.append(fmt.Appendf(nil, "line%d\n", i))
	}
	s.flush(nil) // the first line and a part of the second fit
	s.append([]byte("line3\n"))
	s.flush(nil)
	output.full = false
	s.append([]byte("line4\n"))
	s.flush(nil)
	got := strings.Split(output.String(), "\n")
	if len(got) != 5 || got[0] != "line0" || got[1] != "l" || got[2] != "line4" ||
		!strings.HasSuffix(got[3], `log lines were lost lines=3 cause="no space left on device"`) {
		t.Errorf("disk holds %q, want line0, a piece, line4 and a report of 3 lines", got)
	}
	for _, report := range []func(io.Writer, int, error){reportText, reportJSON} {
		var line bytes.Buffer
		report(&line, 2, errors.New("x\ny"))
		if strings.Count(line.String(), "\n") != 1 {
			t.Errorf("report %q is not one line", line.String())
		}
	}
}

func TestDays(t *testing.T) {
	now := time.Date(2026, 1, 31, 23, 59, 0, 0, time.Local)
	path := filepath.Join(t.TempDir(), "image", "image.log")
	file, err := openDaily(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	write := func(line string) {
		t.Helper()
		if _, err := file.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	write("january")
	now = now.Add(2 * time.Minute)
	write("february")
	if got := readFile(t, path+".2026-01-31"); got != "january\n" {
		t.Errorf("file of the day gone by holds %q", got)
	}
	if got := readFile(t, path); got != "february\n" {
		t.Errorf("file of today holds %q", got)
	}
	stray := path + ".2026-xx-yy"
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		now = now.AddDate(0, 0, 1)
		write(dayOf(now))
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	past, _ := filepath.Glob(path + ".2*")
	if len(past) != keepDays+1 || !slices.Contains(past, stray) {
		t.Errorf("%d files of past days, want %d, and the one that is none: %q", len(past)-1, keepDays, past)
	}
	if got := readFile(t, path+".2026-03-12"); got != "2026-03-12\n" {
		t.Errorf("the last day gone by holds %q", got)
	}
}

func TestDayOfAFormerRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.log")
	yesterday := time.Now().AddDate(0, 0, -1)
	for name, content := range map[string]string{path: "old\n", path + "." + dayOf(yesterday): "older\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(path, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	file, err := openDaily(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write([]byte("new\n")); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path+"."+dayOf(yesterday)); got != "older\n" {
		t.Errorf("another process's file of yesterday was replaced by %q", got)
	}
	if got := readFile(t, path); got != "old\nnew\n" {
		t.Errorf("file of today holds %q, want no line lost", got)
	}
}

// TestBrokenConsole logs to a pipe whose reader is gone, which must lose only those lines.
func TestBrokenConsole(t *testing.T) {
	if dir := os.Getenv("LOGGING_TEST_DIR"); dir != "" {
		signal.Ignore(syscall.SIGPIPE) // as main does
		levels, _ := ParseLevels("info")
		logs, err := New(Options{Levels: levels, Dir: dir, Console: os.Stdout})
		if err != nil {
			t.Fatal(err)
		}
		logs.Module(Server).Error("still here")
		_ = logs.Close()
		os.Exit(0) // before the test framework writes to the pipe itself
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	defer writer.Close()
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestBrokenConsole$")
	child.Env = append(os.Environ(), "LOGGING_TEST_DIR="+dir)
	child.Stdout = writer
	if err := child.Run(); err != nil {
		t.Errorf("child: %v, want it to survive", err)
	}
	if got := readFile(t, filepath.Join(dir, "server", "server.log")); !strings.Contains(got, "still here") {
		t.Errorf("file holds %q, want the line", got)
	}
}
