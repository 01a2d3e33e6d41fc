package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/dbtest"
)

// TestNodesShareRefreshes uses one refresh token on both nodes at once, which gives one next token, and an old one
// after that on the node that did not replace it, which ends the session.
func TestNodesShareRefreshes(t *testing.T) {
	withAndWithoutRedis(t, func(t *testing.T, args ...string) {
		n := startNodes(t, dbtest.MySQL(t), append(args, "--limits", "off")...)
		a, b := n.clients(t)
		who := someone{userPhone}
		n.register(t, a, who)
		first := who.logIn(t, a)

		answers := n.inParallel(t, 100, func(app *client, _ int) answer { return first.refresh(app) })
		second := messageOf[tokens](t, answers[0])
		for i, answer := range answers {
			if got := messageOf[tokens](t, answer); got.RefreshToken != second.RefreshToken {
				t.Errorf("refresh %d forked the session", i)
			}
		}
		third := refresh(t, b, second)
		wantAccepted(t, a, first, second, third)

		first.refresh(a).wantError(t, http.StatusUnauthorized, 1017)
		at := time.Now()
		third.refresh(b).wantError(t, http.StatusUnauthorized, 1016)
		wantRefusedWithinASecond(t, b, third, at)
	})
}

// idempotent is the header of a request that is done once.
func idempotent(key string) []string { return []string{"Idempotency-Key", key} }

// TestNodesRepeatAnswers sends the same requests to both nodes at once, and again when the first node is gone.
func TestNodesRepeatAnswers(t *testing.T) {
	n := startNodes(t, dbtest.MySQL(t))
	a, b := n.clients(t)
	who := someone{userPhone}
	registration := who.form("password", "demo123456", "code", n.sms.ask(t, a, who, "register"))
	registered := n.inParallel(t, 4, func(app *client, _ int) answer { // a code has five tries
		return app.postJSON("/users/regist", registration, idempotent("register-1")...)
	})
	wantSame(t, registered)
	b.postJSON("/users/regist", registration).wantError(t, http.StatusUnprocessableEntity, 1013) // the code was used

	first := who.logIn(t, a)
	refreshed := n.inParallel(t, 20, func(app *client, _ int) answer {
		return first.refresh(app, idempotent("refresh-1")...)
	})
	wantSame(t, refreshed)
	second := messageOf[tokens](t, refreshed[0])
	third := second.refresh(a, idempotent("refresh-2")...) // from now on, the first token is that of a thief
	kill(t, n.a)
	wantSame(t, []answer{refreshed[0], first.refresh(b, idempotent("refresh-1")...)})
	wantSame(t, []answer{third, second.refresh(b, idempotent("refresh-2")...)})
	wantSame(t, []answer{registered[0], b.postJSON("/users/regist", registration, idempotent("register-1")...)})
	second.refresh(b, idempotent("refresh-1")...).wantError(t, http.StatusUnprocessableEntity, 9010)
	wantAccepted(t, b, refresh(t, b, messageOf[tokens](t, third)))
}

func wantSame(t *testing.T, answers []answer) {
	t.Helper()
	for i, answer := range answers {
		if answer.status != http.StatusOK || answer.body != answers[0].body {
			t.Errorf("answer %d: %d %s\nwant that of the first: %s", i, answer.status, answer.body, answers[0].body)
		}
	}
}

const (
	nodeCrashes      = 30
	nodeCrashesShort = 3
)

// TestNodesCrash kills one node repeatedly while it registers users and refreshes sessions. Whatever it answered or
// not, the other node answers the same request: nobody is registered twice, and nobody is logged out.
func TestNodesCrash(t *testing.T) {
	databaseURL := dbtest.MySQL(t)
	n := startNodes(t, databaseURL, "--sms", "none", "--limits", "off")
	_, b := n.clients(t)
	c := &nodeCrash{b: b, random: rand.New(rand.NewPCG(1, 2))}
	for range crashClients {
		who := c.newcomer()
		messageOf[string](t, b.postJSON("/users/regist", who.form("password", "demo123456", "code", "123456")))
		c.sessions = append(c.sessions, who.logIn(t, b))
	}
	wanted := nodeCrashes
	if testing.Short() {
		wanted = nodeCrashesShort
	}
	for crash := range wanted {
		c.killUnderLoad(t, n.a)
		if t.Failed() {
			t.Fatalf("failed at crash %d", crash+1)
		}
		n.a = n.launch(t)
		n.a.awaitBanner(t)
	}
	a, _ := n.clients(t)
	for _, k := range c.sessions {
		wantAccepted(t, a, k, refresh(t, a, k))
	}
	pool := dbtest.OpenPool(t, databaseURL, "")
	for table, want := range map[string]int64{"users": c.lastPhone.Load(), "sessions": crashClients} {
		var rows int64
		if err := pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows != want {
			t.Errorf("%d %s, want %d", rows, table, want)
		}
	}
	t.Logf("registered: %d, refreshed: %d", c.lastPhone.Load(), c.refreshed.Load())
}

// nodeCrash is what the clients of a node know that is killed repeatedly.
type nodeCrash struct {
	b                    *client // of the node that goes on
	random               *rand.Rand
	sessions             []tokens // one of each client
	lastPhone, refreshed atomic.Int64
}

func (c *nodeCrash) newcomer() someone {
	return someone{fmt.Sprintf("138%08d", c.lastPhone.Add(1))}
}

func (c *nodeCrash) killUnderLoad(t *testing.T, p *process) {
	t.Helper()
	var clients sync.WaitGroup
	for i := range c.sessions {
		random := rand.New(rand.NewPCG(c.random.Uint64(), 0))
		clients.Go(func() { c.load(t, newPublicClient(t, p), &c.sessions[i], random) })
	}
	time.Sleep(time.Duration(c.random.Int64N(int64(longestLoad))))
	kill(t, p)
	clients.Wait()
}

// load registers users and refreshes one session until the node is gone.
func (c *nodeCrash) load(t *testing.T, a *client, k *tokens, random *rand.Rand) {
	for gone := false; !gone; {
		if random.IntN(2) == 0 {
			body := c.newcomer().form("password", "demo123456", "code", "123456")
			_, gone = c.once(t, a, "/users/regist", body)
			continue
		}
		var refreshed answer
		refreshed, gone = c.once(t, a, "/users/token/refresh", jsonObject("refreshToken", k.RefreshToken))
		*k = messageOf[tokens](t, refreshed)
		c.refreshed.Add(1)
	}
}

// once sends a request to the node that is to be killed, and then to the other one, whose answer it returns.
func (c *nodeCrash) once(t *testing.T, a *client, path, body string) (again answer, gone bool) {
	headers := append(idempotent(uuid.NewString()), "Content-Type", "application/json")
	first, err := a.try(http.MethodPost, path, strings.NewReader(body), headers...)
	again = c.b.postJSON(path, body, headers...)
	if again.status != http.StatusOK || (err == nil && again.body != first.body) {
		t.Errorf("%s: %v, %d %s\nand then on the other node: %d %s", path, err, first.status, first.body, again.status, again.body)
	}
	return again, err != nil
}
