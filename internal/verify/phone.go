package verify

import (
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
