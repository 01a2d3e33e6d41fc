package account

import (
	"testing"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/verify"
)

func TestChangePhone(t *testing.T) {
	const taken = "18866667777"
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		b.register(t, taken)
		user, current := b.registered(t)
		ofCurrent, ofNew := b.code(t, phone, verify.ChangePhone), b.code(t, otherPhone, verify.ChangePhone)
		change := func(phone, code, currentCode string) error {
			return b.ChangePhone(t.Context(), current, phone, code, currentCode, from)
		}
		wantField(t, change("1234", ofNew, ofCurrent), apperr.InvalidInput, "/phone")
		wantField(t, change(phone, ofNew, ofCurrent), apperr.InvalidInput, "/phone")
		wantField(t, change(otherPhone, not(ofNew), ofCurrent), apperr.WrongCode, "/code")
		wantField(t, change(otherPhone, ofNew, not(ofCurrent)), apperr.WrongCode, "/currentCode")
		wantCode(t, change(taken, b.code(t, taken, verify.ChangePhone), ofCurrent), apperr.AlreadyRegistered)
		wantCode(t, change(otherPhone, ofNew, ofCurrent), apperr.OK)
		b.wantSession(t, current, true)
		if got, err := b.Get(t.Context(), user.ID); err != nil || got.Phone != "+86"+otherPhone {
			t.Errorf("user is %+v, %v", got, err)
		}
		wantField(t, change(phone, ofNew, ofCurrent), apperr.CodeExpired, "/currentCode")
		wantCode(t, b.try(t, phone, password), apperr.NotRegistered)
		wantCode(t, b.try(t, otherPhone, password), apperr.OK)
		b.wantActions(t, user.ID, audit.Register, audit.Login, audit.PhoneChanged, audit.Login)
	})
}

// TestPhoneRace has two users change to the same phone at once.
func TestPhoneRace(t *testing.T) {
	const free = "18866667777"
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		code := b.code(t, free, verify.ChangePhone)
		results := newTally()
		done := make(chan struct{})
		for _, phone := range []string{phone, otherPhone} {
			b.register(t, phone)
			_, current := b.login(t, Credentials{Phone: phone, Password: password})
			currentCode := b.code(t, phone, verify.ChangePhone)
			go func() {
				results.add(b.ChangePhone(t.Context(), current, free, code, currentCode, from))
				done <- struct{}{}
			}()
		}
		<-done
		<-done
		if results.counts[apperr.OK] != 1 || results.counts[apperr.CodeExpired]+results.counts[apperr.AlreadyRegistered] != 1 {
			t.Errorf("results are %v, %v; want one change", results.counts, results.others)
		}
	})
}
