package account

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/verify"
)

func TestAdministration(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, opened := b.registered(t)
		if err := b.LogoutEverywhere(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		b.wantSession(t, opened, false)

		for range freePerPhone {
			wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		}
		wantCode(t, b.SetPassword(t.Context(), user.ID, "password1"), apperr.CommonPassword)
		wantCode(t, b.SetPassword(t.Context(), user.ID, newPass), apperr.OK)
		_, opened = b.login(t, Credentials{Phone: phone, Password: newPass})

		erasedAt, err := b.ScheduleDeletion(t.Context(), user.ID)
		if want := b.now().Add(grace); err != nil || !erasedAt.Equal(want) {
			t.Errorf("erased at %v, %v; want %v", erasedAt, err, want)
		}
		b.wantSession(t, opened, false)
		b.wantInvisible(t, user.ID)
		b.advance(time.Hour)
		if again, err := b.ScheduleDeletion(t.Context(), user.ID); err != nil || !again.Equal(erasedAt) {
			t.Errorf("erased at %v, %v; want %v", again, err, erasedAt)
		}
		if found, err := b.FindByPhone(t.Context(), "+86 188 6666 8888"); err != nil || found.ID != user.ID || found.EraseAt == nil {
			t.Errorf("found is %+v, %v", found, err)
		}
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.SessionEnded, audit.LoginFailed, audit.LoginFailed, audit.LoginFailed,
			audit.LoginFailed, audit.LoginFailed, audit.PasswordChanged, audit.Login, audit.DeletionRequested)
	})
}

func TestErasureIsBroughtForward(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, _ := b.registered(t)
		b.requestDeletion(t, user.ID)
		b.advance(time.Hour)
		now := b.node(func(o *Options) { o.Grace = 0 })
		if erasedAt, err := now.ScheduleDeletion(t.Context(), user.ID); err != nil || !erasedAt.Equal(b.now()) {
			t.Errorf("erased at %v, %v; want now", erasedAt, err)
		}
		if ids := b.due(t); len(ids) != 1 || ids[0] != user.ID {
			t.Errorf("%v are due, want %s", ids, user.ID)
		}
	})
}

func TestAdministrationOfUnknownUsers(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		id := newID()
		_, err := b.FindByPhone(t.Context(), phone)
		wantCode(t, err, apperr.NotRegistered)
		wantCode(t, b.Disable(t.Context(), id), apperr.NotRegistered)
		wantCode(t, b.Enable(t.Context(), id), apperr.NotRegistered)
		wantCode(t, b.LogoutEverywhere(t.Context(), id), apperr.NotRegistered)
		wantCode(t, b.SetPassword(t.Context(), id, newPass), apperr.NotRegistered)
		_, err = b.ScheduleDeletion(t.Context(), id)
		wantCode(t, err, apperr.NotRegistered)
	})
}

func TestUserWhoWasLeftBehindCanBeErased(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		old, _ := b.registered(t)
		b.advance(2 * absentAfter)
		b.login(t, Credentials{Phone: phone, Code: b.code(t, phone, verify.Login), StartAfresh: true})
		wantCode(t, b.SetPassword(t.Context(), old.ID, newPass), apperr.OK)
		if _, err := b.ScheduleDeletion(t.Context(), old.ID); err != nil {
			t.Fatal(err)
		}
		b.advance(grace)
		if ids := b.due(t); len(ids) != 1 || ids[0] != old.ID {
			t.Errorf("%v are due, want %s", ids, old.ID)
		}
	})
}

func TestList(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		phones := []string{"18866660001", "18866660002", "18866660003"}
		for _, phone := range phones {
			b.register(t, phone)
		}
		var listed []string
		for after := ""; ; {
			users, err := b.List(t.Context(), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(users) == 0 {
				break
			}
			for _, user := range users {
				listed = append(listed, strings.TrimPrefix(user.Phone, "+86"))
				after = user.ID
			}
		}
		if strings.Join(listed, " ") != strings.Join(phones, " ") {
			t.Errorf("listed are %v, want %v", listed, phones)
		}
	})
}

func TestImport(t *testing.T) {
	createdAt := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	id := uuid.NewString()
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		got, err := b.Import(t.Context(), Imported{ID: id, Phone: phone, Password: "1234", Nickname: "小明", CreatedAt: createdAt})
		if err != nil || got != id {
			t.Fatalf("imported is %s, %v; want %s", got, err, id)
		}
		user, _ := b.login(t, Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)}) // is not absent
		if user.ID != id || user.Nickname != "小明" || !user.CreatedAt.Equal(createdAt) || !user.HasPassword {
			t.Errorf("user is %+v", user)
		}
		wantCode(t, b.try(t, phone, "1234"), apperr.OK)
		_, err = b.Import(t.Context(), Imported{Phone: phone, Password: password})
		wantCode(t, err, apperr.AlreadyRegistered)

		_, err = b.Import(t.Context(), Imported{Phone: otherPhone, Nickname: strings.Repeat("名", 100), CreatedAt: createdAt, LastSeenAt: createdAt})
		wantCode(t, err, apperr.OK)
		if found, err := b.FindByPhone(t.Context(), otherPhone); err != nil || found.HasPassword || len([]rune(found.Nickname)) != maxNickname {
			t.Errorf("found is %+v, %v", found, err)
		}
		_, _, err = b.Login(t.Context(), Credentials{Phone: otherPhone, Code: b.code(t, otherPhone, verify.Login)}, from)
		wantCode(t, err, apperr.PasswordRequired)
		b.wantActions(t, id, audit.Imported, audit.Login, audit.Login)
	})
}

func TestImportRefuses(t *testing.T) {
	b := newBench(t, dbtest.Open(t, ""))
	const salt, key = "c29tZXNhbHRzb21lc2FsdA", "GpZ3sK/oH9p7VIiV56G/64Zo/8GaUw434IimaPqxwCo"
	argon2 := func(params, salt, key string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + key }
	for hash, want := range map[string]apperr.Code{
		argon2("m=64,t=1,p=1", salt, key):            apperr.OK,
		"cleartext":                                  apperr.InvalidInput,
		"25d55ad283aa400af464c76d713c07ad":           apperr.InvalidInput,
		"$2a$10$short":                               apperr.InvalidInput,
		"$2a$31$" + strings.Repeat("a", 53):          apperr.InvalidInput,
		"$2a$10$" + strings.Repeat("a", 54):          apperr.InvalidInput,
		argon2("m=99999999,t=1,p=1", salt, key):      apperr.InvalidInput,
		argon2("m=64,t=99999,p=1", salt, key):        apperr.InvalidInput,
		argon2("m=64,t=0,p=1", salt, key):            apperr.InvalidInput,
		argon2("m=64,t=1,p=0", salt, key):            apperr.InvalidInput,
		argon2("m=64,t=1,p=1", salt, ""):             apperr.InvalidInput,
		argon2("m=64,t=1,p=1", "", key):              apperr.InvalidInput,
		argon2("m=64,t=1,p=1", salt, key+"\x00\x00"): apperr.InvalidInput,
	} {
		_, err := b.Import(t.Context(), Imported{Phone: phone, PasswordHash: hash})
		wantCode(t, err, want)
	}
	for _, id := range []string{"42", strings.ToUpper(uuid.NewString())[:35], "{" + uuid.NewString() + "}"} {
		_, err := b.Import(t.Context(), Imported{ID: id, Phone: otherPhone})
		wantField(t, err, apperr.InvalidInput, "/id")
	}
	_, err := b.Import(t.Context(), Imported{Phone: "1234"})
	wantField(t, err, apperr.InvalidInput, "/phone")
}
