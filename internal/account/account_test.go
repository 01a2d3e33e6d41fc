package account

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/session"
	"gatehouse/internal/sms"
	"gatehouse/internal/verify"
)

const (
	phone      = "18866668888"
	phoneE164  = "+8618866668888"
	otherPhone = "18866669999"
	password   = "open sesame"

	grace       = 7 * 24 * time.Hour
	absentAfter = 180 * 24 * time.Hour
)

// from is where the tests call from.
var from = audit.Origin{Address: "192.0.2.1", Device: "test"}

// clock is the time as a test wants it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 20, 8, 0, 0, 123_456_789, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// outbox receives the text messages.
type outbox struct {
	mu   sync.Mutex
	last sms.Message
}

func (o *outbox) Send(_ context.Context, m sms.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = m
	return nil
}

// bench is a service with all that it stands on.
type bench struct {
	*Service
	*clock
	outbox *outbox
}

func newBench(t *testing.T, d *database.Database, changes ...func(*Options)) bench {
	t.Helper()
	b := bench{clock: newClock(), outbox: &outbox{}}
	log := slog.New(slog.DiscardHandler)
	sessions, err := session.New(t.Context(), session.Options{
		Database: d, Logger: log, Now: b.clock.Now, SealKey: bytes.Repeat([]byte{1}, 32),
		CookieKey: bytes.Repeat([]byte{2}, 32), RefreshKey: bytes.Repeat([]byte{3}, 32), TicketKey: bytes.Repeat([]byte{4}, 32),
		RefreshIdle: 365 * 24 * time.Hour, RefreshLifetime: 365 * 24 * time.Hour,
		AccessTokenLifetime: 365 * 24 * time.Hour, TicketLifetime: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	const many = math.MaxInt32
	codes := verify.New(verify.Options{
		Database: d, Sender: b.outbox, Logger: log, Now: b.clock.Now, Key: bytes.Repeat([]byte{4}, 32), Prefixes: []string{"+86"},
		Budgets: verify.Budgets{Phone: many, Address: many, Range: many, Server: many, Breaker: many},
	})
	options := Options{
		Database: d, Hasher: NewHasher(cheap), Codes: codes, Sessions: sessions, Logger: log, Now: b.clock.Now,
		Grace: grace, AbsentAfter: absentAfter, Throttle: true,
	}
	for _, change := range changes {
		change(&options)
	}
	b.Service = New(options)
	return b
}

// node is another server on the same database.
func (b bench) node(changes ...func(*Options)) bench {
	options := b.options
	for _, change := range changes {
		change(&options)
	}
	b.Service = New(options)
	return b
}

// code has a code sent and returns it. Another minute begins, so that it is not too soon.
func (b bench) code(t *testing.T, phone string, purpose verify.Purpose) string {
	t.Helper()
	b.advance(time.Minute)
	_, err := b.options.Codes.Send(t.Context(), verify.Request{Phone: phone, Purpose: purpose, Client: netip.MustParseAddr("192.0.2.1")})
	if err != nil {
		t.Fatal(err)
	}
	return b.outbox.last.Code
}

// not returns a code that is not the one.
func not(code string) string {
	if code == "654321" {
		return "123456"
	}
	return "654321"
}

func (b bench) register(t *testing.T, phone string) {
	t.Helper()
	r := Registration{Phone: phone, Password: password, Code: b.code(t, phone, verify.Register)}
	if err := b.Register(t.Context(), r, from, nil); err != nil {
		t.Fatal(err)
	}
}

// try logs in with the password.
func (b bench) try(t *testing.T, phone, password string) error {
	t.Helper()
	_, _, err := b.Login(t.Context(), Credentials{Phone: phone, Password: password}, from)
	return err
}

func (b bench) login(t *testing.T, c Credentials) (User, session.Session) {
	t.Helper()
	user, opened, err := b.Login(t.Context(), c, from)
	if err != nil {
		t.Fatal(err)
	}
	return user, opened
}

// registered registers the phone and logs in.
func (b bench) registered(t *testing.T) (User, session.Session) {
	t.Helper()
	return b.registeredAs(t, phone)
}

// registeredAs registers a phone and logs in.
func (b bench) registeredAs(t *testing.T, phone string) (User, session.Session) {
	t.Helper()
	b.register(t, phone)
	return b.login(t, Credentials{Phone: phone, Password: password})
}

// wantSession checks whether a session is still open.
func (b bench) wantSession(t *testing.T, s session.Session, want bool) {
	t.Helper()
	_, err := b.options.Sessions.VerifyCookie(t.Context(), b.options.Sessions.Cookie(s))
	if open := err == nil; open != want || !open && !apperr.Is(err, apperr.NotLoggedIn) {
		t.Errorf("the session is open: %t, %v; want %t", open, err, want)
	}
}

// wantActions checks what was recorded of a user, the oldest first.
func (b bench) wantActions(t *testing.T, userID string, want ...audit.Action) {
	t.Helper()
	events, _, err := audit.New(audit.Options{Database: b.options.Database}).List(t.Context(), userID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]audit.Action, len(events))
	for i, event := range events {
		got[len(events)-1-i] = event.Action
	}
	if len(got) != len(want) {
		t.Fatalf("recorded was %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("recorded was %v, want %v", got, want)
		}
	}
}

func wantCode(t *testing.T, err error, want apperr.Code) {
	t.Helper()
	if want == apperr.OK && err != nil || want != apperr.OK && !apperr.Is(err, want) {
		t.Errorf("error is %v, want code %d", err, want)
	}
}

// wantField checks that an error has a code and one detail, about a field.
func wantField(t *testing.T, err error, want apperr.Code, field string) {
	t.Helper()
	wantCode(t, err, want)
	details := apperr.From(err).Details
	if len(details) != 1 || details[0].Field != field || details[0].Reason.Chinese == "" || details[0].Reason.English == "" {
		t.Errorf("details are %+v, want one about %s", details, field)
	}
}

// wantHashes checks how many hashes f costs.
func (b bench) wantHashes(t *testing.T, want int64, f func()) {
	t.Helper()
	before := b.options.Hasher.hashes.Load()
	f()
	if got := b.options.Hasher.hashes.Load() - before; got != want {
		t.Errorf("cost %d hashes, want %d", got, want)
	}
}

// each runs f so many times at once.
func each(n int, f func()) {
	var running sync.WaitGroup
	for range n {
		running.Go(f)
	}
	running.Wait()
}

// tally counts results by code.
type tally struct {
	mu     sync.Mutex
	counts map[apperr.Code]int
	others []error
}

func newTally() *tally { return &tally{counts: map[apperr.Code]int{}} }

func (c *tally) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.counts[apperr.OK]++
		return
	}
	code := apperr.From(err).Code
	c.counts[code]++
	if code == apperr.Internal {
		c.others = append(c.others, err)
	}
}
