package account

import (
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

const password = "open sesame"

var now = time.Date(2026, 11, 20, 8, 0, 0, 123_456_789, time.UTC)

func newService(t *testing.T, d *database.Database, hasher HasherOptions) *Service {
	t.Helper()
	return New(Options{
		Database: d, Hasher: NewHasher(hasher), Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return now }, Code: "123456",
	})
}

func register(t *testing.T, s *Service, phone string) {
	t.Helper()
	if err := s.Register(t.Context(), Registration{Phone: phone, Password: password, Code: "123456"}); err != nil {
		t.Fatal(err)
	}
}

func TestRegister(t *testing.T) {
	tests := []struct {
		name string
		Registration
		want apperr.Code
	}{
		{"right", Registration{"18866668889", password, "123456"}, apperr.OK},
		{"registered", Registration{"18866668888", password, "123456"}, apperr.AlreadyRegistered},
		{"registered, written in another way", Registration{"+86 188-6666-8888", password, "123456"}, apperr.AlreadyRegistered},
		{"wrong code", Registration{"18866668887", password, "654321"}, apperr.WrongCode},
		{"registered, but the code is wrong", Registration{"18866668888", password, "654321"}, apperr.WrongCode},
		{"no phone number", Registration{"1234", password, "123456"}, apperr.InvalidInput},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, d, cheap)
		register(t, s, "18866668888")
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) { wantCode(t, s.Register(t.Context(), test.Registration), test.want) })
		}
	})
}

func wantCode(t *testing.T, err error, want apperr.Code) {
	t.Helper()
	if want == apperr.OK && err != nil || want != apperr.OK && !apperr.Is(err, want) {
		t.Errorf("error is %v, want code %d", err, want)
	}
}

func TestRegisterTakesEveryCodeWhereNoneIsSent(t *testing.T) {
	s := newService(t, dbtest.Open(t, ""), cheap)
	s.options.Code = ""
	wantCode(t, s.Register(t.Context(), Registration{"18866668888", password, "999999"}), apperr.OK)
}

// TestRegisterRace lets several register past the look-up at once, so that the index decides.
func TestRegisterRace(t *testing.T) {
	const rivals = 6
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, d, cheap)
		results := make(chan error, rivals)
		var inserting sync.WaitGroup
		for range rivals {
			inserting.Go(func() { results <- s.insertUser(t.Context(), "+8618866668888", "hash") })
		}
		inserting.Wait()
		close(results)
		won := 0
		for err := range results {
			if err == nil {
				won++
				continue
			}
			wantCode(t, err, apperr.AlreadyRegistered)
		}
		if won != 1 {
			t.Errorf("%d registered the same phone", won)
		}
	})
}

func TestLogin(t *testing.T) {
	tests := []struct {
		name, phone, password string
		want                  apperr.Code
	}{
		{"right", "18866668888", password, apperr.OK},
		{"written in another way", "+86 188 6666 8888", password, apperr.OK},
		{"wrong password", "18866668888", password + "!", apperr.WrongPassword},
		{"not registered", "18866668889", password, apperr.NotRegistered},
		{"no phone number", "1234", password, apperr.InvalidInput},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, d, cheap)
		register(t, s, "18866668888")
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				user, err := s.Login(t.Context(), test.phone, test.password)
				wantCode(t, err, test.want)
				if test.want != apperr.OK {
					return
				}
				if user.Phone != "+8618866668888" || user.Nickname != "用户8888" || user.LastLoginAt == nil {
					t.Errorf("user is %+v", user)
				}
				stored, err := s.Get(t.Context(), user.ID)
				if err != nil {
					t.Fatal(err)
				}
				if want := now.Truncate(time.Microsecond); !stored.LastLoginAt.Equal(want) || !user.LastLoginAt.Equal(want) || !stored.CreatedAt.Equal(want) {
					t.Errorf("times are %v, %v, %v; want %v", stored.LastLoginAt, user.LastLoginAt, stored.CreatedAt, want)
				}
			})
		}
	})
}

// TestUnknownPhoneCostsAHash counts hashes by the memory that they take.
func TestUnknownPhoneCostsAHash(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		large := cheap
		large.Memory = 16 << 10
		s := newService(t, d, large)
		s.options.Hasher.memory = nil // so that no hash uses that of another
		register(t, s, "18866668888")
		for _, test := range []struct {
			name string
			call func() error
			want uint64
		}{
			{"right password", func() error { _, err := s.Login(t.Context(), "18866668888", password); return err }, 1},
			{"wrong password", func() error { _, err := s.Login(t.Context(), "18866668888", "wrong password"); return err }, 1},
			{"unknown phone", func() error { _, err := s.Login(t.Context(), "18866668889", password); return err }, 1},
			{"phone registered already", func() error { return s.Register(t.Context(), Registration{"18866668888", password, "123456"}) }, 0},
			{"wrong code", func() error { return s.Register(t.Context(), Registration{"18866668887", password, "654321"}) }, 0},
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_ = test.call() // whose refusals TestLogin and TestRegister check
			runtime.ReadMemStats(&after)
			if hashes := (after.TotalAlloc - before.TotalAlloc) / uint64(large.Memory<<10); hashes != test.want {
				t.Errorf("%s: %d hashes, want %d", test.name, hashes, test.want)
			}
		}
	})
}

func TestLoginRehashesWhenParametersChange(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		dearer := cheap
		dearer.Iterations = 2
		before, after := newService(t, d, cheap), newService(t, d, dearer)
		register(t, before, "18866668888")
		old := storedHash(t, d)

		_, err := after.Login(t.Context(), "18866668888", "wrong password")
		wantCode(t, err, apperr.WrongPassword)
		if storedHash(t, d) != old {
			t.Fatal("a wrong password has changed the hash")
		}
		_, err = after.Login(t.Context(), "18866668888", password)
		wantCode(t, err, apperr.OK)
		renewed := storedHash(t, d)
		if matches, outdated, err := after.options.Hasher.Matches(t.Context(), password, renewed); !matches || outdated || err != nil {
			t.Fatalf("after the login the hash is %s", renewed)
		}
		_, err = after.Login(t.Context(), "18866668888", password)
		wantCode(t, err, apperr.OK)
		if storedHash(t, d) != renewed {
			t.Error("a hash of today's parameters was made again")
		}
	})
}

func storedHash(t *testing.T, d *database.Database) string {
	t.Helper()
	row, err := d.Queries().GetUserByPhone(t.Context(), "+8618866668888")
	if err != nil {
		t.Fatal(err)
	}
	return row.PasswordHash
}

func TestVisitHome(t *testing.T) {
	const visits = 20
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, d, cheap)
		register(t, s, "18866668888")
		user, err := s.Login(t.Context(), "18866668888", password)
		if err != nil {
			t.Fatal(err)
		}
		var visiting sync.WaitGroup
		for range visits {
			visiting.Go(func() {
				if _, err := s.VisitHome(t.Context(), user.ID); err != nil {
					t.Error(err)
				}
			})
		}
		visiting.Wait()
		if last, err := s.VisitHome(t.Context(), user.ID); err != nil || last.HomeVisits != visits+1 {
			t.Errorf("the last visit is number %d, %v; want %d", last.HomeVisits, err, visits+1)
		}
	})
}

func TestUserWhoIsGone(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newService(t, d, cheap)
		for _, id := range []string{"", uuid.NewString(), "' OR 1=1 --"} {
			_, err := s.Get(t.Context(), id)
			wantCode(t, err, apperr.NotLoggedIn)
			_, err = s.VisitHome(t.Context(), id)
			wantCode(t, err, apperr.NotLoggedIn)
		}
	})
}
