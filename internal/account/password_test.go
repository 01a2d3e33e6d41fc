package account

import (
	"strings"
	"testing"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/verify"
)

const newPass = "correct horse battery"

func TestCommonPasswords(t *testing.T) {
	for password, want := range map[string]bool{
		"12345678": true, "password1": true, "qwertyuiop": true, "1qaz2wsx": true, "woaini1314": true, "iloveyou": true,
		"PassWord1":                        true,
		"ｐassword1":                        false, // another password, though it looks alike
		"25d55ad283aa400af464c76d713c07ad": true,  // MD5 of 12345678
		"25D55AD283AA400AF464C76D713C07AD": true, "demo123456": false, newPass: false, password: false, "": false,
		"7c6a180b36896a0a8c02787eeafb0e4c": true, // MD5 of password1
		"d41d8cd98f00b204e9800998ecf8427e": false,
	} {
		err := refuseCommon("/password", password)
		if want {
			wantField(t, err, apperr.CommonPassword, "/password")
		} else {
			wantCode(t, err, apperr.OK)
		}
	}
	for _, password := range strings.Fields(commonList) {
		if len(password) < 8 || password != strings.ToLower(normalize(password)) {
			t.Errorf("%q can't be found", password)
		}
	}
}

func TestChangePassword(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, current := b.registered(t)
		_, another := b.login(t, Credentials{Phone: phone, Password: password})
		wantField(t, b.ChangePassword(t.Context(), current, password, "password1", from), apperr.CommonPassword, "/newPassword")
		wantCode(t, b.ChangePassword(t.Context(), current, "a wrong one", newPass, from), apperr.WrongPassword)
		b.wantSession(t, another, true)
		wantCode(t, b.ChangePassword(t.Context(), current, password, newPass, from), apperr.OK)
		b.wantSession(t, current, true)
		b.wantSession(t, another, false)
		wantCode(t, b.try(t, phone, password), apperr.WrongPassword)
		wantCode(t, b.try(t, phone, newPass), apperr.OK)
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.Login, audit.LoginFailed, audit.PasswordChanged, audit.LoginFailed, audit.Login)
	})
}

func TestOldPasswordIsGuessedLikeAnyOther(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		_, current := b.registered(t)
		results := newTally()
		b.wantHashes(t, freePerPhone, func() {
			each(20, func() { results.add(b.ChangePassword(t.Context(), current, "a wrong one", newPass, from)) })
		})
		if results.counts[apperr.WrongPassword] != freePerPhone || results.counts[apperr.TooManyFailures] != 20-freePerPhone {
			t.Errorf("results are %v, %v", results.counts, results.others)
		}
		wantCode(t, b.try(t, phone, password), apperr.TooManyFailures)
	})
}

// TestParallelChangesOfPassword lets one of several win, after which the old password is none any more.
func TestParallelChangesOfPassword(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d, func(o *Options) { o.Throttle = false })
		_, current := b.registered(t)
		results := newTally()
		each(8, func() { results.add(b.ChangePassword(t.Context(), current, password, newPass, from)) })
		if results.counts[apperr.OK] != 1 || results.counts[apperr.WrongPassword] != 7 {
			t.Errorf("results are %v, %v; want one change", results.counts, results.others)
		}
	})
}

func TestResetPassword(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		user, current := b.registered(t)
		code := b.code(t, phone, verify.Reset)
		for range freePerPhone {
			wantCode(t, b.try(t, phone, "a wrong one"), apperr.WrongPassword)
		}
		wantField(t, b.ResetPassword(t.Context(), phone, code, "password1", from), apperr.CommonPassword, "/newPassword")
		wantCode(t, b.ResetPassword(t.Context(), phone, not(code), newPass, from), apperr.WrongCode)
		wantCode(t, b.ResetPassword(t.Context(), "1234", code, newPass, from), apperr.InvalidInput)
		wantCode(t, b.ResetPassword(t.Context(), otherPhone, b.code(t, otherPhone, verify.Reset), newPass, from), apperr.NotRegistered)
		wantCode(t, b.ResetPassword(t.Context(), phone, code, newPass, from), apperr.OK)
		wantCode(t, b.ResetPassword(t.Context(), phone, code, password, from), apperr.CodeExpired)
		b.wantSession(t, current, false)
		wantCode(t, b.try(t, phone, newPass), apperr.OK) // although there were failures
		wantCode(t, b.try(t, phone, password), apperr.WrongPassword)

		b.advance(absentAfter + 1)
		wantCode(t, b.ResetPassword(t.Context(), phone, b.code(t, phone, verify.Reset), password, from), apperr.PasswordRequired)
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.LoginFailed, audit.LoginFailed, audit.LoginFailed,
			audit.LoginFailed, audit.LoginFailed, audit.PasswordReset, audit.Login, audit.LoginFailed)
	})
}

func TestUserWithoutPasswordSetsOneByCode(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d, func(o *Options) { o.RegisterAtLogin = true })
		_, current := b.login(t, Credentials{Phone: phone, Code: b.code(t, phone, verify.Login)})
		wantField(t, b.ChangePassword(t.Context(), current, password, newPass, from), apperr.InvalidInput, "/oldPassword")
		wantCode(t, b.ResetPassword(t.Context(), phone, b.code(t, phone, verify.Reset), newPass, from), apperr.OK)
		if user, _ := b.login(t, Credentials{Phone: phone, Password: newPass}); !user.HasPassword {
			t.Error("the user has no password")
		}
	})
}
