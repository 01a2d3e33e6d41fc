package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/dbtest"
)

const (
	readsAllowed      = 5 // an hour, on all nodes together
	readsAllowedAlone = 1 // on each node without Redis: a quarter
	readsTried        = 10
)

// TestNodesShareLimits counts the requests of a client on both nodes together, as long as Redis is there. When it
// is stopped or hangs, each node counts alone and more strictly, until Redis is back.
func TestNodesShareLimits(t *testing.T) {
	for _, away := range []struct {
		name    string
		away    func(*dbtest.Redis) error
		back    func(*dbtest.Redis) error
		anyTime bool // also in short tests
	}{
		{"stopped", func(r *dbtest.Redis) error { r.Stop(); return nil }, (*dbtest.Redis).Start, true},
		{"hanging", (*dbtest.Redis).Suspend, (*dbtest.Redis).Resume, false},
	} {
		t.Run(away.name, func(t *testing.T) {
			if testing.Short() && !away.anyTime {
				t.Skip("make test-all runs this")
			}
			redis := dbtest.NewRedis(t)
			n := startNodes(t, dbtest.MySQL(t), "--redis", redis.URL, "--limits", fmt.Sprintf("default,read=%d/h", readsAllowed))
			n.wantSharedLimit(t, "198.51.100")
			if err := away.away(redis); err != nil {
				t.Fatal(err)
			}
			n.awaitRedis(t, "away")
			n.wantLimitAlone(t, "203.0.113.99")
			if err := away.back(redis); err != nil {
				t.Fatal(err)
			}
			n.awaitRedis(t, "ok")
			n.wantSharedLimit(t, "192.0.2")
			wantRedisInLog(t, n.a, "back")
			wantRedisInLog(t, n.b, "back")
		})
	}
}

// awaitRedis waits until both nodes, which stay ready, say how Redis is.
func (n *nodes) awaitRedis(t *testing.T, want string) {
	t.Helper()
	a, b := n.clients(t)
	for _, app := range []*client{a, b} {
		eventually(t, "Redis is "+want, func() bool {
			return messageOf[readiness](t, app.get("/readyz")).Redis == want
		})
	}
}

// wantSharedLimit wants a new client to be allowed as much on both nodes together as it would be on one. It takes
// another client of the network if a node counted alone, as it rightly does when this machine stands still for 50 ms.
func (n *nodes) wantSharedLimit(t *testing.T, network string) {
	t.Helper()
	for client := range 100 {
		allowed, limits := n.read(t, fmt.Sprintf("%s.%d", network, client))
		if len(limits) > 1 || !limits[readsAllowed] {
			continue
		}
		if allowed != readsAllowed {
			t.Errorf("%d requests on two nodes allowed, want %d", allowed, readsAllowed)
		}
		return
	}
	t.Fatal("100 clients, and never did both nodes count with Redis")
}

// wantLimitAlone wants each node to allow a new client less than there is with Redis.
func (n *nodes) wantLimitAlone(t *testing.T, address string) {
	t.Helper()
	allowed, limits := n.read(t, address)
	if allowed != 2*readsAllowedAlone || len(limits) > 1 || !limits[readsAllowedAlone] {
		t.Errorf("without Redis: %d requests on two nodes allowed, of limits %v; want %d of %d each",
			allowed, limits, 2*readsAllowedAlone, readsAllowedAlone)
	}
	wantRedisInLog(t, n.a, "away")
	wantRedisInLog(t, n.b, "away")
}

// read reads from both nodes in turn. It returns how many requests were allowed, and of which limits.
func (n *nodes) read(t *testing.T, address string) (allowed int, limits map[int]bool) {
	t.Helper()
	a, b := n.clients(t)
	limits = make(map[int]bool)
	for i := range readsTried {
		got := []*client{a, b}[i%2].get("/.well-known/jwks.json", "X-Real-IP", address)
		if got.status == http.StatusOK {
			allowed++
		} else {
			got.wantError(t, http.StatusTooManyRequests, 9003)
		}
		var limit int
		if _, err := fmt.Sscan(got.header.Get("RateLimit-Limit"), &limit); err != nil {
			t.Fatalf("RateLimit-Limit: %q", got.header.Get("RateLimit-Limit"))
		}
		limits[limit] = true
	}
	return allowed, limits
}

var redisEvent = regexp.MustCompile(`WARN server \S+ Redis is away|INFO server \S+ Redis is back`)

// wantRedisInLog wants the log of a node to say each change once, and soon the last one.
func wantRedisInLog(t *testing.T, p *process, last string) {
	t.Helper()
	var events []string
	eventually(t, "the log says that Redis is "+last, func() bool {
		events = redisEvent.FindAllString(p.stderr.String(), -1)
		return len(events) > 0 && strings.HasSuffix(events[len(events)-1], last)
	})
	for i, event := range events {
		if away := strings.HasSuffix(event, "away"); away != (i%2 == 0) {
			t.Errorf("event %d is out of turn: %q", i+1, events)
		}
	}
}
