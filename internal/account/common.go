package account

import (
	"crypto/md5"
	_ "embed"
	"encoding/hex"
	"strings"
	"sync"

	"gatehouse/internal/apperr"
)

// commonList are passwords that many people have, of 8 characters and more, in lower case. They are from the
// list of the 20,000 most common passwords that Royce Williams made and Django distributes, under the licence in
// common-passwords.LICENSE.
//
//go:embed common-passwords.txt
var commonList string

// commonPasswords also holds the MD5 digests of the list in hexadecimal, since some apps send those.
var commonPasswords = sync.OnceValue(func() map[string]struct{} {
	list := strings.Fields(commonList)
	all := make(map[string]struct{}, 2*len(list))
	for _, password := range list {
		digest := md5.Sum([]byte(password))
		all[password] = struct{}{}
		all[hex.EncodeToString(digest[:])] = struct{}{}
	}
	return all
})

// refuseCommon returns CommonPassword, with the field, for a password that is among the first to be guessed.
func refuseCommon(field, password string) error {
	if _, common := commonPasswords()[strings.ToLower(normalize(password))]; !common {
		return nil
	}
	return apperr.New(apperr.CommonPassword, apperr.Detail{Field: field, Reason: apperr.CommonPassword.Text()})
}
