package main

import (
	"database/sql"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

const userPhone = "18866668888"

// command runs the program beside a server, with a line on the standard input.
func command(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var out, problems strings.Builder
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"TZ=UTC"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &problems
	_ = cmd.Run() // its exit code is in ProcessState
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

// wantCommand expects a command to succeed, and to print something like want.
func wantCommand(t *testing.T, want, stdin string, args ...string) {
	t.Helper()
	stdout, stderr, code := command(t, stdin, args...)
	if code != 0 || stderr != "" || !regexp.MustCompile(want).MatchString(stdout) {
		t.Errorf("%s: code %d, stdout %q, stderr %q; want code 0 and %s", strings.Join(args, " "), code, stdout, stderr, want)
	}
}

func TestUserCommands(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, database string) {
		args, _ := databaseArgs(t, database)
		app := newClient(t, start(t, args...))
		messageOf[string](t, app.postJSON("/users/regist", registration))
		logIn := func() answer { return app.postJSON("/users/login", credentials) }
		user := func(want, stdin string, words ...string) {
			t.Helper()
			wantCommand(t, want, stdin, append(append([]string{"user"}, words...), args...)...)
		}
		// A token of a login before the command is refused within a second after it.
		refusedAfter := func(want string, words ...string) {
			t.Helper()
			bearer := "Bearer " + messageOf[login](t, logIn()).AccessToken
			if me := app.get("/users/me", "Authorization", bearer); me.status != http.StatusOK {
				t.Fatalf("status %d before user %s\n%s", me.status, words[0], me.body)
			}
			user(want, "", words...)
			time.Sleep(time.Second)
			app.get("/users/me", "Authorization", bearer).wantError(t, http.StatusUnauthorized, 1006)
		}

		user(`(?m)^ID .*\n\S+ +\+8618866668888 +\S+Z +never +active +用户8888$`, "", "list")
		user(`\AID [^\n]*\n\z`, "", "list", "--after", "~")
		refusedAfter(`^\+8618866668888 is logged out everywhere`, "logout", userPhone)
		user(`(?s)^id +[0-9a-f-]{36}\n.*\nstate +active\n\z`, "", "show", "+86 188-6666-8888")
		messageOf[login](t, logIn())
		user(`(?m)^SESSION .*\n[0-9a-f-]{36} +\S+Z +\S+Z +127\.0\.0\.1 +Go-http-client`, "", "show", userPhone)
		refusedAfter(`^\+8618866668888 is disabled, and logged out everywhere`, "disable", userPhone)
		logIn().wantError(t, http.StatusForbidden, 1020)
		user(`(?m)^state +disabled$`, "", "show", userPhone)
		user(`^\+8618866668888 is enabled`, "", "enable", userPhone)
		refusedAfter(`and will be erased on \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, unless`, "delete", userPhone)
		user(`(?m)^state +erased on \d{4}`, "", "show", userPhone)
		messageOf[login](t, logIn()) // which restores the account
		user(`^\+8618866668888 is given the new password, and logged out everywhere`, "correct horse battery\n", "set-password", userPhone)
		logIn().wantError(t, http.StatusUnauthorized, 1005)
		messageOf[login](t, app.postJSON("/users/login", `{"phone":"18866668888","password":"correct horse battery"}`))
		user(`erased within a minute by the server`, "", "delete", "--now", userPhone)
		logIn().wantError(t, http.StatusNotFound, 1003)
	})
}

func TestUserCommandsRefuse(t *testing.T) {
	args, dataDir := databaseArgs(t, "")
	app := newClient(t, start(t, args...))
	messageOf[string](t, app.postJSON("/users/regist", registration))
	for _, test := range []struct {
		name  string
		stdin string
		words []string
		want  string
	}{
		{"unknown phone", "", []string{"show", "18866668889"}, "gatehouse: no user has the phone 18866668889\n"},
		{"unknown id", "", []string{"show", "01a1f96e-ba71-7790-b0c5-00c8f778386a"}, "gatehouse: no user has the id 01a1f96e-ba71-7790-b0c5-00c8f778386a\n"},
		{"no phone", "", []string{"disable", "nonsense"}, "gatehouse: \"nonsense\" is not a valid phone number\n"},
		{"no password", "", []string{"set-password", userPhone}, "gatehouse: a password has 8 to 128 characters\n"},
		{"common password", "password123\n", []string{"set-password", userPhone}, "gatehouse: "},
		{"no such command", "", []string{"promote", userPhone}, "unexpected argument promote"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, code := command(t, test.stdin, append(append([]string{"user"}, test.words...), args...)...)
			if code != 1 || stdout != "" || !strings.Contains(stderr, test.want) || strings.Count(stderr, "gatehouse: ") != 1 {
				t.Errorf("code %d, stdout %q, stderr %q; want code 1 and only %q", code, stdout, stderr, test.want)
			}
		})
	}
	elsewhere := filepath.Join(dataDir, "elsewhere")
	_, stderr, code := command(t, "", "user", "list", "--data-dir", elsewhere)
	if code != 1 || !strings.Contains(stderr, "there is no database in "+elsewhere) {
		t.Errorf("code %d, stderr %q; want code 1 and that there is no database", code, stderr)
	}
}

// TestUserWithoutPhone erases a user whose phone went to somebody else, and who is known by the id only.
func TestUserWithoutPhone(t *testing.T) {
	args, dataDir := databaseArgs(t, "")
	app := newClient(t, start(t, args...))
	messageOf[string](t, app.postJSON("/users/regist", registration))
	pool, err := sql.Open("sqlite", filepath.Join(dataDir, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var id string
	if err := pool.QueryRowContext(t.Context(), "UPDATE users SET phone = NULL RETURNING id").Scan(&id); err != nil {
		t.Fatal(err)
	}
	wantCommand(t, `(?m)^phone +-$`, "", append([]string{"user", "show", id}, args...)...)
	wantCommand(t, `^`+id+` is logged out everywhere, and will be erased`, "", append([]string{"user", "delete", "--now", id}, args...)...)
}

func TestUserListTellsOfMore(t *testing.T) {
	args, _ := databaseArgs(t, "")
	app := newClient(t, start(t, args...))
	for _, phone := range []string{"18866668881", "18866668882", "18866668883"} {
		messageOf[string](t, app.postJSON("/users/regist", `{"phone":"`+phone+`","password":"demo123456","code":"123456"}`))
	}
	stdout, stderr, _ := command(t, "", append([]string{"user", "list", "--limit", "2"}, args...)...)
	next := regexp.MustCompile(`--after (\S+)`).FindStringSubmatch(stderr)
	if strings.Count(stdout, "\n") != 3 || next == nil {
		t.Fatalf("stdout %q, stderr %q; want two users and where to go on", stdout, stderr)
	}
	wantCommand(t, `\A[^\n]*\n\S+ +\+8618866668883 [^\n]*\n\z`, "", append([]string{"user", "list", "--after", next[1]}, args...)...)
}
