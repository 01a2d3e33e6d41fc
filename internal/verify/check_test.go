package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/verify"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name    string
		phone   string
		purpose verify.Purpose
		wrong   bool
		after   time.Duration
		want    apperr.Code
	}{
		{name: "right", phone: phone, purpose: verify.Login},
		{name: "phone written in another way", phone: "188 6666 8888", purpose: verify.Login},
		{name: "just in time", phone: phone, purpose: verify.Login, after: 5*time.Minute - time.Microsecond},
		{name: "too late", phone: phone, purpose: verify.Login, after: 5 * time.Minute, want: apperr.CodeExpired},
		{name: "wrong", phone: phone, purpose: verify.Login, wrong: true, want: apperr.WrongCode},
		{name: "for another purpose, which has a code", phone: phone, purpose: verify.Reset, want: apperr.WrongCode},
		{name: "for another purpose", phone: phone, purpose: verify.Delete, want: apperr.CodeExpired},
		{name: "of another phone", phone: "+8618866668889", purpose: verify.Login, want: apperr.CodeExpired},
		{name: "no phone", phone: "1234", purpose: verify.Login, want: apperr.InvalidInput},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				b := newBench(d)
				reset := b.send(t, verify.Request{Phone: phone, Purpose: verify.Reset, Client: home})
				code := b.sendUnlike(t, reset)
				if test.wrong {
					code = other(code)
				}
				b.clock.advance(test.after)
				_, err := b.Check(t.Context(), test.phone, test.purpose, code)
				wantCode(t, err, test.want)
			})
		})
	}
}

// sendUnlike sends login codes to the phone until one differs from another code, as nearly all do.
func (b bench) sendUnlike(t *testing.T, old string) string {
	t.Helper()
	for {
		if code := b.send(t, login(phone)); code != old {
			return code
		}
		b.clock.advance(time.Minute)
	}
}

func TestOnlyTheHashIsKept(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		code := b.send(t, login(phone))
		row, err := d.Queries().GetVerificationCode(t.Context(), db.GetVerificationCodeParams{Phone: phone, Purpose: "login"})
		if err != nil || bytes.Contains(row.Hash, []byte(code)) || len(row.Hash) != 32 {
			t.Errorf("kept %x, %v", row.Hash, err)
		}
		b.options.Key = bytes.Repeat([]byte{2}, 32)
		_, err = verify.New(b.options).Check(t.Context(), phone, verify.Login, code)
		wantCode(t, err, apperr.WrongCode)
	})
}

func TestFiveTries(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		code := b.send(t, login(phone))
		for range 4 {
			wantCode(t, b.use(t, phone, other(code)), apperr.WrongCode)
		}
		proof, err := b.Check(t.Context(), phone, verify.Login, code) // the fifth
		wantCode(t, err, apperr.OK)
		wantCode(t, b.use(t, phone, code), apperr.CodeExpired) // the sixth
		err = d.InTx(t.Context(), func(q *db.Queries) error { return proof.Use(t.Context(), q) })
		wantCode(t, err, apperr.OK)

		b.clock.advance(time.Minute)
		wantCode(t, b.use(t, phone, b.send(t, login(phone))), apperr.OK) // a new code has its own five
	})
}

// TestParallelGuesses lets a thousand guess at once, on two nodes.
func TestParallelGuesses(t *testing.T) {
	nodes(t, func(t *testing.T, first, second *database.Database) {
		b, services := twice(first, second)
		code := b.send(t, login(phone))
		got := parallel(1000, func(i int) error {
			guess := fmt.Sprintf("%06d", i)
			if guess == code {
				guess = "999999"
			}
			_, err := services[i%2].Check(t.Context(), phone, verify.Login, guess)
			return err
		})
		if got[apperr.WrongCode] != 5 || got[apperr.CodeExpired] != 995 {
			t.Errorf("answers by code are %v, want five wrong ones", got)
		}
		wantCode(t, b.use(t, phone, code), apperr.CodeExpired)
	})
}

func TestUseOnce(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		code := b.send(t, login(phone))
		proof, err := b.Check(t.Context(), phone, verify.Login, code)
		if err != nil {
			t.Fatal(err)
		}
		got := parallel(20, func(int) error {
			return d.InTx(t.Context(), func(q *db.Queries) error { return proof.Use(t.Context(), q) })
		})
		if got[apperr.OK] != 1 || got[apperr.CodeExpired] != 19 {
			t.Errorf("answers by code are %v, want one success", got)
		}
		wantCode(t, b.use(t, phone, code), apperr.CodeExpired)
	})
}

func TestACodeOutlivesWhatIsRefused(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		code := b.send(t, login(phone))
		proof, err := b.Check(t.Context(), phone, verify.Login, code)
		if err != nil {
			t.Fatal(err)
		}
		refused := errors.New("for another reason")
		err = d.InTx(t.Context(), func(q *db.Queries) error {
			return errors.Join(proof.Use(t.Context(), q), refused)
		})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		wantCode(t, b.use(t, phone, code), apperr.OK)
	})
}

func TestANewCodeReplacesTheOld(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d)
		old := b.send(t, login(phone))
		proof, err := b.Check(t.Context(), phone, verify.Login, old)
		if err != nil {
			t.Fatal(err)
		}
		b.clock.advance(time.Minute)
		code := b.sendUnlike(t, old)
		wantCode(t, b.use(t, phone, old), apperr.WrongCode)
		err = d.InTx(t.Context(), func(q *db.Queries) error { return proof.Use(t.Context(), q) })
		wantCode(t, err, apperr.CodeExpired)
		wantCode(t, b.use(t, phone, code), apperr.OK)
	})
}

func TestDevelopmentCode(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		b := newBench(d, func(o *verify.Options) {
			o.AnyPhone, o.Fixed = "123456", map[string]string{phone: "424242"}
		})
		stranger := number(0, 1)
		for range 10 {
			wantCode(t, b.use(t, stranger, "123456"), apperr.OK)
		}
		wantCode(t, b.use(t, stranger, "654321"), apperr.WrongCode)
		if code := b.send(t, login(stranger)); code != "123456" {
			t.Errorf("sent %s", code)
		}
		_, err := b.Send(t.Context(), login(phone))
		wantCode(t, err, apperr.OK)
		wantCode(t, b.use(t, phone, "424242"), apperr.OK)
	})
}

// TestFormOnly registers anybody, but gets nobody into an account.
func TestFormOnly(t *testing.T) {
	b := newBench(dbtest.Open(t, ""), func(o *verify.Options) { o.FormOnly, o.Sender = true, nil })
	registering := verify.Request{Phone: phone, Purpose: verify.Register, Client: home}
	for range 20 {
		sent, err := b.Send(t.Context(), registering)
		if want := (verify.Sent{NextIn: time.Minute, ExpiresIn: 5 * time.Minute}); err != nil || sent != want {
			t.Fatalf("%+v, %v; want %+v", sent, err, want)
		}
	}
	for code, want := range map[string]apperr.Code{
		"000000": apperr.OK, "987654": apperr.OK, "12345": apperr.WrongCode, "1234567": apperr.WrongCode, "12345a": apperr.WrongCode, "": apperr.WrongCode,
	} {
		_, err := b.Check(t.Context(), phone, verify.Register, code)
		wantCode(t, err, want)
	}
	for _, purpose := range []verify.Purpose{verify.Login, verify.Reset, verify.ChangePhone, verify.Delete, verify.Export} {
		_, err := b.Send(t.Context(), verify.Request{Phone: phone, Purpose: purpose, Client: home})
		wantCode(t, err, apperr.SendingFailed)
		_, err = b.Check(t.Context(), phone, purpose, "123456")
		wantCode(t, err, apperr.CodeExpired)
	}
	registering.Phone = "1234"
	_, err := b.Send(t.Context(), registering)
	wantCode(t, err, apperr.InvalidInput)
}
