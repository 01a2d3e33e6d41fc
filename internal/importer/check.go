package importer

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/internal/account"
	"gatehouse/internal/verify"
)

// Reasons to refuse a user. None of them repeats what stands there.
var (
	errNoPhone      = errors.New("has no phone number")
	errTwoPasswords = errors.New("has both a password and a hash of one")
	errDeleted      = errors.New("is deleted")
	errNotUTF8      = errors.New("is not encoded as UTF-8")
	errTime         = errors.New("a time must look like 2026-01-31 12:00:00 or 2026-01-31T12:00:00Z")
)

// dropUnusable forgets a password that no login takes. It reports whether it did.
func (u *User) dropUnusable() bool {
	length := utf8.RuneCountInString(u.Password)
	if u.Password == "" || account.MinPassword <= length && length <= account.MaxPassword {
		return false
	}
	u.Password = ""
	return true
}

// check refuses users that cannot be taken over, and puts the others into our form.
func (u *User) check() error {
	if u.Problem != nil {
		return u.Problem
	}
	if !utf8.ValidString(u.Nickname + u.Password) {
		return errNotUTF8
	}
	if strings.TrimSpace(u.Phone) == "" {
		return errNoPhone
	}
	phone, err := verify.ParsePhone(u.Phone)
	if err != nil {
		return err
	}
	if u.Password != "" && u.PasswordHash != "" {
		return errTwoPasswords
	}
	if u.PasswordHash != "" {
		if err := account.CheckHash(u.PasswordHash); err != nil {
			return err
		}
	}
	u.Phone = phone
	return nil
}

// timeLayouts are those of RFC 3339, PocketBase, PostgreSQL, and without a zone, which is UTC.
var timeLayouts = []string{
	time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05-07", "2006-01-02 15:04:05", "2006-01-02",
}

// parseTime reads a time; an empty one is unknown.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errTime
}
