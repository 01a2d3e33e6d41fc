// Package seal owns how secrets are encrypted that lie in the database.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

const keyBytes = 32 // AES-256

// New returns what seals and opens with a key of 32 bytes that serves one purpose. Each sealing takes a
// nonce of its own and keeps it with what is sealed, so the nonce to give is nil. What must not be
// exchanged for another sealed value is bound to its name by the additional data.
func New(key []byte) (cipher.AEAD, error) {
	if len(key) != keyBytes {
		return nil, fmt.Errorf("the key has %d bytes, want %d", len(key), keyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
