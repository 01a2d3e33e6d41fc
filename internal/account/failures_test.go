package account

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/verify"
)

func TestDelaysGrow(t *testing.T) {
	want := map[int32]time.Duration{
		1: 0, 4: 0, 5: time.Second, 6: 2 * time.Second, 7: 4 * time.Second, 14: 512 * time.Second,
		15: 15 * time.Minute, 16: 15 * time.Minute, 1 << 30: 15 * time.Minute,
	}
	for failures, want := range want {
		if got := delayAfter(failures, 5); got != want {
			t.Errorf("after %d failures the delay is %v, want %v", failures, got, want)
		}
	}
}

func TestAddressName(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "address:192.0.2.1", "::ffff:192.0.2.1": "address:192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "address:2001:db8:1:2::/64", "fe80::1%eth0": "address:fe80::/64", "": "", "unix": "",
	} {
		if got := addressName(address); got != want {
			t.Errorf("%q is counted under %q, want %q", address, got, want)
		}
	}
}

// TestFailuresDelay guesses at a known and at an unknown phone, which must not differ.
func TestFailuresDelay(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d, func(o *Options) { o.HideRegistered = true })
		b.register(t, phone)
		for _, phone := range []string{phone, otherPhone} {
			for range freePerPhone {
				wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
			}
			for _, delay := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
				b.wantHashes(t, 0, func() {
					err := b.try(t, phone, password)
					wantCode(t, err, apperr.TooManyFailures)
					if got := apperr.From(err).RetryAfter; got != delay {
						t.Errorf("%s has to wait for %v, want %v", phone, got, delay)
					}
				})
				b.advance(delay)
				wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
			}
		}
		b.advance(8 * time.Second)
		wantCode(t, b.try(t, phone, password), apperr.OK)
		for range freePerPhone { // the right password starts from zero
			wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		}
		wantCode(t, b.try(t, phone, password), apperr.TooManyFailures)
		b.advance(failuresLast)
		for range freePerPhone { // they have expired
			wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		}
		wantCode(t, b.try(t, phone, password), apperr.TooManyFailures)

		b.advance(failuresLast)
		if deleted, err := b.DeleteExpired(t.Context()); err != nil || deleted != 3 {
			t.Errorf("%d expired failures were deleted, %v; want 3", deleted, err)
		}
	})
}

func TestRightCodeAlwaysGetsIn(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		b.register(t, phone)
		code := b.code(t, phone, verify.Login)
		for range freePerPhone {
			wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		}
		wantCode(t, b.try(t, phone, password), apperr.TooManyFailures)
		b.login(t, Credentials{Phone: phone, Code: code})
		wantCode(t, b.try(t, phone, password), apperr.OK)
	})
}

func TestFailuresOfAnAddressDelayAllPhones(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		b.register(t, phone)
		try := func(phone, password, address string) error {
			_, _, err := b.Login(t.Context(), Credentials{Phone: phone, Password: password}, audit.Origin{Address: address})
			return err
		}
		for i := range freePerAddress {
			if i%4 == 0 { // right passwords don't count
				wantCode(t, try(phone, password, "2001:db8::1"), apperr.OK)
			}
			unknown := "188666700" + string(rune('0'+i/10)) + string(rune('0'+i%10))
			wantCode(t, try(unknown, password, "2001:db8::2"), apperr.NotRegistered)
		}
		wantCode(t, try(phone, password, "2001:db8::3"), apperr.TooManyFailures)
		wantCode(t, try(phone, password, "2001:db8:0:1::3"), apperr.OK)
		wantCode(t, try(phone, password, ""), apperr.OK)
		b.advance(time.Second)
		wantCode(t, try(phone, password, "2001:db8::3"), apperr.OK)
		wantCode(t, try(phone, password, "2001:db8::3"), apperr.OK) // the delay of a right one is undone
		wantCode(t, try(phone, "a wrong one", "2001:db8::3"), apperr.WrongPassword)
		wantCode(t, try(phone, password, "2001:db8::3"), apperr.TooManyFailures)
	})
}

// TestClocksOfNodesDiffer logs in on a node whose clock is behind that of the node that counted a guess. A guess
// that delays nobody must not delay anybody there either, nor may a right one whose delay is undone.
func TestClocksOfNodesDiffer(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		behind := b.node(func(o *Options) {
			o.Now = func() time.Time { return b.clock.Now().Add(-20 * time.Second) }
		})
		b.register(t, phone)
		wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		wantCode(t, behind.try(t, phone, password), apperr.OK)
		for i := range freePerAddress { // one of them is there already
			if i > 0 {
				wantCode(t, b.try(t, fmt.Sprintf("188666700%02d", i), password), apperr.NotRegistered)
			}
		}
		b.advance(20*time.Second + firstDelay)
		wantCode(t, b.try(t, phone, password), apperr.OK)
		wantCode(t, behind.try(t, phone, password), apperr.OK)
	})
}

// TestParallelGuesses has two nodes asked at once for many passwords of one phone.
func TestParallelGuesses(t *testing.T) {
	guesses := 1000
	if testing.Short() {
		guesses = 100
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		b.register(t, phone)
		other := b.node()
		results := newTally()
		b.wantHashes(t, freePerPhone, func() {
			each(guesses/2, func() {
				results.add(b.try(t, phone, "a wrong one"))
				results.add(other.try(t, phone, "another wrong one"))
			})
		})
		if results.counts[apperr.WrongPassword] != freePerPhone || results.counts[apperr.TooManyFailures] != guesses-freePerPhone {
			t.Errorf("results are %v, %v; want %d wrong passwords", results.counts, results.others, freePerPhone)
		}
	})
}

func TestBusyServerCountsNoGuess(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		b.register(t, phone)
		impatient := cheap
		impatient.Wait = time.Nanosecond
		busy := b.node(func(o *Options) { o.Hasher = NewHasher(impatient) })
		if !busy.options.Hasher.turns.TryAcquire(int64(impatient.Concurrency)) {
			t.Fatal("the turns are not free")
		}
		for range 2 * freePerPhone {
			wantCode(t, busy.try(t, phone, "a wrong one"), apperr.ServerBusy)
		}
		wantCode(t, b.try(t, phone, password), apperr.OK)
	})
}

func TestNoThrottle(t *testing.T) {
	b := newBench(t, dbtest.Open(t, ""), func(o *Options) { o.Throttle = false })
	b.register(t, phone)
	for range 2 * freePerPhone {
		wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
	}
	wantCode(t, b.try(t, phone, password), apperr.OK)
}
