package account

import (
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

func (b bench) wantHidden(t *testing.T, userID string, want bool) {
	t.Helper()
	hidden, err := b.IsHidden(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	if hidden != want {
		t.Errorf("hidden %t, want %t", hidden, want)
	}
}

// TestWhoAsksToBeDeletedIsHidden within a second, and seen again as soon after a change of mind.
func TestWhoAsksToBeDeletedIsHidden(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		b.wantHidden(t, user.ID, false)
		b.wantHidden(t, newID(), false) // pictures that were taken over belong to nobody who registered

		b.requestDeletion(t, user.ID)
		b.advance(time.Second)
		b.wantHidden(t, user.ID, true)

		b.login(t, Credentials{Phone: phone, Password: password})
		b.advance(time.Second)
		b.wantHidden(t, user.ID, false)
	})
}

func TestHiddenWithoutADatabase(t *testing.T) {
	d := dbtest.Open(t, "")
	b := newBench(t, d)
	user, _ := b.registered(t)
	b.wantHidden(t, user.ID, false)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	b.wantHidden(t, user.ID, false) // as it was a moment ago
	b.advance(time.Second)
	if _, err := b.IsHidden(t.Context(), user.ID); err == nil {
		t.Error("nobody can know whether the user is hidden")
	}
}
