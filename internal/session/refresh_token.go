package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/google/uuid"
)

// A refresh token is the session's id, a generation and a secret.
const (
	idBytes           = 16
	generationBytes   = 4
	refreshTokenBytes = idBytes + generationBytes + sha256.Size
)

var errNoRefreshToken = errors.New("not the form of a refresh token")

// refreshToken gets the next access token of its session, and the next refresh token. The secret of
// a session's first one is random; each following one is computed from the one before. So a rotation
// has one outcome, however often and on whichever node it is asked for, and a token of old can be
// told from one that somebody made up, though nothing is kept but the hash of the newest.
type refreshToken [refreshTokenBytes]byte

// refreshTokenEncoding is strict, so that a token has one form only.
var refreshTokenEncoding = base64.RawURLEncoding.Strict()

func newRefreshToken(sessionID uuid.UUID) refreshToken {
	var t refreshToken
	copy(t[:], sessionID[:])
	rand.Read(t[idBytes+generationBytes:]) // never fails
	return t
}

func parseRefreshToken(text string) (refreshToken, error) {
	var t refreshToken
	if len(text) != refreshTokenEncoding.EncodedLen(refreshTokenBytes) {
		return refreshToken{}, errNoRefreshToken
	}
	if n, err := refreshTokenEncoding.Decode(t[:], []byte(text)); err != nil || n != refreshTokenBytes {
		return refreshToken{}, errNoRefreshToken
	}
	return t, nil
}

func (t refreshToken) String() string { return refreshTokenEncoding.EncodeToString(t[:]) }

func (t refreshToken) sessionID() string { return uuid.UUID(t[:idBytes]).String() }

func (t refreshToken) generation() uint32 { return binary.BigEndian.Uint32(t[idBytes:]) }

// hash needs no salt and no cost: the secret is 256 random bits.
func (t refreshToken) hash() []byte {
	hash := sha256.Sum256(t[:])
	return hash[:]
}

// forward returns the token of a later generation.
func (t refreshToken) forward(key []byte, generation uint32) refreshToken {
	mac := hmac.New(sha256.New, key)
	for g := t.generation(); g < generation; g++ {
		mac.Reset()
		mac.Write(t[:])
		mac.Sum(t[:idBytes+generationBytes])
		binary.BigEndian.PutUint32(t[idBytes:], g+1)
	}
	return t
}
