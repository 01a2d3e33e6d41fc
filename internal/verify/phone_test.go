package verify

import (
	"regexp"
	"testing"

	"gatehouse/internal/apperr"
)

// phones are ways to write a number, and what they are in E.164; nothing where that cannot be.
var phones = map[string]string{
	"18866668888":          "+8618866668888",
	"+8618866668888":       "+8618866668888",
	"8618866668888":        "+8618866668888",
	"008618866668888":      "+8618866668888",
	"+86 188 6666 8888":    "+8618866668888",
	"+86 (188) 6666-8888":  "+8618866668888",
	"188-6666-8888":        "+8618866668888",
	" 18866668888 ":        "+8618866668888",
	"１８８６６６６８８８８":          "+8618866668888",
	"+14155552671":         "+14155552671",
	"+44 20 7946 0958":     "+442079460958",
	"+852 5123 4567":       "+85251234567",
	"010-62345678":         "+861062345678",
	"tel:+8618866668888":   "+8618866668888",
	"":                     "",
	"+":                    "",
	"+86":                  "",
	"110":                  "",
	"12345678":             "",
	"1886666888":           "",
	"188666688888":         "",
	"00000000000":          "",
	"+999123456789":        "",
	"phone":                "",
	"18866668888x5":        "",
	"18866668888;ext=5":    "",
	"18866668888\x00":      "",
	"' OR 1=1 --":          "",
	"+8618866668888888888": "",
}

func TestParsePhone(t *testing.T) {
	for raw, want := range phones {
		t.Run(raw, func(t *testing.T) {
			got, err := ParsePhone(raw)
			if got != want || (want == "") != apperr.Is(err, apperr.InvalidInput) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		})
	}
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)

// FuzzParsePhone makes sure that whatever is taken is E.164, and is itself when it is read again.
func FuzzParsePhone(f *testing.F) {
	for raw := range phones {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		phone, err := ParsePhone(raw)
		if err != nil {
			if phone != "" || !apperr.Is(err, apperr.InvalidInput) {
				t.Fatalf("%q is refused with %q, %v", raw, phone, err)
			}
			return
		}
		if !e164.MatchString(phone) {
			t.Fatalf("%q is read as %q", raw, phone)
		}
		if again, err := ParsePhone(phone); again != phone || err != nil {
			t.Fatalf("%q is read as %q, and that as %q, %v", raw, phone, again, err)
		}
	})
}
