package session

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is how access tokens are signed, by its name in RFC 7518 and RFC 8037.
type Algorithm string

// The algorithms. ES256 is for services whose libraries lack EdDSA.
const (
	EdDSA Algorithm = "EdDSA"
	ES256 Algorithm = "ES256"
)

// PublicKey is a key that access tokens are checked with, in the words of RFC 7517.
type PublicKey struct {
	ID        string // kid
	Algorithm Algorithm
	Type      string // kty: OKP or EC
	Curve     string // crv: Ed25519 or P-256
	X         string // base64url
	Y         string // base64url; empty for Ed25519
}

// signingKey signs and checks access tokens.
type signingKey struct {
	private   crypto.Signer
	public    crypto.PublicKey
	published PublicKey
	createdAt time.Time
}

func (k *signingKey) method() jwt.SigningMethod {
	return jwt.GetSigningMethod(string(k.published.Algorithm))
}

// generateKey makes the private part of a key: the seed, or the scalar.
func generateKey(algorithm Algorithm) ([]byte, error) {
	switch algorithm {
	case EdDSA:
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		return private.Seed(), nil
	case ES256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return private.Bytes()
	default:
		return nil, fmt.Errorf("unknown algorithm %q", algorithm)
	}
}

// newSigningKey makes a key of what generateKey has made.
func newSigningKey(id string, algorithm Algorithm, private []byte, createdAt time.Time) (*signingKey, error) {
	switch {
	case algorithm == EdDSA && len(private) == ed25519.SeedSize:
		key := ed25519.NewKeyFromSeed(private)
		public := key.Public().(ed25519.PublicKey)
		return &signingKey{key, public, PublicKey{
			ID: id, Algorithm: EdDSA, Type: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(public),
		}, createdAt}, nil
	case algorithm == ES256:
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private)
		if err != nil {
			return nil, err
		}
		point, err := key.PublicKey.Bytes() // 4, x, y
		if err != nil {
			return nil, err
		}
		return &signingKey{key, &key.PublicKey, PublicKey{
			ID: id, Algorithm: ES256, Type: "EC", Curve: "P-256",
			X: base64.RawURLEncoding.EncodeToString(point[1:33]), Y: base64.RawURLEncoding.EncodeToString(point[33:]),
		}, createdAt}, nil
	default:
		return nil, fmt.Errorf("%d bytes are no key of algorithm %q", len(private), algorithm)
	}
}
