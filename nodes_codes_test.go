package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

// TestNodesShareBudgets asks both nodes at once for codes to many phones, from one address.
func TestNodesShareBudgets(t *testing.T) {
	const budget, asked = 3, 20
	n := startNodes(t, dbtest.MySQL(t), "--sms-budget-address", fmt.Sprint(budget))
	got := codesOf(n.inParallel(t, asked, func(app *client, i int) answer {
		who := someone{fmt.Sprintf("138%08d", i)}
		return app.postJSON("/users/code", who.form("purpose", "register"))
	}))
	want := map[int]int{0: budget, 1009: asked - budget}
	if !maps.Equal(got, want) || n.sms.received() != budget {
		t.Errorf("answers by code: %v, want %v; %d messages, want %d", got, want, n.sms.received(), budget)
	}
}

// TestNodesShareTries guesses a code on both nodes at once. After five tries, the right one is of no use either.
func TestNodesShareTries(t *testing.T) {
	const guesses, tries = 1000, 5
	n := startNodes(t, dbtest.MySQL(t), "--limits", "default,credentials=off")
	a, b := n.clients(t)
	who := someone{userPhone}
	n.register(t, a, who)
	right := n.sms.ask(t, a, who, "login")
	wrong := fmt.Sprintf("%c%s", '0'+(right[0]-'0'+1)%10, right[1:])

	got := codesOf(n.inParallel(t, guesses, func(app *client, _ int) answer {
		return app.postJSON("/users/login", who.form("code", wrong))
	}))
	if want := map[int]int{1004: tries, 1013: guesses - tries}; !maps.Equal(got, want) {
		t.Errorf("answers by code: %v, want %v", got, want)
	}
	for _, app := range []*client{a, b} {
		app.postJSON("/users/login", who.form("code", right)).wantError(t, http.StatusUnprocessableEntity, 1013)
	}
}

// TestNodesShareFailures gives wrong passwords to both nodes in turn, until both refuse to look at more. A code
// from either node still lets its owner in, and ends the delay on both.
func TestNodesShareFailures(t *testing.T) {
	const free = 5 // wrong passwords before the first delay
	n := startNodes(t, dbtest.MySQL(t))
	a, b := n.clients(t)
	who := someone{userPhone}
	n.register(t, a, who)

	began, wrong := time.Now(), 0
	for refused := 0; refused < 2; {
		got := []*client{a, b}[(wrong+refused)%2].postJSON("/users/login", who.form("password", "not this one"))
		if got.code() == 1014 {
			refused++
			continue
		}
		got.wantError(t, http.StatusUnauthorized, 1005)
		refused = 0
		wrong++
	}
	// A second after the free ones there is one more, then two seconds later, then four.
	most := free + int(math.Log2(time.Since(began).Seconds()+1))
	if wrong < free || wrong > most {
		t.Errorf("%d wrong passwords were looked at in %s, want %d to %d", wrong, time.Since(began), free, most)
	}

	code := n.sms.ask(t, b, who, "login")
	messageOf[tokens](t, b.postJSON("/users/login", who.form("code", code)))
	who.logIn(t, a)
}

// TestNodesRegisterOnce registers one phone on both nodes at once.
func TestNodesRegisterOnce(t *testing.T) {
	const requests = 100
	n := startNodes(t, dbtest.MySQL(t), "--sms", "none", "--limits", "off", "--password-wait", "30s")
	got := codesOf(n.inParallel(t, requests, func(app *client, _ int) answer {
		return app.postJSON("/users/regist", registration)
	}))
	if want := map[int]int{0: 1, 1002: requests - 1}; !maps.Equal(got, want) {
		t.Errorf("answers by code: %v, want %v", got, want)
	}
}
