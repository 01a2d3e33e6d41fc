package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/captcha"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/sms"
	"gatehouse/internal/verify"
)

const phone = "+8618866668888"

var home = netip.MustParseAddr("203.0.113.7")

// clock is the time as a test wants it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// outbox is a provider that keeps what it is given, or fails.
type outbox struct {
	mu       sync.Mutex
	messages []sms.Message
	err      error
}

func (o *outbox) Send(ctx context.Context, m sms.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	o.messages = append(o.messages, m)
	return nil
}

func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *outbox) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.messages)
}

// code returns what a phone got last.
func (o *outbox) code(t *testing.T, phone string) string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.messages) - 1; i >= 0; i-- {
		if o.messages[i].Phone == phone {
			return o.messages[i].Code
		}
	}
	t.Fatalf("%s got no message", phone)
	return ""
}

// person is a CAPTCHA that only one response passes.
type person struct {
	mu    sync.Mutex
	asked int
	away  error
}

const solved = "I am a person"

func (p *person) Verify(_ context.Context, response string, client netip.Addr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.away != nil {
		return p.away
	}
	if response != solved || !client.IsValid() {
		return captcha.ErrRefused
	}
	return nil
}

// bench is a service with everything around it that a test can turn.
type bench struct {
	*verify.Service
	options verify.Options
	clock   *clock
	outbox  *outbox
	log     *bytes.Buffer
}

func newBench(d *database.Database, changes ...func(*verify.Options)) bench {
	b := bench{clock: newClock(), outbox: &outbox{}, log: &bytes.Buffer{}}
	b.options = verify.Options{
		Database: d, Sender: b.outbox, Logger: slog.New(slog.NewJSONHandler(b.log, nil)), Now: b.clock.Now,
		Key: bytes.Repeat([]byte{1}, 32), Prefixes: []string{"+86"}, Budgets: verify.DefaultBudgets(),
	}
	for _, change := range changes {
		change(&b.options)
	}
	b.Service = verify.New(b.options)
	return b
}

func withBudgets(change func(*verify.Budgets)) func(*verify.Options) {
	return func(o *verify.Options) { change(&o.Budgets) }
}

func withCaptcha(p *person) func(*verify.Options) {
	return func(o *verify.Options) { o.Captcha = p }
}

func login(phone string) verify.Request {
	return verify.Request{Phone: phone, Purpose: verify.Login, Client: home}
}

// send asks for a code and returns it.
func (b bench) send(t *testing.T, r verify.Request) string {
	t.Helper()
	if _, err := b.Send(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return b.outbox.code(t, r.Phone)
}

// use checks a code and uses it.
func (b bench) use(t *testing.T, phone, code string) error {
	t.Helper()
	proof, err := b.Check(t.Context(), phone, verify.Login, code)
	if err != nil {
		return err
	}
	return b.options.Database.InTx(t.Context(), func(q *db.Queries) error { return proof.Use(t.Context(), q) })
}

func wantCode(t *testing.T, err error, want apperr.Code) {
	t.Helper()
	if want == apperr.OK && err != nil || want != apperr.OK && !apperr.Is(err, want) {
		t.Errorf("error is %v, want code %d", err, want)
	}
}

func wantRetryAfter(t *testing.T, err error, want time.Duration) {
	t.Helper()
	if got := apperr.From(err).RetryAfter; got != want {
		t.Errorf("retry after %s, want %s", got, want)
	}
}

func (b bench) wantCounts(t *testing.T, want map[string]int64) {
	t.Helper()
	for name, got := range b.Counts() {
		if got != want[name] {
			t.Errorf("%s is counted %d times, want %d", name, got, want[name])
		}
	}
}

// wantCharged checks what is charged to the whole server today.
func (b bench) wantCharged(t *testing.T, want int32) {
	t.Helper()
	rows, err := b.options.Database.Queries().ListSMSBudgets(t.Context(), db.ListSMSBudgetsParams{
		Names: []string{"server"}, StartsAt: b.clock.Now().Truncate(24 * time.Hour),
	})
	if err != nil || len(rows) != 1 || rows[0].Sent != want {
		t.Errorf("charged %+v, %v; want %d", rows, err, want)
	}
}

// other returns a code that is not the one given.
func other(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// number returns one of the mobile numbers of a range.
func number(of, i int) string { return fmt.Sprintf("+86138%02d%06d", of, i) }

// address returns one of many client addresses.
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }

// nodes runs the test once for each kind of database, with two databases that are opened on the same data.
func nodes(t *testing.T, test func(t *testing.T, a, b *database.Database)) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir, silent := t.TempDir(), slog.New(slog.DiscardHandler)
		test(t, dbtest.OpenIn(t, url, dir, silent), dbtest.OpenIn(t, url, dir, silent))
	})
}

// twice returns two services that share all but the database's connections.
func twice(a, b *database.Database, changes ...func(*verify.Options)) (bench, [2]*verify.Service) {
	first := newBench(a, changes...)
	options := first.options
	options.Database = b
	return first, [2]*verify.Service{first.Service, verify.New(options)}
}

// parallel runs f n times at once and counts its errors by their code.
func parallel(n int, f func(i int) error) map[apperr.Code]int {
	codes := make(chan apperr.Code, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			if err := f(i); err != nil {
				codes <- apperr.From(err).Code
			} else {
				codes <- apperr.OK
			}
		})
	}
	running.Wait()
	close(codes)
	counts := map[apperr.Code]int{}
	for code := range codes {
		counts[code]++
	}
	return counts
}

func TestDeleteExpired(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		code := b.send(t, login(phone))
		for _, step := range []struct {
			after time.Duration
			want  int64
		}{
			{5*time.Minute - time.Microsecond, 0},
			{time.Microsecond, 1}, // the code
			{2*time.Hour + 54*time.Minute, 0},
			{time.Minute, 1},    // the hour's count
			{15 * time.Hour, 4}, // the day's budgets
			{time.Hour, 0},
		} {
			b.clock.advance(step.after)
			if deleted, err := b.DeleteExpired(t.Context()); err != nil || deleted != step.want {
				t.Errorf("at %s deleted %d rows, %v; want %d", b.clock.Now(), deleted, err, step.want)
			}
		}
		wantCode(t, b.use(t, phone, code), apperr.CodeExpired)
	})
}

func TestDeleteExpiredKeepsAClaim(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		b.options.Sender = during(func() {
			if _, err := b.DeleteExpired(t.Context()); err != nil {
				t.Error(err)
			}
			_, err := b.Send(t.Context(), login(phone))
			wantCode(t, err, apperr.CodeTooSoon)
		})
		_, err := verify.New(b.options).Send(t.Context(), login(phone))
		wantCode(t, err, apperr.OK)
	})
}

// during is a provider that takes every message and does something meanwhile.
type during func()

func (f during) Send(context.Context, sms.Message) error { f(); return nil }

var errAway = errors.New("away")
