package account

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// to is a change to a value.
func to[T any](v T) Change[T] { return Change[T]{Set: true, Value: &v} }

// away is a change to nothing.
func away[T any]() Change[T] { return Change[T]{Set: true} }

func (b bench) update(t *testing.T, id string, c Changes) User {
	t.Helper()
	user, err := b.Update(t.Context(), id, c, from)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func TestUpdate(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		id := b.registeredID(t)
		full := Changes{
			Nickname: to("小明 👩‍🚀"), Avatar: to(Avatar{"019a9d5c-7a2e-7c31-9f0a-3d7c1b2a4e5f", "k3.jpg"}), Birthday: to("2000-02-29"),
			Gender: to("other"), Bio: to(""), Metadata: to(map[string]any{"theme": "<dark>", "n": 1.5}),
		}
		b.update(t, id, full)
		user := b.update(t, id, Changes{}) // changes nothing, and is not recorded
		if user.Nickname != "小明 👩‍🚀" || *user.AvatarID != full.Avatar.Value.ID || *user.AvatarName != "k3.jpg" ||
			user.Birthday.Format(time.DateOnly) != "2000-02-29" || *user.Gender != "other" || *user.Bio != "" ||
			user.Metadata["theme"] != "<dark>" || user.Metadata["n"] != 1.5 {
			t.Errorf("user is %+v", user)
		}
		if got, err := b.Get(t.Context(), id); err != nil || got.Nickname != user.Nickname {
			t.Errorf("the user who is got is %+v, %v", got, err)
		}
		user = b.update(t, id, Changes{Bio: to("hello"), Metadata: to(map[string]any{})})
		if *user.Bio != "hello" || user.Metadata == nil || len(user.Metadata) != 0 || *user.Gender != "other" {
			t.Errorf("user is %+v", user)
		}
		user = b.update(t, id, Changes{
			Nickname: away[string](), Avatar: away[Avatar](), Birthday: away[string](), Gender: away[string](), Bio: away[string](),
			Metadata: away[map[string]any](),
		})
		if user.Nickname != "用户8888" || user.AvatarID != nil || user.AvatarName != nil || user.Birthday != nil || user.Gender != nil ||
			user.Bio != nil || user.Metadata != nil {
			t.Errorf("user is %+v", user)
		}
		b.wantActions(t, id, audit.Register, audit.Login, audit.ProfileChanged)
	})
}

// TestUpdatesAreRecordedOnceAnHour has two nodes change one profile at once, again and again.
func TestUpdatesAreRecordedOnceAnHour(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		other := b.node()
		id := b.registeredID(t)
		stranger, _ := b.registeredAs(t, otherPhone)
		b.update(t, stranger.ID, Changes{Bio: to("somebody else's")})
		want := []audit.Action{audit.Register, audit.Login}
		for _, step := range []struct {
			advance time.Duration
			noted   int
		}{{0, 1}, {time.Hour - time.Microsecond, 0}, {time.Microsecond, 1}, {30 * time.Minute, 0}, {24 * time.Hour, 1}} {
			b.advance(step.advance)
			each(3, func() {
				for _, node := range []bench{b, other} {
					if _, err := node.Update(t.Context(), id, Changes{Bio: to("again")}, from); err != nil {
						t.Error(err)
					}
				}
			})
			want = append(want, slices.Repeat([]audit.Action{audit.ProfileChanged}, step.noted)...)
			b.wantActions(t, id, want...)
		}
		b.wantActions(t, stranger.ID, audit.Register, audit.Login, audit.ProfileChanged)
	})
}

func (b bench) registeredID(t *testing.T) string {
	t.Helper()
	user, _ := b.registered(t)
	return user.ID
}

func TestUpdateRefuses(t *testing.T) {
	metadata := func(bytes int) Changes {
		return Changes{Metadata: to(map[string]any{"a": strings.Repeat("&", bytes-len(`{"a":""}`))})}
	}
	tests := []struct {
		name  string
		c     Changes
		field string // empty: taken
	}{
		{"a nickname of several lines", Changes{Nickname: to("a\nb")}, "/nickname"},
		{"a nickname that turns what follows", Changes{Nickname: to("a\u202eb")}, "/nickname"},
		{"a nickname with a direction mark", Changes{Nickname: to("a\u200eb")}, "/nickname"},
		{"a nickname with an Arabic direction mark", Changes{Nickname: to("a\u061cb")}, "/nickname"},
		{"a nickname that looks like another", Changes{Nickname: to("小\u200b明")}, "/nickname"},
		{"a nickname with joiners", Changes{Nickname: to("👩\u200d🚀 می\u200cخواهم")}, ""},
		{"an empty nickname", Changes{Nickname: to("")}, "/nickname"},
		{"no such day", Changes{Birthday: to("2001-02-29")}, "/birthday"},
		{"before 1900", Changes{Birthday: to("1899-12-31")}, "/birthday"},
		{"1900", Changes{Birthday: to("1900-01-01")}, ""},
		{"tomorrow, which it is somewhere", Changes{Birthday: to("2026-11-21")}, ""},
		{"the day after tomorrow", Changes{Birthday: to("2026-11-22")}, "/birthday"},
		{"8 KiB", metadata(8192), ""},
		{"more than 8 KiB", metadata(8193), "/metadata"},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		id := b.registeredID(t)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				_, err := b.Update(t.Context(), id, test.c, from)
				if test.field == "" {
					wantCode(t, err, apperr.OK)
					return
				}
				wantField(t, err, apperr.InvalidInput, test.field)
			})
		}
	})
}

func TestParallelUpdatesOfDifferentMembersAreBothKept(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		other := b.node()
		id := b.registeredID(t)
		for _, want := range []string{"a", "b", "c", "d", "e"} {
			done := make(chan error, 2)
			go func() { _, err := b.Update(t.Context(), id, Changes{Bio: to(want)}, from); done <- err }()
			go func() { _, err := other.Update(t.Context(), id, Changes{Gender: to(want)}, from); done <- err }()
			wantCode(t, <-done, apperr.OK)
			wantCode(t, <-done, apperr.OK)
			b.advance(rememberedFor)
			if user, err := b.Get(t.Context(), id); err != nil || *user.Bio != want || *user.Gender != want {
				t.Errorf("user is %+v, %v; want %s twice", user, err, want)
			}
		}
	})
}

func TestVisitHome(t *testing.T) {
	const visits = 20
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		id := b.registeredID(t)
		each(visits, func() {
			if _, err := b.VisitHome(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
		if last, err := b.VisitHome(t.Context(), id); err != nil || last.HomeVisits != visits+1 {
			t.Errorf("the last visit is number %d, %v; want %d", last.HomeVisits, err, visits+1)
		}
		if got, err := b.Get(t.Context(), id); err != nil || got.HomeVisits != visits+1 {
			t.Errorf("got %d visits, %v; want %d", got.HomeVisits, err, visits+1)
		}
	})
}

func TestUserWhoIsGone(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		for _, id := range []string{"", uuid.NewString(), "' OR 1=1 --"} {
			b.wantInvisible(t, id)
		}
	})
}

// wantInvisible checks that no session sees the user.
func (b bench) wantInvisible(t *testing.T, id string) {
	t.Helper()
	_, err := b.Get(t.Context(), id)
	wantCode(t, err, apperr.NotLoggedIn)
	_, err = b.Seen(t.Context(), id)
	wantCode(t, err, apperr.NotLoggedIn)
	_, err = b.VisitHome(t.Context(), id)
	wantCode(t, err, apperr.NotLoggedIn)
	_, err = b.Update(t.Context(), id, Changes{Bio: to("")}, from)
	wantCode(t, err, apperr.NotLoggedIn)
}

func TestSeenIsNotedOnceADay(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		id := b.registeredID(t)
		seenAt := func() time.Time {
			if _, err := b.Seen(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			row, err := d.Queries().GetUser(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return *row.LastSeenAt
		}
		first := seenAt()
		b.advance(seenEvery)
		if again := seenAt(); !again.Equal(first) {
			t.Errorf("a write after %v", seenEvery)
		}
		b.advance(time.Microsecond)
		if again := seenAt(); !again.Equal(b.now()) {
			t.Errorf("seen at %v, want %v", again, b.now())
		}
	})
}

// TestUsersAreRemembered changes a user as another node would.
func TestUsersAreRemembered(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		other := b.node()
		id := b.registeredID(t)
		wantBio := func(want string) {
			t.Helper()
			if user, err := b.Get(t.Context(), id); err != nil || user.Bio == nil || *user.Bio != want {
				t.Errorf("user is %+v, %v; want the bio %q", user, err, want)
			}
		}
		b.update(t, id, Changes{Bio: to("first")})
		wantBio("first")
		other.update(t, id, Changes{Bio: to("second")})
		b.advance(rememberedFor - 1)
		wantBio("first")
		b.advance(1)
		wantBio("second")
		b.update(t, id, Changes{Bio: to("third")})
		wantBio("third")
		if err := other.Erase(t.Context(), id); err != nil { // who is not due
			t.Fatal(err)
		}
		wantBio("third")
		if users, _ := b.Remembered(); users.Hits == 0 || users.Misses < 2 || users.Entries != 1 {
			t.Errorf("users are remembered as %+v, want hits, two misses and one entry", users)
		}
	})
}

func TestNothingOldIsRemembered(t *testing.T) {
	r := newRemembered()
	now := newClock().Now()
	_, _, changes := r.get("id", now)
	r.forget("id") // while the user was read
	r.keep(User{ID: "id", Nickname: "old"}, now, changes)
	if user, ok, _ := r.get("id", now); ok {
		t.Errorf("remembered is %+v", user)
	}
	_, _, changes = r.get("id", now)
	r.keep(User{ID: "id", Nickname: "new"}, now, changes)
	for age, want := range map[time.Duration]bool{0: true, rememberedFor - 1: true, rememberedFor: false, -1: false} {
		if user, ok, _ := r.get("id", now.Add(age)); ok != want {
			t.Errorf("after %v remembered is %+v, %t; want %t", age, user, ok, want)
		}
	}
	for i := range rememberedUsers {
		r.keep(User{ID: string(rune(i + 1))}, now, changes)
	}
	if _, ok, _ := r.get("id", now); ok || r.users.Len() != rememberedUsers {
		t.Errorf("%d users are remembered, want %d", r.users.Len(), rememberedUsers)
	}
}

func TestRememberedUserCostsNoAllocation(t *testing.T) {
	b := newBench(t, dbtest.Open(t, ""))
	id := b.registeredID(t)
	allocated := testing.AllocsPerRun(100, func() {
		if _, err := b.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	})
	if allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestUserFromRowNamesWhatIsBroken(t *testing.T) {
	for _, row := range []db.User{{ID: "42", Birthday: new("x")}, {ID: "42", Metadata: new("x")}} {
		if _, err := userFromRow(row); err == nil || !strings.Contains(err.Error(), "42") {
			t.Errorf("error is %v", err)
		}
	}
}
