package audit_test

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// now has more digits than the databases store.
var now = time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("CST", 8*3600))

const retention = 180 * 24 * time.Hour

func open(d *database.Database) *audit.Service {
	return audit.New(audit.Options{Database: d, Now: func() time.Time { return now }, Retention: retention})
}

// record notes an event; what it leaves out gets a usual value.
func record(t *testing.T, d *database.Database, e audit.Event) {
	t.Helper()
	if e.At.IsZero() {
		e.At = now
	}
	err := d.InTx(t.Context(), func(q *db.Queries) error {
		return audit.Record(t.Context(), q, e.UserID, cmp.Or(e.Action, audit.Login), e.Origin, e.At)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, d *database.Database, userID string) []audit.Event {
	t.Helper()
	events, more, err := open(d).List(t.Context(), userID, "", 1000)
	if err != nil || more {
		t.Fatalf("more %v, %v", more, err)
	}
	return events
}

func TestRecord(t *testing.T) {
	const longestAddress = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	tests := []struct {
		name   string
		action audit.Action
		from   audit.Origin
		want   audit.Origin
	}{
		{"by the user", audit.Login,
			audit.Origin{Address: "192.0.2.1", Device: "小明的手机"},
			audit.Origin{Actor: audit.User, Address: "192.0.2.1", Device: "小明的手机"}},
		{"by an admin", audit.Disabled, audit.Origin{Actor: audit.Admin}, audit.Origin{Actor: audit.Admin}},
		{"by the server", audit.LeftBehind, audit.Origin{Actor: audit.Server}, audit.Origin{Actor: audit.Server}},
		{"long names", audit.DeletionRequested,
			audit.Origin{Address: longestAddress, Device: strings.Repeat("😀", 300)},
			audit.Origin{Actor: audit.User, Address: longestAddress, Device: strings.Repeat("😀", 255)}},
		{"made-up zone", audit.LoginFailed,
			audit.Origin{Address: "fe80::1%" + strings.Repeat("图", 99)},
			audit.Origin{Actor: audit.User, Address: "fe80::1"}},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				user := uuid.NewString()
				record(t, d, audit.Event{UserID: user, Action: test.action, Origin: test.from})
				got := list(t, d, user)
				if len(got) != 1 {
					t.Fatalf("%d events, want 1", len(got))
				}
				want := audit.Event{ID: got[0].ID, UserID: user, Action: test.action, Origin: test.want, At: database.Timestamp(now)}
				if !reflect.DeepEqual(got[0], want) {
					t.Errorf("got %+v, want %+v", got[0], want)
				}
				if id, err := uuid.Parse(got[0].ID); err != nil || id.Version() != 7 {
					t.Errorf("id %s, want a UUIDv7", got[0].ID)
				}
			})
		}
	})
}

func TestCut(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "iPhone 17", "iPhone 17"},
		{"chinese", "小明的手机", "小明的手机"},
		{"emoji with joiner", "👨‍👩‍👧", "👨‍👩‍👧"},
		{"empty", "", ""},
		{"255 characters", strings.Repeat("图", 255), strings.Repeat("图", 255)},
		{"300 emoji", strings.Repeat("😀", 300), strings.Repeat("😀", 255)},
		{"not UTF-8", "a\xff\xfeb", "a  b"},
		{"not UTF-8, and long", strings.Repeat("\xff", 300) + "b", ""},
		{"half a character", "a\xe5\x9b", "a"},
		{"replacement character", "a\ufffdb", "a b"},
		{"controls", "a\x00b\r\nc\x1b[31m\x7fd", "a b  c [31m d"},
		{"C1 controls", "a\u0085b\u009bc", "a b c"},
		{"turned direction", "a\u202eb\u2066c", "a b c"},
		{"direction marks", "a\u200eb\u200fc\u061cd", "a b c d"},
		{"no room", "a\u200bb\u2060c\ufeffd\u00ade", "a b c d e"},
		{"flag made of tags", "🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f"},
		{"joiners", "a\u200db\u200cc", "a\u200db\u200cc"},
		{"line separators", "a\u2028b\u2029c", "a b c"},
		{"spaces around", " \n a b\t", "a b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := audit.Cut(test.in); got != test.want {
				t.Errorf("Cut(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

// TestRecordIsPartOfTheTransaction checks that what was not done is not noted either.
func TestRecordIsPartOfTheTransaction(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		user := uuid.NewString()
		failed := errors.New("failed")
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			return errors.Join(audit.Record(t.Context(), q, user, audit.PhoneChanged, audit.Origin{}, now), failed)
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		if got := list(t, d, user); len(got) > 0 {
			t.Errorf("noted %+v", got)
		}
	})
}

func TestList(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		user, other := uuid.NewString(), uuid.NewString()
		for range 7 { // all at one time, and among those of another user
			record(t, d, audit.Event{UserID: other})
			record(t, d, audit.Event{UserID: user})
		}
		all := list(t, d, user)
		if len(all) != 7 {
			t.Fatalf("%d events, want 7", len(all))
		}
		for i, event := range all {
			if event.UserID != user || i > 0 && event.ID >= all[i-1].ID {
				t.Errorf("event %d is %+v", i, event)
			}
		}
		othersNewest := list(t, d, other)[0].ID
		tests := []struct {
			name     string
			user     string
			before   string
			limit    int
			want     []audit.Event
			wantMore bool
		}{
			{"first page", user, "", 3, all[:3], true},
			{"second page", user, all[2].ID, 3, all[3:6], true},
			{"last page", user, all[5].ID, 3, all[6:], false},
			{"after the last", user, all[6].ID, 3, []audit.Event{}, false},
			{"exactly all", user, "", 7, all, false},
			{"all but one", user, "", 6, all[:6], true},
			{"before another user's event", user, othersNewest, 7, all[1:], false},
			{"nothing asked for", user, "", 0, all[:1], true},
			{"negative", user, "", -5, all[:1], true},
			{"boundless", user, "", 1 << 40, all, false},
			{"user without events", uuid.NewString(), "", 3, []audit.Event{}, false},
			{"no user", "", "", 3, []audit.Event{}, false},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				got, more, err := open(d).List(t.Context(), test.user, test.before, test.limit)
				if err != nil || more != test.wantMore || !reflect.DeepEqual(got, test.want) {
					t.Errorf("got %+v, %v, %v, want %+v, %v", got, more, err, test.want, test.wantMore)
				}
			})
		}
	})
}

func TestListIsBounded(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		user := uuid.NewString()
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			for range 1001 {
				if err := audit.Record(t.Context(), q, user, audit.Login, audit.Origin{}, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		events, more, err := open(d).List(t.Context(), user, "", 5000)
		if err != nil || len(events) != 1000 || !more {
			t.Errorf("%d events, more %v, %v, want 1000 and more", len(events), more, err)
		}
	})
}

func TestDeleteExpired(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		user := uuid.NewString()
		oldest := database.Timestamp(now).Add(-retention)
		record(t, d, audit.Event{UserID: user, At: oldest.Add(-time.Hour)})
		record(t, d, audit.Event{UserID: user, At: oldest.Add(-time.Microsecond)})
		record(t, d, audit.Event{UserID: user, At: oldest})
		record(t, d, audit.Event{UserID: user})
		for _, want := range []int64{2, 0} {
			if deleted, err := open(d).DeleteExpired(t.Context()); err != nil || deleted != want {
				t.Errorf("deleted %d, %v, want %d", deleted, err, want)
			}
		}
		if got := list(t, d, user); len(got) != 2 || !got[1].At.Equal(oldest) {
			t.Errorf("kept %+v", got)
		}
	})
}

// TestIndexes checks that neither a long record nor many users make the queries slow.
func TestIndexes(t *testing.T) {
	tests := []struct{ query, wantIndex string }{
		{"SELECT id FROM audit_events WHERE user_id = 'a' AND id < 'b' ORDER BY id DESC LIMIT 21", "audit_events_user_id"},
		{"SELECT created_at FROM audit_events WHERE user_id = 'a' AND action = 'b' ORDER BY id DESC LIMIT 1", "audit_events_user_id"},
		{"DELETE FROM audit_events WHERE created_at < '2026-01-01'", "audit_events_created_at"},
		{"DELETE FROM audit_events WHERE user_id = 'a'", "audit_events_user_id"},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		d := dbtest.OpenIn(t, url, dir, slog.New(slog.DiscardHandler))
		for range 50 {
			record(t, d, audit.Event{UserID: uuid.NewString()})
		}
		explain := "EXPLAIN "
		if url == "" {
			explain = "EXPLAIN QUERY PLAN "
		}
		pool := dbtest.OpenPool(t, url, dir)
		for _, test := range tests {
			plan := planOf(t, pool, explain+test.query)
			sorts := strings.Contains(plan, "filesort") || strings.Contains(plan, "TEMP B-TREE")
			if !strings.Contains(plan, test.wantIndex) || sorts {
				t.Errorf("%s is executed by %s, want %s and no sorting", test.query, plan, test.wantIndex)
			}
		}
	})
}

// planOf returns what a query's plan says of the indexes that it uses, and of sorting.
func planOf(t *testing.T, pool *sql.DB, query string) string {
	t.Helper()
	rows, err := pool.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		for i, column := range columns {
			if slices.Contains([]string{"key", "Extra", "detail"}, column) { // the last is SQLite's
				fmt.Fprintln(&plan, values[i].String)
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
