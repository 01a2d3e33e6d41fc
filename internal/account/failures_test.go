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
		if got := phoneGuard.delayAfter(failures); got != want {
			t.Errorf("after %d failures the delay is %v, want %v", failures, got, want)
		}
		failures += freePerAddress - freePerPhone
		if got := addressGuard.delayAfter(failures); got != min(want, 30*time.Second) {
			t.Errorf("after %d failures the delay of an address is %v, want %v", failures, got, min(want, 30*time.Second))
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
		b.advance(phoneGuard.lasts)
		for range freePerPhone { // they have expired
			wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		}
		wantCode(t, b.try(t, phone, password), apperr.TooManyFailures)

		b.advance(phoneGuard.lasts)
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

// tryAt logs in with a password from an address.
func (b bench) tryAt(t *testing.T, phone, password, address string) error {
	t.Helper()
	_, _, err := b.Login(t.Context(), Credentials{Phone: phone, Password: password}, audit.Origin{Address: address})
	return err
}

// unknownPhone is a phone that nobody registers.
func unknownPhone(n int) string { return fmt.Sprintf("18877%06d", n) }

// useUpAddress guesses at one phone after the other until an address has no free guess left.
func (b bench) useUpAddress(t *testing.T, address string) {
	t.Helper()
	for i := range freePerAddress {
		wantCode(t, b.tryAt(t, unknownPhone(i), password, address), apperr.NotRegistered)
	}
}

func TestFailuresOfAnAddressDelayAllPhones(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		newcomers := []string{phone, otherPhone, "18866667777"}
		for _, newcomer := range newcomers {
			b.register(t, newcomer)
		}
		for range 2 * freePerAddress { // right passwords don't count
			wantCode(t, b.tryAt(t, newcomers[0], password, "2001:db8::1"), apperr.OK)
		}
		b.useUpAddress(t, "2001:db8::2")
		wantCode(t, b.tryAt(t, newcomers[1], password, "2001:db8::3"), apperr.TooManyFailures)
		wantCode(t, b.tryAt(t, unknownPhone(0), password, "2001:db8::3"), apperr.TooManyFailures)
		wantCode(t, b.tryAt(t, newcomers[2], password, "2001:db8:0:1::3"), apperr.OK)
		wantCode(t, b.tryAt(t, newcomers[2], password, ""), apperr.OK)
		b.advance(time.Second)
		wantCode(t, b.tryAt(t, newcomers[1], password, "2001:db8::3"), apperr.OK)
		wantCode(t, b.tryAt(t, newcomers[2], password, "2001:db8::3"), apperr.OK) // the delay of a right one is undone
		wantCode(t, b.tryAt(t, unknownPhone(0), password, "2001:db8::3"), apperr.NotRegistered)
		wantCode(t, b.tryAt(t, unknownPhone(1), password, "2001:db8::3"), apperr.TooManyFailures)
		b.advance(addressGuard.lasts)
		b.useUpAddress(t, "2001:db8::2") // all is forgotten
	})
}

// TestAddressSparesItsUsers logs in at an address that has to wait. Who has a session there need not, but for the
// guesses at his or her own password.
func TestAddressSparesItsUsers(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		b.register(t, phone)
		b.register(t, otherPhone)
		wantCode(t, b.tryAt(t, phone, password, "2001:db8::1"), apperr.OK)
		wantCode(t, b.tryAt(t, otherPhone, password, "2001:db8:0:1::1"), apperr.OK)
		b.useUpAddress(t, "2001:db8::2")
		wantCode(t, b.tryAt(t, otherPhone, password, "2001:db8::3"), apperr.TooManyFailures)
		for range 2 * freePerPhone {
			wantCode(t, b.tryAt(t, phone, password, "2001:db8::3"), apperr.OK)
		}
		for range freePerPhone {
			wantCode(t, b.tryAt(t, phone, "a wrong one", "2001:db8::3"), apperr.WrongPassword)
		}
		wantCode(t, b.tryAt(t, phone, password, "2001:db8::3"), apperr.TooManyFailures)

		b.advance(time.Second) // nobody has to wait, until one of those who come at once is counted
		wantCode(t, b.tryAt(t, phone, password, "2001:db8::3"), apperr.OK)
		results := newTally()
		each(freePerPhone-1, func() { results.add(b.tryAt(t, phone, password, "2001:db8::3")) })
		if results.counts[apperr.OK] != freePerPhone-1 {
			t.Errorf("results of right guesses at once are %v, %v", results.counts, results.others)
		}

		wantCode(t, b.tryAt(t, unknownPhone(0), password, "2001:db8::2"), apperr.NotRegistered)
		user, err := b.FindByPhone(t.Context(), phone)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.LogoutEverywhere(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		wantCode(t, b.tryAt(t, phone, password, "2001:db8::3"), apperr.TooManyFailures)
	})
}

// TestWrongPasswordsOfNeighboursNeverAddUp has many behind one address, of whom somebody mistypes a few times an hour.
func TestWrongPasswordsOfNeighboursNeverAddUp(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		for _, neighbour := range []string{phone, otherPhone} {
			b.register(t, neighbour)
			wantCode(t, b.try(t, neighbour, password), apperr.OK)
		}
		for i := range 65 {
			wantCode(t, b.try(t, unknownPhone(i), password), apperr.NotRegistered)
			b.advance(17 * time.Hour / 65)
		}
		for i := range 24 {
			wantCode(t, b.try(t, unknownPhone(i), password), apperr.NotRegistered)
			for _, neighbour := range []string{phone, otherPhone} {
				wantCode(t, b.try(t, neighbour, password), apperr.OK)
			}
			newcomer := fmt.Sprintf("188666600%02d", i)
			b.register(t, newcomer)
			wantCode(t, b.try(t, newcomer, password), apperr.OK)
			b.advance(15 * time.Minute)
		}
	})
}

// TestGuessingAtManyPhonesIsSlow guesses for hours as fast as an address may, at another phone each time.
func TestGuessingAtManyPhonesIsSlow(t *testing.T) {
	const hours, mostAnHour = 3, freePerAddress + 5 + 120 // five short delays, then two guesses a minute
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		guesses := 0
		for end := b.now().Add(hours * time.Hour); b.now().Before(end); {
			err := b.try(t, unknownPhone(guesses), password)
			if apperr.Is(err, apperr.NotRegistered) {
				guesses++
				continue
			}
			wantCode(t, err, apperr.TooManyFailures)
			wait := apperr.From(err).RetryAfter
			if wait < time.Second || wait > 30*time.Second {
				t.Fatalf("the address has to wait for %v", wait)
			}
			b.advance(wait)
		}
		if guesses > hours*mostAnHour {
			t.Errorf("%d guesses in %d hours, want at most %d", guesses, hours, hours*mostAnHour)
		}
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
