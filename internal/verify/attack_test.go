package verify_test

import (
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/verify"
)

func TestCaptcha(t *testing.T) {
	tests := []struct {
		name     string
		budget   func(*verify.Budgets)
		free     int // codes that are sent without a CAPTCHA
		asked    func(i int) verify.Request
		innocent verify.Request // asked for nothing
	}{
		{"phone", func(b *verify.Budgets) { b.Phone = 10 }, 6, func(i int) verify.Request {
			return verify.Request{Phone: phone, Purpose: verify.Login, Client: address(i)}
		}, login(number(9, 9))},
		{"address", func(b *verify.Budgets) { b.Address = 10 }, 6, func(i int) verify.Request {
			return login(number(i, i))
		}, verify.Request{Phone: number(9, 9), Purpose: verify.Login, Client: address(99)}},
		{"breaker", func(b *verify.Budgets) { b.Breaker = 4 }, 4, func(i int) verify.Request {
			return verify.Request{Phone: number(1, i), Purpose: verify.Login, Client: address(i)}
		}, login(number(9, 9))},
		{"server", func(b *verify.Budgets) { b.Server = 9 }, 7, func(i int) verify.Request {
			return verify.Request{Phone: number(i, i), Purpose: verify.Login, Client: address(i)}
		}, verify.Request{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				p := &person{}
				b := newBench(d, only(test.budget), withCaptcha(p))
				for i := range test.free {
					b.send(t, test.asked(i))
					b.clock.advance(time.Minute)
				}
				if p.asked != 0 {
					t.Errorf("the provider was asked %d times about the unsuspicious", p.asked)
				}
				r := test.asked(test.free)
				_, err := b.Send(t.Context(), r)
				wantCode(t, err, apperr.CaptchaRequired)
				r.Captcha = "I am a robot"
				_, err = b.Send(t.Context(), r)
				wantCode(t, err, apperr.CaptchaRequired)
				r.Captcha, p.away = solved, errAway
				_, err = b.Send(t.Context(), r)
				wantCode(t, err, apperr.ServerBusy)
				p.away = nil
				b.send(t, r)
				b.wantCounts(t, map[string]int64{"sent": int64(test.free) + 1, "captcha": 3})
				if test.innocent.Phone != "" {
					b.send(t, test.innocent)
				}
			})
		})
	}
}

// TestCaptchasAreNotSpentInVain asks the provider nothing where the answer would not help.
func TestCaptchasAreNotSpentInVain(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		p := &person{}
		b := newBench(d, only(func(b *verify.Budgets) { b.Phone = 2 }), withCaptcha(p))
		r := login(phone)
		r.Captcha = solved
		for _, step := range []struct {
			after     time.Duration
			want      apperr.Code
			wantAsked int
		}{
			{0, apperr.OK, 0},
			{time.Minute, apperr.OK, 0},
			{0, apperr.CodeTooSoon, 0},
			{time.Minute, apperr.TooManyCodes, 0},
			{24 * time.Hour, apperr.OK, 0},
		} {
			b.clock.advance(step.after)
			_, err := b.Send(t.Context(), r)
			wantCode(t, err, step.want)
			if p.asked != step.wantAsked {
				t.Errorf("asked %d times, want %d", p.asked, step.wantAsked)
			}
		}
	})
}

// citizen is an ordinary user elsewhere, who must get a code whatever others do.
func citizen(t *testing.T, b bench) {
	t.Helper()
	r := verify.Request{Phone: phone, Purpose: verify.Login, Client: home}
	b.clock.advance(time.Minute)
	wantCode(t, b.use(t, phone, b.send(t, r)), apperr.OK)
}

// TestOneAddressSilencesNobody has one address ask for codes for many phones.
func TestOneAddressSilencesNobody(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		for round := range 8 {
			for i := range 50 {
				b.Send(t.Context(), verify.Request{Phone: number(i, round), Purpose: verify.Login, Client: address(1)})
			}
			citizen(t, b)
		}
		b.wantCounts(t, map[string]int64{"sent": 20 + 8, "verified": 8, "budget-address": 400 - 20})
	})
}

// TestOnePrefixSilencesNobody has many addresses ask for codes for one range of numbers.
func TestOnePrefixSilencesNobody(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		for round := range 8 {
			for i := range 50 {
				b.Send(t.Context(), verify.Request{Phone: number(1, round*50+i), Purpose: verify.Login, Client: address(round*50 + i)})
			}
			citizen(t, b)
		}
		b.wantCounts(t, map[string]int64{"sent": 30 + 8, "verified": 8, "breaker": 400 - 30})
	})
}

// TestAFloodDoesNotUseUpTheDay has many addresses ask for codes for many ranges of numbers, on two
// nodes at once. A third of the day is left to those who solve a CAPTCHA.
func TestAFloodDoesNotUseUpTheDay(t *testing.T) {
	nodes(t, func(t *testing.T, first, second *database.Database) {
		b, services := twice(first, second, withBudgets(func(b *verify.Budgets) { b.Server = 90 }), withCaptcha(&person{}))
		got := parallel(200, func(i int) error {
			_, err := services[i%2].Send(t.Context(), verify.Request{Phone: number(i%100, i), Purpose: verify.Login, Client: address(i)})
			return err
		})
		if got[apperr.OK] != 61 || got[apperr.CaptchaRequired] != 139 {
			t.Errorf("answers by code are %v, want 61 codes", got)
		}
		b.wantCharged(t, 61)
		r := login(phone)
		r.Captcha = solved
		wantCode(t, b.use(t, phone, b.send(t, r)), apperr.OK)
	})
}
