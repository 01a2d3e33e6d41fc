package account

import (
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/session"
	"gatehouse/internal/verify"
)

func (b bench) requestDeletion(t *testing.T, userID string) {
	t.Helper()
	if _, err := b.RequestDeletion(t.Context(), userID, Confirmation{Password: password}, from); err != nil {
		t.Fatal(err)
	}
}

// due returns who is due for erasure.
func (b bench) due(t *testing.T) []string {
	t.Helper()
	ids, err := b.DueForErasure(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestConfirmExport(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		code := b.code(t, phone, verify.Export)
		tests := []struct {
			name string
			Confirmation
			want apperr.Code
		}{
			{"nothing", Confirmation{}, apperr.InvalidInput},
			{"wrong password", Confirmation{Password: "a wrong one"}, apperr.WrongPassword},
			{"password", Confirmation{Password: password}, apperr.OK},
			{"wrong code", Confirmation{Code: not(code)}, apperr.WrongCode},
			{"code", Confirmation{Code: code}, apperr.OK},
			{"used code", Confirmation{Code: code}, apperr.CodeExpired},
			{"code for something else", Confirmation{Code: b.code(t, phone, verify.Delete)}, apperr.CodeExpired},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				wantCode(t, b.ConfirmExport(t.Context(), user.ID, test.Confirmation, from), test.want)
			})
		}
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.LoginFailed, audit.Exported, audit.Exported)
		wantCode(t, b.ConfirmExport(t.Context(), newID(), Confirmation{Password: password}, from), apperr.NotLoggedIn)
	})
}

func TestDeletionAndRestoration(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, opened := b.registered(t)
		_, err := b.RequestDeletion(t.Context(), user.ID, Confirmation{Password: "a wrong one"}, from)
		wantCode(t, err, apperr.WrongPassword)
		b.wantSession(t, opened, true)

		erasedAt, err := b.RequestDeletion(t.Context(), user.ID, Confirmation{Code: b.code(t, phone, verify.Delete)}, from)
		if want := b.now().Add(grace); err != nil || !erasedAt.Equal(want) {
			t.Fatalf("erased at %v, %v; want %v", erasedAt, err, want)
		}
		b.wantSession(t, opened, false)
		b.wantInvisible(t, user.ID)
		code := b.code(t, phone, verify.Register)
		wantCode(t, b.Register(t.Context(), Registration{phone, password, code}, from, nil), apperr.AlreadyRegistered)
		_, err = b.RequestDeletion(t.Context(), user.ID, Confirmation{Password: password}, from)
		wantCode(t, err, apperr.NotLoggedIn)
		wantCode(t, b.ResetPassword(t.Context(), phone, b.code(t, phone, verify.Reset), newPass, from), apperr.OK)
		b.wantInvisible(t, user.ID)

		b.advance(erasedAt.Sub(b.now()) - time.Microsecond)
		if ids := b.due(t); len(ids) != 0 {
			t.Errorf("%v are due within the grace", ids)
		}
		restored, _ := b.login(t, Credentials{Phone: phone, Password: newPass})
		if restored.ID != user.ID || restored.EraseAt != nil {
			t.Errorf("restored is %+v", restored)
		}
		if _, err := b.Get(t.Context(), user.ID); err != nil {
			t.Error(err)
		}
		b.advance(2 * grace)
		if ids := b.due(t); len(ids) != 0 {
			t.Errorf("%v are due after they were restored", ids)
		}
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.LoginFailed, audit.DeletionRequested, audit.PasswordReset,
			audit.Restored, audit.Login)
	})
}

func TestErasure(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		b.requestDeletion(t, user.ID)
		b.advance(grace)
		// From now on nothing restores the user, whether or not anybody has looked who is due.
		wantCode(t, b.try(t, phone, password), apperr.NotRegistered)
		_, _, err := b.Login(t.Context(), Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)}, from)
		wantCode(t, err, apperr.NotRegistered)
		wantCode(t, b.ResetPassword(t.Context(), phone, b.code(t, phone, verify.Reset), newPass, from), apperr.NotRegistered)

		if err := b.Erase(t.Context(), user.ID); err != nil { // nobody has been told of it
			t.Fatal(err)
		}
		for range 2 { // until the user is erased
			if ids := b.due(t); !slices.Equal(ids, []string{user.ID}) {
				t.Errorf("%v are due, want %s", ids, user.ID)
			}
		}
		b.register(t, phone) // is free already
		for range 2 {
			if err := b.Erase(t.Context(), user.ID); err != nil {
				t.Fatal(err)
			}
		}
		if ids := b.due(t); len(ids) != 0 {
			t.Errorf("%v are due after they were erased", ids)
		}
		_, err = anyUser(t.Context(), d.Queries(), user.ID)
		wantCode(t, err, apperr.NotRegistered)
		b.wantActions(t, user.ID)
		if again, _ := b.login(t, Credentials{Phone: phone, Password: password}); again.ID == user.ID {
			t.Error("the erased user has logged in")
		}
	})
}

func TestPhoneIsFreeBeforeTheErasure(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		b.requestDeletion(t, user.ID)
		b.advance(grace)
		b.register(t, phone)
		if ids := b.due(t); !slices.Equal(ids, []string{user.ID}) {
			t.Errorf("%v are due, want %s", ids, user.ID)
		}
	})
}

// TestRestoredOrErased has a node whose clock is behind log a user in while another looks who is due.
func TestRestoredOrErased(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		for range 10 {
			b.requestDeletion(t, user.ID)
			behind := b.node(func(o *Options) { o.Now = func() time.Time { return b.Now().Add(-time.Minute) } })
			b.advance(grace)
			var racing sync.WaitGroup
			var ids []string
			var err error
			racing.Go(func() { ids = b.due(t) })
			racing.Go(func() { err = behind.try(t, phone, password) })
			racing.Wait()
			if restored := err == nil; restored == slices.Contains(ids, user.ID) {
				t.Fatalf("%v are due, and the login ended with %v", ids, err)
			}
			if err != nil {
				wantCode(t, err, apperr.NotRegistered)
				return // the phone is gone
			}
		}
	})
}

// TestLoginWhileDeleted has logins and a deletion run into each other: a session that is left belongs to a
// user who was restored.
func TestLoginWhileDeleted(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d, func(o *Options) { o.Throttle = false })
		user, _ := b.registered(t)
		sessions := make(chan session.Session, 10)
		var racing sync.WaitGroup
		for i := range cap(sessions) {
			if i == cap(sessions)/2 {
				racing.Go(func() {
					_, err := b.RequestDeletion(t.Context(), user.ID, Confirmation{Password: password}, from)
					wantCode(t, err, apperr.OK)
				})
			}
			racing.Go(func() {
				_, opened, err := b.Login(t.Context(), Credentials{Phone: phone, Password: password}, from)
				wantCode(t, err, apperr.OK)
				sessions <- opened
			})
		}
		racing.Wait()
		close(sessions)
		row, err := anyUser(t.Context(), d.Queries(), user.ID)
		if err != nil {
			t.Fatal(err)
		}
		for opened := range sessions {
			_, err := b.options.Sessions.VerifyCookie(t.Context(), b.options.Sessions.Cookie(opened))
			if err == nil && row.EraseAt != nil {
				t.Error("a session of a deleted user is open")
			}
		}
	})
}
