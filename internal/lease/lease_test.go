package lease_test

import (
	"errors"
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/lease"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const term = time.Minute

// contenders are two that want one lease, by a clock that the test sets.
func contenders(d *database.Database, now *time.Time) (one, two *lease.Lease) {
	clock := func() time.Time { return *now }
	return &lease.Lease{Database: d, Now: clock, Name: "work", Holder: "one", Term: term},
		&lease.Lease{Database: d, Now: clock, Name: "work", Holder: "two", Term: term}
}

func wantTaken(t *testing.T, l *lease.Lease, want bool) {
	t.Helper()
	if taken, err := l.Take(t.Context()); taken != want || err != nil {
		t.Errorf("%s: taken %v, %v, want %v", l.Holder, taken, err, want)
	}
}

func TestLeaseIsOfOneUntilItEnds(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
		one, two := contenders(d, &now)
		wantTaken(t, one, true)
		wantTaken(t, two, false)
		for range 3 {
			now = now.Add(term / 2)
			if err := one.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantTaken(t, two, false)
		}
		if err := one.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantTaken(t, two, true)
	})
}

func TestLeaseOfTheDeadIsTakenOver(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
		one, two := contenders(d, &now)
		wantTaken(t, one, true)
		now = now.Add(term + time.Second)
		wantTaken(t, two, true)
		if err := one.Renew(t.Context()); !errors.Is(err, lease.ErrLost) {
			t.Errorf("the first one renews: %v, want ErrLost", err)
		}
		if err := one.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantTaken(t, one, false) // it has not ended that of the second
	})
}

// TestLeaseOfAWrongClock has one that would be held for a day.
func TestLeaseOfAWrongClock(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		now := time.Date(2026, 3, 5, 5, 6, 7, 0, time.UTC)
		one, two := contenders(d, &now)
		wantTaken(t, one, true)
		now = now.Add(-24 * time.Hour)
		wantTaken(t, two, true)
	})
}
