package verify

import (
	"fmt"

	"github.com/nyaruka/phonenumbers"

	"gatehouse/internal/apperr"
)

const defaultRegion = "CN"

var errInvalidPhone = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field:  "/phone",
	Reason: apperr.Text{Chinese: "不是有效的手机号", English: "is not a valid phone number"},
})

// ParsePhone returns a phone number in E.164, read as one of mainland China
// where it names no country. It returns InvalidInput.
func ParsePhone(raw string) (string, error) {
	number, err := phonenumbers.Parse(raw, defaultRegion)
	if err != nil || !phonenumbers.IsValidNumber(number) || number.GetExtension() != "" {
		return "", errInvalidPhone
	}
	return phonenumbers.Format(number, phonenumbers.E164), nil
}

// rangeDigits make a range small enough that to lose one costs few users a code, and large enough
// that the blocks of numbers which fraudsters rent lie in few: of China's mobile numbers, a million
// of one carrier, where four digits would be ten million.
const rangeDigits = 5

// numberRange returns the country code of an E.164 number and the first five digits after it.
func numberRange(phone string) string {
	number, err := phonenumbers.Parse(phone, "")
	if err != nil {
		return phone // not E.164: a range of its own
	}
	national := phonenumbers.GetNationalSignificantNumber(number)
	return fmt.Sprintf("+%d%s", number.GetCountryCode(), national[:min(len(national), rangeDigits)])
}

// mask returns what a log may show of a phone number: its last four digits.
func mask(phone string) string {
	return "…" + phone[max(0, len(phone)-4):]
}
