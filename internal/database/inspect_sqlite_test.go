package database

import (
	"testing"
	"time"
)

// TestQuickCheckEnds reads a database that is too large for its time: that is no damage.
func TestQuickCheckEnds(t *testing.T) {
	e, err := openSQLite(t.Context(), Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	for patience, want := range map[time.Duration]bool{time.Nanosecond: true, time.Minute: false} {
		if damage, unread := quickCheck(t.Context(), e.readers, patience); damage != "" || unread != want {
			t.Errorf("within %s: damage %q, unread %t; want none and %t", patience, damage, unread, want)
		}
	}
}
