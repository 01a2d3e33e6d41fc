package account

import (
	"errors"
	"testing"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/verify"
)

func TestRegister(t *testing.T) {
	tests := []struct {
		name, phone, password string
		wrongCode             bool
		want                  apperr.Code
		wantHashes            int64
	}{
		{"right", "18866668889", password, false, apperr.OK, 1},
		{"registered", phone, password, false, apperr.AlreadyRegistered, 0},
		{"registered, written in another way", "+86 188-6666-8888", password, false, apperr.AlreadyRegistered, 0},
		{"wrong code", "18866668887", password, true, apperr.WrongCode, 0},
		{"registered, but the code is wrong", phone, password, true, apperr.WrongCode, 0},
		{"a common password", "18866668887", "password1", false, apperr.CommonPassword, 0},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		b.register(t, phone)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				code := b.code(t, test.phone, verify.Register)
				if test.wrongCode {
					code = not(code)
				}
				b.wantHashes(t, test.wantHashes, func() {
					wantCode(t, b.Register(t.Context(), Registration{test.phone, test.password, code}, from, nil), test.want)
				})
			})
		}
		wantField(t, b.Register(t.Context(), Registration{"1234", password, "123456"}, from, nil), apperr.InvalidInput, "/phone")
		user, _ := b.login(t, Credentials{Phone: phone, Password: password})
		b.wantActions(t, user.ID, audit.Register, audit.Login)
	})
}

func TestRegistrationUsesItsCodeUpOnlyIfItSucceeds(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		r := Registration{phone, password, b.code(t, phone, verify.Register)}
		errStop := errors.New("stop")
		committed := 0
		err := b.Register(t.Context(), r, from, func(q *db.Queries) error {
			committed++
			_, err := q.GetUserByPhone(t.Context(), new(phoneE164))
			if err == nil {
				t.Error("the user was there before commit ran")
			}
			return errStop
		})
		if !errors.Is(err, errStop) || committed != 1 {
			t.Fatalf("error is %v after %d commits, want that of commit", err, committed)
		}
		_, err = b.FindByPhone(t.Context(), phone)
		wantCode(t, err, apperr.NotRegistered)
		wantCode(t, b.Register(t.Context(), r, from, func(*db.Queries) error { return nil }), apperr.OK)
		wantCode(t, b.Register(t.Context(), r, from, nil), apperr.CodeExpired)
	})
}

func TestRegisterRace(t *testing.T) {
	const rivals = 100
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		r := Registration{phone, password, b.code(t, phone, verify.Register)}
		results := newTally()
		each(rivals, func() { results.add(b.Register(t.Context(), r, from, nil)) })
		lost := results.counts[apperr.AlreadyRegistered] + results.counts[apperr.CodeExpired]
		if results.counts[apperr.OK] != 1 || lost != rivals-1 {
			t.Errorf("results are %v, %v; want one registration", results.counts, results.others)
		}
	})
}

// TestInsertRace lets several register past the look-up and the code at once, so that the index decides.
func TestInsertRace(t *testing.T) {
	const rivals = 6
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(t, d)
		results := newTally()
		each(rivals, func() {
			results.add(d.InTx(t.Context(), func(q *db.Queries) error {
				return b.insert(t.Context(), q, newUser{id: newID(), phone: phoneE164, passwordHash: "hash"}, audit.Register, from)
			}))
		})
		if results.counts[apperr.OK] != 1 || results.counts[apperr.AlreadyRegistered] != rivals-1 {
			t.Errorf("results are %v, %v; want one registration", results.counts, results.others)
		}
	})
}
