package verify_test

import (
	"database/sql"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/verify"
)

func only(change func(*verify.Budgets)) func(*verify.Options) {
	return withBudgets(func(b *verify.Budgets) {
		*b = verify.NoBudgets()
		change(b)
	})
}

func TestBudgets(t *testing.T) {
	unlimited := func(*verify.Budgets) {}
	tests := []struct {
		name   string
		budget func(*verify.Budgets)
		asked  func(i int) verify.Request // the i-th request of those that share the budget
		cause  string                     // empty where nothing is refused
	}{
		{"phone", func(b *verify.Budgets) { b.Phone = 3 }, func(i int) verify.Request {
			return verify.Request{Phone: phone, Purpose: verify.Login, Client: address(i)}
		}, "budget-phone"},
		{"address", func(b *verify.Budgets) { b.Address = 3 }, func(i int) verify.Request {
			return verify.Request{Phone: number(i, i), Purpose: verify.Login, Client: home}
		}, "budget-address"},
		{"address, written as IPv6", func(b *verify.Budgets) { b.Address = 3 }, func(i int) verify.Request {
			client := []string{"203.0.113.7", "::ffff:203.0.113.7"}[i%2]
			return verify.Request{Phone: number(i, i), Purpose: verify.Login, Client: netip.MustParseAddr(client)}
		}, "budget-address"},
		{"network", func(b *verify.Budgets) { b.Address = 3 }, func(i int) verify.Request {
			client := netip.MustParseAddr("2001:db8:1:2::").As16()
			client[8+i] = 1
			return verify.Request{Phone: number(i, i), Purpose: verify.Login, Client: netip.AddrFrom16(client)}
		}, "budget-address"},
		{"other networks", func(b *verify.Budgets) { b.Address = 3 }, func(i int) verify.Request {
			client := netip.MustParseAddr("2001:db8:1:2::").As16()
			client[7] = byte(i)
			return verify.Request{Phone: number(i, i), Purpose: verify.Login, Client: netip.AddrFrom16(client)}
		}, ""},
		{"no address", func(b *verify.Budgets) { b.Address = 3 }, func(i int) verify.Request {
			return verify.Request{Phone: number(i, i), Purpose: verify.Login}
		}, "budget-address"},
		{"prefix", func(b *verify.Budgets) { b.Range = 3 }, func(i int) verify.Request {
			return verify.Request{Phone: number(1, i*1000), Purpose: verify.Login, Client: address(i)}
		}, "budget-range"},
		{"other prefixes", func(b *verify.Budgets) { b.Range = 3 }, func(i int) verify.Request {
			return verify.Request{Phone: number(i, 1), Purpose: verify.Login, Client: address(i)}
		}, ""},
		{"server", func(b *verify.Budgets) { b.Server = 3 }, func(i int) verify.Request {
			return verify.Request{Phone: number(i, i), Purpose: verify.Login, Client: address(i)}
		}, "budget-day"},
		{"unlimited", unlimited, func(i int) verify.Request { return login(phone) }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				b := newBench(d, only(test.budget))
				for day := range 2 {
					for i := range 3 {
						b.send(t, test.asked(i))
						b.clock.advance(time.Minute)
					}
					_, err := b.Send(t.Context(), test.asked(3))
					if test.cause == "" {
						wantCode(t, err, apperr.OK)
						return
					}
					wantCode(t, err, apperr.TooManyCodes)
					midnight := time.Date(2026, 11, 21+day, 0, 0, 0, 0, time.UTC).Sub(b.clock.Now())
					wantRetryAfter(t, err, midnight)
					b.wantCounts(t, map[string]int64{"sent": int64(3 * (day + 1)), test.cause: int64(day + 1)})
					b.clock.advance(midnight)
				}
			})
		})
	}
}

func TestABudgetOfZeroAllowsNone(t *testing.T) {
	b := newBench(dbtest.Open(t, ""), withBudgets(func(b *verify.Budgets) { *b = verify.Budgets{} }))
	_, err := b.Send(t.Context(), login(phone))
	wantCode(t, err, apperr.TooManyCodes)
}

// TestBudgetsAreExact lets a hundred ask at once, on two nodes, each with a phone and an address of its own.
func TestBudgetsAreExact(t *testing.T) {
	tests := map[string]struct {
		budget  func(*verify.Budgets)
		request func(i int) verify.Request
	}{
		"address": {func(b *verify.Budgets) { b.Address = 10 }, func(i int) verify.Request {
			return verify.Request{Phone: number(i, 1), Purpose: verify.Login, Client: home}
		}},
		"prefix": {func(b *verify.Budgets) { b.Range, b.Breaker = 10, verify.Unlimited }, func(i int) verify.Request {
			return verify.Request{Phone: number(1, i), Purpose: verify.Login, Client: address(i)}
		}},
		"server": {func(b *verify.Budgets) { b.Server = 10 }, func(i int) verify.Request {
			return verify.Request{Phone: number(i, i), Purpose: verify.Login, Client: address(i)}
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			nodes(t, func(t *testing.T, first, second *database.Database) {
				b, services := twice(first, second, withBudgets(test.budget))
				got := parallel(100, func(i int) error {
					_, err := services[i%2].Send(t.Context(), test.request(i))
					return err
				})
				if got[apperr.OK] != 10 || got[apperr.TooManyCodes] != 90 || b.outbox.count() != 10 {
					t.Errorf("answers by code are %v, %d messages; want 10", got, b.outbox.count())
				}
				b.wantCharged(t, 10) // whoever was refused by one budget is charged to none
			})
		})
	}
}

// TestRefundsAreExact lets a hundred messages fail at once.
func TestRefundsAreExact(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d, withBudgets(func(b *verify.Budgets) { b.Address = 100 }))
		b.outbox.fail(errAway)
		got := parallel(100, func(i int) error {
			_, err := b.Send(t.Context(), login(number(i, i)))
			return err
		})
		if got[apperr.SendingFailed] != 100 {
			t.Errorf("answers by code are %v", got)
		}
		b.wantCharged(t, 0)
	})
}

func TestPhonesAreNotKeptWithBudgets(t *testing.T) {
	dir := t.TempDir()
	b := newBench(dbtest.OpenIn(t, "", dir, slog.New(slog.DiscardHandler)))
	b.send(t, login(phone))
	pool, err := sql.Open("sqlite", filepath.Join(dir, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var budgets, telling int
	err = pool.QueryRowContext(t.Context(), "SELECT COUNT(*), SUM(name LIKE '%66668888%') FROM sms_budgets").Scan(&budgets, &telling)
	if err != nil || budgets != 5 || telling != 0 {
		t.Errorf("%d of %d budgets have the phone in their name, %v", telling, budgets, err)
	}
}

func TestBreaker(t *testing.T) {
	tests := []struct {
		name       string
		sent, used int
		want       apperr.Code
	}{
		{"few", 29, 0, apperr.OK},
		{"many, none used", 30, 0, apperr.TooManyCodes},
		{"many, almost none used", 30, 2, apperr.TooManyCodes},
		{"many, a tenth used", 30, 3, apperr.OK},
		{"more, under a tenth used", 31, 3, apperr.TooManyCodes},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				b := newBench(d, withBudgets(func(b *verify.Budgets) { b.Breaker = 30 }))
				ask := func(n int) verify.Request {
					return verify.Request{Phone: number(i, n), Purpose: verify.Login, Client: address(i<<8 + n)}
				}
				for n := range test.sent {
					if n == 15 {
						b.clock.advance(59 * time.Minute) // the codes of two hours count
					}
					code := b.send(t, ask(n))
					if n < test.used {
						wantCode(t, b.use(t, ask(n).Phone, code), apperr.OK)
						wantCode(t, b.use(t, ask(n).Phone, code), apperr.CodeExpired) // counted once
					}
				}
				b.clock.advance(time.Minute) // 09:00, when nothing has been sent in this hour yet
				_, err := b.Send(t.Context(), ask(100))
				wantCode(t, err, test.want)
				_, err = b.Send(t.Context(), verify.Request{Phone: number(50+i, 1), Purpose: verify.Login, Client: address(i<<8 + 100)})
				wantCode(t, err, apperr.OK) // another range
				if test.want == apperr.OK {
					return
				}
				b.wantCounts(t, map[string]int64{"sent": int64(test.sent + 1), "verified": int64(test.used), "breaker": 1})
				b.clock.advance(time.Hour)
				_, err = b.Send(t.Context(), ask(101))
				wantCode(t, err, apperr.OK)
			})
		}
	})
}

func TestTheBreakerSaysWhenToComeBack(t *testing.T) {
	b := newBench(dbtest.Open(t, ""), withBudgets(func(b *verify.Budgets) { b.Breaker = 1 }))
	b.send(t, login(number(1, 1)))
	b.clock.advance(10 * time.Minute)
	_, err := b.Send(t.Context(), login(number(1, 2)))
	wantCode(t, err, apperr.TooManyCodes)
	wantRetryAfter(t, err, 50*time.Minute)
}

// TestTheBreakerLooksBackOverMidnight sends all codes on the day before.
func TestTheBreakerLooksBackOverMidnight(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d, withBudgets(func(b *verify.Budgets) { b.Breaker = 3 }))
		b.clock.advance(15*time.Hour + 30*time.Minute)
		for i := range 3 {
			b.send(t, login(number(1, i)))
		}
		b.clock.advance(31 * time.Minute)
		_, err := b.Send(t.Context(), login(number(1, 9)))
		wantCode(t, err, apperr.TooManyCodes)
		b.clock.advance(time.Hour)
		_, err = b.Send(t.Context(), login(number(1, 9)))
		wantCode(t, err, apperr.OK)
	})
}

// TestVerifiedInTheNextHour uses a code in another hour than it was sent in.
func TestVerifiedInTheNextHour(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		b.clock.advance(59 * time.Minute)
		code := b.send(t, login(phone))
		b.clock.advance(2 * time.Minute)
		wantCode(t, b.use(t, phone, code), apperr.OK)
		rows, err := d.Queries().ListSMSBudgets(t.Context(), db.ListSMSBudgetsParams{Names: []string{"breaker:+8618866"}})
		if err != nil || len(rows) != 1 || rows[0].Sent != 1 || rows[0].Verified != 1 {
			t.Errorf("counted %+v, %v", rows, err)
		}
	})
}
