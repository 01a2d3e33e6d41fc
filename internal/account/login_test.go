package account

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/session"
	"gatehouse/internal/verify"
)

func TestLoginByPassword(t *testing.T) {
	tests := []struct {
		name, phone, password string
		want, wantHidden      apperr.Code
		wantHashes            int64
	}{
		{"right", phone, password, apperr.OK, apperr.OK, 1},
		{"written in another way", "+86 188 6666 8888", password, apperr.OK, apperr.OK, 1},
		{"wrong password", phone, password + "!", apperr.WrongPassword, apperr.WrongPassword, 1},
		{"not registered", otherPhone, password, apperr.NotRegistered, apperr.WrongPassword, 1},
		{"no password", "18866660000", password, apperr.WrongPassword, apperr.WrongPassword, 1},
		{"no phone number", "1234", password, apperr.InvalidInput, apperr.InvalidInput, 0},
		{"neither password nor code", phone, "", apperr.InvalidInput, apperr.InvalidInput, 0},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		b.register(t, phone)
		if _, err := b.Import(t.Context(), Imported{Phone: "18866660000"}); err != nil {
			t.Fatal(err)
		}
		hiding := b.node(func(o *Options) { o.HideRegistered = true })
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				b.wantHashes(t, test.wantHashes, func() { wantCode(t, b.try(t, test.phone, test.password), test.want) })
				b.wantHashes(t, test.wantHashes, func() { wantCode(t, hiding.try(t, test.phone, test.password), test.wantHidden) })
			})
		}
	})
}

func TestLoginIsNoted(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, opened := b.registered(t)
		if user.Phone != phoneE164 || user.Nickname != "用户8888" || !user.HasPassword || opened.UserID != user.ID || opened.RefreshToken == "" {
			t.Errorf("user is %+v, session %+v", user, opened)
		}
		stored, err := b.Get(t.Context(), user.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := b.Now().Truncate(time.Microsecond)
		if !user.LastLoginAt.Equal(want) || !stored.LastLoginAt.Equal(want) || !stored.CreatedAt.Equal(want) {
			t.Errorf("times are %v, %v, %v; want %v", user.LastLoginAt, stored.LastLoginAt, stored.CreatedAt, want)
		}
		b.wantSession(t, opened, true)
		wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.LoginFailed)
	})
}

func TestLoginByCode(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		code := b.code(t, phone, verify.Login)
		b.wantHashes(t, 0, func() {
			_, _, err := b.Login(t.Context(), Credentials{Phone: phone, Code: not(code)}, from)
			wantCode(t, err, apperr.WrongCode)
			again, _ := b.login(t, Credentials{Phone: phone, Code: code})
			if again.ID != user.ID {
				t.Errorf("the code logged %s in, want %s", again.ID, user.ID)
			}
			_, _, err = b.Login(t.Context(), Credentials{Phone: phone, Code: code}, from)
			wantCode(t, err, apperr.CodeExpired)
			_, _, err = b.Login(t.Context(), Credentials{Phone: phone, Code: b.code(t, phone, verify.Reset)}, from)
			wantCode(t, err, apperr.CodeExpired)
		})
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.Login)
	})
}

func TestCodeOfUnknownPhone(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		c := Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)}
		_, _, err := b.Login(t.Context(), c, from)
		wantCode(t, err, apperr.NotRegistered)

		registering := b.node(func(o *Options) { o.RegisterAtLogin = true })
		user, opened := registering.login(t, c) // the refusal left the code usable
		if user.HasPassword || user.Phone != phoneE164 || user.LastLoginAt == nil {
			t.Errorf("user is %+v", user)
		}
		b.wantSession(t, opened, true)
		b.wantActions(t, user.ID, audit.Register, audit.Login)
		wantCode(t, b.try(t, phone, password), apperr.WrongPassword)
		_, _, err = registering.Login(t.Context(), c, from)
		wantCode(t, err, apperr.CodeExpired)
	})
}

func TestRegisterAtLoginRace(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d, func(o *Options) { o.RegisterAtLogin = true })
		c := Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)}
		results := newTally()
		each(20, func() {
			_, _, err := b.Login(t.Context(), c, from)
			results.add(err)
		})
		if results.counts[apperr.OK] != 1 || results.counts[apperr.CodeExpired] != 19 {
			t.Errorf("results are %v, %v; want one login", results.counts, results.others)
		}
	})
}

func TestDisabledUser(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, opened := b.registered(t)
		if err := b.Disable(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		b.wantSession(t, opened, false)
		for range 2 * freePerPhone { // right passwords are no guesses
			wantCode(t, b.try(t, phone, password), apperr.AccountDisabled)
		}
		wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		_, _, err := b.Login(t.Context(), Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)}, from)
		wantCode(t, err, apperr.AccountDisabled)
		wantCode(t, b.ResetPassword(t.Context(), phone, b.code(t, phone, verify.Reset), "correct horse battery", from), apperr.AccountDisabled)
		_, err = b.Seen(t.Context(), user.ID)
		wantCode(t, err, apperr.AccountDisabled)
		if err := b.Enable(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		wantCode(t, b.try(t, phone, password), apperr.OK)
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.Disabled, audit.LoginFailed, audit.Enabled, audit.Login)
	})
}

// TestLoginWhileDisabled has logins and the disabling run into each other: whoever comes last, no session is left.
func TestLoginWhileDisabled(t *testing.T) {
	const logins = 10
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d, func(o *Options) { o.Throttle = false })
		user, _ := b.registered(t)
		sessions := make(chan session.Session, logins)
		var running sync.WaitGroup
		for i := range logins {
			if i == logins/2 {
				running.Go(func() { wantCode(t, b.Disable(t.Context(), user.ID), apperr.OK) })
			}
			running.Go(func() {
				_, opened, err := b.Login(t.Context(), Credentials{Phone: phone, Password: password}, from)
				if err == nil {
					sessions <- opened
				} else if !apperr.Is(err, apperr.AccountDisabled) {
					t.Errorf("error is %v", err)
				}
			})
		}
		running.Wait()
		close(sessions)
		for opened := range sessions {
			b.wantSession(t, opened, false)
		}
	})
}

// TestLoginOfUserWhoHasChanged has something happen between the check of the secret and the login.
func TestLoginOfUserWhoHasChanged(t *testing.T) {
	tests := map[string]func(b bench, id string) error{
		"disabled":         func(b bench, id string) error { return b.Disable(t.Context(), id) },
		"another password": func(b bench, id string) error { return b.SetPassword(t.Context(), id, newPass) },
		"deletion": func(b bench, id string) error {
			_, err := b.ScheduleDeletion(t.Context(), id)
			return err
		},
		"another phone": func(b bench, id string) error {
			return b.options.Database.InTx(t.Context(), func(q *db.Queries) error {
				row, err := q.GetUser(t.Context(), id)
				if err != nil {
					return err
				}
				return b.movePhone(t.Context(), q, row, "+86"+otherPhone, from)
			})
		},
	}
	for name, happens := range tests {
		t.Run(name, func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				b := newBench(t, d)
				user, _ := b.registered(t)
				row, err := b.userByPhone(t.Context(), phoneE164)
				if err != nil {
					t.Fatal(err)
				}
				if err := happens(b, user.ID); err != nil {
					t.Fatal(err)
				}
				_, _, err = b.enter(t.Context(), login{phone: phoneE164, from: from}, row, row.PasswordHash)
				if !errors.Is(err, errChanged) {
					t.Errorf("error is %v, want that the user has changed", err)
				}
			})
		})
	}
}

func TestAbsence(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		name        string
		away        time.Duration
		password    string
		startAfresh bool
		want        apperr.Code
		wantNew     bool
	}{
		{"code, after a while", absentAfter - day, "", false, apperr.OK, false},
		{"starting afresh, after a while", absentAfter - day, "", true, apperr.OK, false},
		{"code", absentAfter + day, "", false, apperr.PasswordRequired, false},
		{"code and password", absentAfter + day, password, false, apperr.OK, false},
		{"code and wrong password", absentAfter + day, "a wrong one", false, apperr.WrongPassword, false},
		{"starting afresh", absentAfter + day, "", true, apperr.OK, true},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				phone := "1886666000" + string(rune('0'+i))
				b.register(t, phone)
				old, opened := b.login(t, Credentials{Phone: phone, Password: password})
				b.advance(test.away)
				c := Credentials{phone, test.password, b.code(t, phone, verify.Login), test.startAfresh}
				user, _, err := b.Login(t.Context(), c, from)
				wantCode(t, err, test.want)
				if test.want == apperr.OK && (user.ID != old.ID) != test.wantNew {
					t.Errorf("user %s is logged in, who was %s", user.ID, old.ID)
				}
				b.wantSession(t, opened, !test.wantNew)
				if !test.wantNew {
					return
				}
				if user.HasPassword {
					t.Error("the new account has a password")
				}
				_, err = b.Get(t.Context(), old.ID)
				wantCode(t, err, apperr.NotLoggedIn)
				wantCode(t, b.try(t, phone, password), apperr.WrongPassword)
				b.wantActions(t, old.ID, audit.Register, audit.Login, audit.LeftBehind)
			})
		}
	})
}

// TestAbsentUserWithoutPassword has no other way than to start afresh.
func TestAbsentUserWithoutPassword(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d, func(o *Options) { o.RegisterAtLogin = true })
		old, _ := b.login(t, Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)})
		b.advance(2 * absentAfter)
		c := Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)}
		_, _, err := b.Login(t.Context(), c, from)
		wantCode(t, err, apperr.PasswordRequired)
		c.Password = password
		_, _, err = b.Login(t.Context(), c, from)
		wantCode(t, err, apperr.WrongPassword)
		c.StartAfresh = true
		if user, _ := b.login(t, c); user.ID == old.ID { // the refusals left the code usable
			t.Error("the old account was handed over")
		}
	})
}

func TestNobodyIsAbsentWithoutTheOption(t *testing.T) {
	b := newBench(t, dbtest.Open(t, ""), func(o *Options) { o.AbsentAfter = 0 })
	b.register(t, phone)
	b.advance(10 * absentAfter)
	b.login(t, Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)})
}

func TestSeenIsNotAbsent(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		for range 3 {
			b.advance(absentAfter - 24*time.Hour)
			if _, err := b.Seen(t.Context(), user.ID); err != nil {
				t.Fatal(err)
			}
		}
		b.login(t, Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)})
	})
}

// TestAbsentUserWhoComesBackIsNotLeftBehind logs in between the decision to leave a user behind and its statement.
func TestAbsentUserWhoComesBackIsNotLeftBehind(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		b.advance(2 * absentAfter)
		old, err := b.userByPhone(t.Context(), phoneE164)
		if err != nil || !b.isAbsent(old) {
			t.Fatalf("user is not absent, %v", err)
		}
		_, opened := b.login(t, Credentials{Phone: phone, Password: password})
		_, _, err = b.startAfresh(t.Context(), login{phone: phoneE164, from: from}, old)
		if !errors.Is(err, errChanged) {
			t.Errorf("error is %v, want that the user has changed", err)
		}
		b.wantSession(t, opened, true)
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.Login)
	})
}

func TestLoginRehashes(t *testing.T) {
	dearer := cheap
	dearer.Iterations = 2
	ofBcrypt, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	ofArgon2, err := NewHasher(cheap).Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d, func(o *Options) { o.Hasher = NewHasher(dearer) })
		for name, old := range map[string]string{
			"18866660001": ofArgon2, "18866660002": string(ofBcrypt),
			"18866660003": strings.Replace(string(ofBcrypt), "$2a$", "$2y$", 1),
			"18866660004": strings.Replace(string(ofBcrypt), "$2a$", "$2b$", 1),
		} {
			if _, err := b.Import(t.Context(), Imported{Phone: name, PasswordHash: old}); err != nil {
				t.Fatal(err)
			}
			wantCode(t, b.try(t, name, "a wrong one"), apperr.WrongPassword)
			if b.storedHash(t, name) != old {
				t.Fatal("a wrong password has changed the hash")
			}
			b.wantHashes(t, 2, func() { wantCode(t, b.try(t, name, password), apperr.OK) })
			renewed := b.storedHash(t, name)
			if matches, outdated, err := b.options.Hasher.Matches(t.Context(), password, renewed); !matches || outdated || err != nil {
				t.Fatalf("after the login the hash is %s", renewed)
			}
			b.wantHashes(t, 1, func() { wantCode(t, b.try(t, name, password), apperr.OK) })
			if b.storedHash(t, name) != renewed {
				t.Error("a hash of today's parameters was made again")
			}
		}
	})
}

func (b bench) storedHash(t *testing.T, phone string) string {
	t.Helper()
	row, err := b.options.Database.Queries().GetUserByPhone(t.Context(), new("+86"+phone))
	if err != nil {
		t.Fatal(err)
	}
	return row.PasswordHash
}

// TestParallelLoginsRehash has several find the old hash at once: all get in, as each decides again.
func TestParallelLoginsRehash(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Import(t.Context(), Imported{Phone: phone, PasswordHash: string(hash)}); err != nil {
			t.Fatal(err)
		}
		results := newTally()
		each(freePerPhone-1, func() { results.add(b.try(t, phone, password)) })
		if results.counts[apperr.OK] != freePerPhone-1 {
			t.Errorf("results are %v, %v", results.counts, results.others)
		}
	})
}
