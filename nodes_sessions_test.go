package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

// ending is a way in which a session ends on one node.
type ending struct {
	name string
	// end ends the session of ended, which belongs to who, on the node of app. other is another session of the user.
	end  func(t *testing.T, n *nodes, app *client, who someone, ended, other tokens)
	kept bool // the other session goes on
}

var endings = []ending{
	{"logout", func(t *testing.T, _ *nodes, app *client, _ someone, ended, _ tokens) {
		messageOf[string](t, app.do(http.MethodPost, "/users/logout", nil, ended.bearer()...))
	}, true},
	{"ended from another device", func(t *testing.T, _ *nodes, app *client, _ someone, ended, other tokens) {
		id := currentSession(t, app, ended)
		messageOf[string](t, app.do(http.MethodDelete, "/users/sessions/"+id, nil, other.bearer()...))
	}, true},
	{"all others ended", func(t *testing.T, _ *nodes, app *client, _ someone, _, other tokens) {
		messageOf[string](t, app.do(http.MethodDelete, "/users/sessions", nil, other.bearer()...))
	}, true},
	{"password changed", func(t *testing.T, _ *nodes, app *client, _ someone, _, other tokens) {
		body := jsonObject("oldPassword", "demo123456", "newPassword", "correct horse battery")
		messageOf[string](t, app.postJSON("/users/password", body, other.bearer()...))
	}, true},
	{"password reset", func(t *testing.T, n *nodes, app *client, who someone, _, _ tokens) {
		body := who.form("code", n.sms.ask(t, app, who, "reset"), "newPassword", "correct horse battery")
		messageOf[string](t, app.postJSON("/users/password/reset", body))
	}, false},
	{"deletion asked for", func(t *testing.T, _ *nodes, app *client, _ someone, _, other tokens) {
		messageOf[struct{}](t, app.postJSON("/users/me/deletion", jsonObject("password", "demo123456"), other.bearer()...))
	}, false},
	{"refresh token stolen", func(t *testing.T, _ *nodes, app *client, _ someone, ended, _ tokens) {
		second := refresh(t, app, ended)
		refresh(t, app, second)
		ended.refresh(app).wantError(t, http.StatusUnauthorized, 1017)
	}, true},
	{"user disable", byCommand("", "disable"), false},
	{"user logout", byCommand("", "logout"), false},
	{"user delete", byCommand("", "delete"), false},
	{"user set-password", byCommand("correct horse battery\n", "set-password"), false},
}

// byCommand ends the sessions of a user from the command line.
func byCommand(stdin, name string) func(*testing.T, *nodes, *client, someone, tokens, tokens) {
	return func(t *testing.T, n *nodes, _ *client, who someone, _, _ tokens) {
		args := slices.Concat([]string{"user", name, who.phone}, n.args, []string{"--data-dir", t.TempDir()})
		wantCommand(t, `logged out everywhere`, stdin, args...)
	}
}

func currentSession(t *testing.T, app *client, k tokens) (id string) {
	t.Helper()
	type session struct {
		ID      string
		Current bool
	}
	listed := messageOf[struct{ Sessions []session }](t, app.get("/users/sessions", k.bearer()...))
	i := slices.IndexFunc(listed.Sessions, func(s session) bool { return s.Current })
	if i < 0 {
		t.Fatalf("none of %d sessions is the current one", len(listed.Sessions))
	}
	return listed.Sessions[i].ID
}

// TestNodesRefuseEndedSessions ends sessions on one node. The other one refuses them within a second.
func TestNodesRefuseEndedSessions(t *testing.T) {
	withAndWithoutRedis(t, func(t *testing.T, args ...string) {
		n := startNodes(t, dbtest.MySQL(t), append(args, "--limits", "off")...)
		for i, ending := range endings {
			t.Run(ending.name, func(t *testing.T) {
				t.Parallel()
				a, b := n.clients(t)
				who := someone{fmt.Sprintf("138%08d", i)}
				n.register(t, a, who)
				ended, other := who.logIn(t, a), who.logIn(t, b)
				wantAccepted(t, b, ended, other)
				ending.end(t, n, a, who, ended, other)
				at := time.Now()
				wantRefusedWithinASecond(t, b, ended, at)
				ended.refresh(b).wantError(t, http.StatusUnauthorized, 1016)
				if ending.kept {
					wantAccepted(t, b, other)
				} else {
					wantRefusedWithinASecond(t, b, other, at)
				}
			})
		}
	})
}

// TestNodesWithoutDatabase lets the database hang, right after a session ended on one node. The other one says
// that it is busy, rather than accept what it no longer knows, and recovers by itself.
func TestNodesWithoutDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits until a database that hangs is given up; make test-all runs this")
	}
	server := dbtest.NewServer(t)
	n := startNodes(t, server.CreateDatabase(t))
	a, b := n.clients(t)
	who := someone{userPhone}
	n.register(t, a, who)
	ended, other := who.logIn(t, a), who.logIn(t, a)
	wantAccepted(t, b, ended, other)
	messageOf[string](t, a.do(http.MethodPost, "/users/logout", nil, ended.bearer()...))
	at := time.Now()
	if err := server.Suspend(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // from now on, what the node knows is too old
	var both sync.WaitGroup
	both.Go(func() {
		if used := ended.use(b); used.code() != 9002 && used.code() != 1006 { // which it may know already
			t.Errorf("the ended session: %d %s, want a refusal", used.status, used.body)
		}
	})
	both.Go(func() { other.use(b).wantError(t, http.StatusServiceUnavailable, 9002) })
	both.Wait()
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node answers again", func() bool {
		return other.use(b).status == http.StatusOK
	})
	wantRefusedWithinASecond(t, b, ended, at)
}
