package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/sms"
	"gatehouse/internal/verify"
)

var sixDigits = regexp.MustCompile(`^[0-9]{6}$`)

func TestSend(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		sent, err := b.Send(t.Context(), login("188 6666 8888"))
		if want := (verify.Sent{NextIn: time.Minute, ExpiresIn: 5 * time.Minute}); err != nil || sent != want {
			t.Errorf("%+v, %v; want %+v", sent, err, want)
		}
		got := b.outbox.messages[0]
		if want := (sms.Message{Phone: phone, Code: got.Code, Purpose: "login", Lifetime: 5 * time.Minute}); got != want || !sixDigits.MatchString(got.Code) {
			t.Errorf("message is %+v, want %+v", got, want)
		}
		wantCode(t, b.use(t, phone, got.Code), apperr.OK)
		b.wantCounts(t, map[string]int64{"sent": 1, "verified": 1})
	})
}

func TestSendByWebhook(t *testing.T) {
	var body struct{ Phone, Code string }
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	sender, err := sms.NewWebhook(sms.WebhookOptions{URL: server.URL, Secret: "whsec_" + strings.Repeat("MTIz", 8)})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(dbtest.Open(t, ""), func(o *verify.Options) { o.Sender = sender })
	_, err = b.Send(t.Context(), login(phone))
	wantCode(t, err, apperr.OK)
	if body.Phone != phone {
		t.Errorf("posted %+v", body)
	}
	wantCode(t, b.use(t, phone, body.Code), apperr.OK)
}

func TestSendTooSoon(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		b.send(t, login(phone))
		b.clock.advance(20 * time.Second)
		_, err := b.Send(t.Context(), login(phone))
		wantCode(t, err, apperr.CodeTooSoon)
		wantRetryAfter(t, err, 40*time.Second)
		b.send(t, verify.Request{Phone: phone, Purpose: verify.Reset, Client: home}) // another purpose
		b.clock.advance(40*time.Second - time.Microsecond)
		_, err = b.Send(t.Context(), login(phone))
		wantCode(t, err, apperr.CodeTooSoon)
		b.clock.advance(time.Microsecond)
		wantCode(t, b.use(t, phone, b.send(t, login(phone))), apperr.OK)
		b.wantCounts(t, map[string]int64{"sent": 3, "verified": 1, "too-soon": 2})
	})
}

func TestAUsedCodeStartsNoFreshMinute(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		wantCode(t, b.use(t, phone, b.send(t, login(phone))), apperr.OK)
		_, err := b.Send(t.Context(), login(phone))
		wantCode(t, err, apperr.CodeTooSoon)
	})
}

// TestParallelSends lets fifty ask for the first code of a phone, and then for its second, on two nodes.
func TestParallelSends(t *testing.T) {
	nodes(t, func(t *testing.T, first, second *database.Database) {
		b, services := twice(first, second)
		for round := 1; round <= 2; round++ {
			got := parallel(50, func(i int) error {
				_, err := services[i%2].Send(t.Context(), login(phone))
				return err
			})
			if got[apperr.OK] != 1 || got[apperr.CodeTooSoon] != 49 || b.outbox.count() != round {
				t.Errorf("round %d: answers by code are %v, %d messages", round, got, b.outbox.count())
			}
			b.wantCharged(t, int32(round))
			b.clock.advance(time.Minute)
		}
		wantCode(t, b.use(t, phone, b.outbox.code(t, phone)), apperr.OK)
	})
}

func TestFailedSending(t *testing.T) {
	tests := []struct {
		name           string
		err            error
		want           apperr.Code
		wantRetryAfter time.Duration
	}{
		{"provider away", errAway, apperr.SendingFailed, time.Second},
		{"phone cannot be reached", fmt.Errorf("refused: %w", sms.ErrPhone), apperr.InvalidInput, 0},
		{"provider's limit", fmt.Errorf("refused: %w", sms.ErrLimited), apperr.TooManyCodes, time.Minute},
	}
	tight := withBudgets(func(b *verify.Budgets) { *b = verify.Budgets{Phone: 2, Address: 2, Range: 2, Server: 2, Breaker: 2} })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				b := newBench(d, tight)
				failSeveral := func() {
					b.outbox.fail(test.err)
					for range 3 {
						_, err := b.Send(t.Context(), login(phone))
						wantCode(t, err, test.want)
						wantRetryAfter(t, err, test.wantRetryAfter)
					}
					b.outbox.fail(nil)
				}
				failSeveral() // with no code before
				wantCode(t, b.use(t, phone, "000000"), apperr.CodeExpired)
				b.wantCharged(t, 0)
				old := b.send(t, login(phone))
				wantCode(t, b.use(t, phone, other(old)), apperr.WrongCode)
				b.clock.advance(time.Minute)
				failSeveral()
				b.wantCharged(t, 1)
				_, err := b.Check(t.Context(), phone, verify.Login, old)
				wantCode(t, err, apperr.OK)
				wantCode(t, b.use(t, phone, b.send(t, login(phone))), apperr.OK)
				b.wantCounts(t, map[string]int64{"sent": 2, "verified": 2, "sender": 6})
			})
		})
	}
}

func TestAPhoneThatCannotBeReachedIsNamed(t *testing.T) {
	b := newBench(dbtest.Open(t, ""))
	b.outbox.fail(sms.ErrPhone)
	_, err := b.Send(t.Context(), login(phone))
	if details := apperr.From(err).Details; len(details) != 1 || details[0].Field != "/phone" {
		t.Errorf("details are %+v", details)
	}
}

// TestFailingSendsGiveNoTries makes sure that to ask for codes while the provider is away is no way to guess on.
func TestFailingSendsGiveNoTries(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		code := b.send(t, login(phone))
		b.clock.advance(time.Minute)
		b.outbox.fail(errAway)
		for try := range 8 {
			want := apperr.WrongCode
			if try >= 5 {
				want = apperr.CodeExpired
			}
			wantCode(t, b.use(t, phone, other(code)), want)
			_, err := b.Send(t.Context(), login(phone))
			wantCode(t, err, apperr.SendingFailed)
		}
	})
}

func TestWhoHangsUpPays(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		ctx, cancel := context.WithCancel(t.Context())
		b := newBench(d, func(o *verify.Options) { o.Sender = during(cancel) })
		_, err := b.Send(ctx, login(phone))
		wantCode(t, err, apperr.OK)
		b.wantCharged(t, 1)
	})
}

func TestTestPhone(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d, func(o *verify.Options) { o.Fixed = map[string]string{phone: "424242"} },
			withBudgets(func(b *verify.Budgets) { b.Phone = 2 }))
		wantCode(t, b.use(t, phone, "424242"), apperr.CodeExpired) // it was not asked for
		for range 2 {
			_, err := b.Send(t.Context(), login(phone))
			wantCode(t, err, apperr.OK)
			_, err = b.Send(t.Context(), login(phone))
			wantCode(t, err, apperr.CodeTooSoon)
			wantCode(t, b.use(t, phone, "424243"), apperr.WrongCode)
			wantCode(t, b.use(t, phone, "424242"), apperr.OK)
			wantCode(t, b.use(t, phone, "424242"), apperr.CodeExpired)
			b.clock.advance(time.Minute)
		}
		_, err := b.Send(t.Context(), login(phone))
		wantCode(t, err, apperr.TooManyCodes)
		if n := b.outbox.count(); n != 0 {
			t.Errorf("%d messages were sent to a test phone", n)
		}
	})
}

func TestRegions(t *testing.T) {
	tests := []struct {
		name     string
		prefixes []string
		phone    string
		want     apperr.Code
	}{
		{"served", []string{"+86"}, phone, apperr.OK},
		{"not served", []string{"+86"}, "+447400123456", apperr.RegionNotServed},
		{"one of several", []string{"+86", "+44"}, "+447400123456", apperr.OK},
		{"part of a country", []string{"+86188"}, number(0, 1), apperr.RegionNotServed},
		{"none", nil, phone, apperr.RegionNotServed},
		{"no phone", []string{"+86"}, "1234", apperr.InvalidInput},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(dbtest.Open(t, ""), func(o *verify.Options) { o.Prefixes = test.prefixes })
			_, err := b.Send(t.Context(), login(test.phone))
			wantCode(t, err, test.want)
			if want := test.want == apperr.OK; (b.outbox.count() == 1) != want {
				t.Errorf("%d messages", b.outbox.count())
			}
		})
	}
}

func TestRefusalsAreLoggedWithoutSecrets(t *testing.T) {
	b := newBench(dbtest.Open(t, ""), withBudgets(func(b *verify.Budgets) { b.Phone = 2 }))
	ask := func(phone string) { b.Send(t.Context(), login(phone)) }
	code := b.send(t, login(phone))
	ask(phone)           // too soon
	ask("+447400123456") // region
	b.outbox.fail(errAway)
	ask(number(0, 1)) // sender
	b.outbox.fail(nil)
	b.clock.advance(time.Minute)
	ask(phone)
	b.clock.advance(time.Minute)
	ask(phone) // budget

	log := b.log.String()
	for _, secret := range []string{"18866668888", "7400123456", "13800000001", code} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %s:\n%s", secret, log)
		}
	}
	type line struct {
		Level, Cause           string
		Phone                  string `json:"phone_end"`
		Purpose, Client, Error string
	}
	var got []line
	for text := range strings.Lines(log) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	want := []line{
		{"INFO", "too-soon", "…8888", "login", "203.0.113.7", ""},
		{"INFO", "region", "…3456", "login", "203.0.113.7", ""},
		{"WARN", "sender", "…0001", "login", "203.0.113.7", "away"},
		{"INFO", "budget-phone", "…8888", "login", "203.0.113.7", ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("log is %+v\nwant %+v", got, want)
	}
	b.wantCounts(t, map[string]int64{"sent": 2, "too-soon": 1, "region": 1, "sender": 1, "budget-phone": 1})
}
