package session

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// keyReloadInterval bounds how often tokens with made-up key ids can make a node read the database.
const keyReloadInterval = time.Second

var errUnknownKey = errors.New("no such signing key")

// keyring holds the keys that sign access tokens. They lie in the database, sealed with
// the server's secret, so that every node signs and verifies with the same ones.
type keyring struct {
	database *database.Database
	seal     cipher.AEAD
	now      func() time.Time

	mu      sync.RWMutex
	keys    map[string]ed25519.PrivateKey
	newest  string
	askedAt time.Time // when a token last had an unknown key
}

func openKeyring(ctx context.Context, d *database.Database, sealKey []byte, now func() time.Time) (*keyring, error) {
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of the signing keys: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of the signing keys: %w", err)
	}
	k := &keyring{database: d, seal: seal, now: now}
	if err := k.reload(ctx); err != nil {
		return nil, err
	}
	if k.newest != "" {
		return k, nil
	}
	if err := k.create(ctx); err != nil {
		return nil, err
	}
	// Read back: another node may have made one at the same moment, and both count.
	return k, k.reload(ctx)
}

func (k *keyring) create(ctx context.Context) error {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	id := uuid.Must(uuid.NewV7()).String()
	sealed := k.seal.Seal(nil, nil, private.Seed(), []byte(id))
	err = k.database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.InsertSigningKey(ctx, db.InsertSigningKeyParams{
			ID: id, Sealed: sealed, CreatedAt: database.Timestamp(k.now()),
		})
	})
	if err != nil {
		return fmt.Errorf("insert signing key %s: %w", id, err)
	}
	return nil
}

func (k *keyring) reload(ctx context.Context) error {
	rows, err := k.database.Queries().ListSigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("list the signing keys: %w", database.Refusal(err))
	}
	keys := make(map[string]ed25519.PrivateKey, len(rows))
	newest := ""
	for _, row := range rows { // by id, which is by age
		seed, err := k.seal.Open(nil, nil, row.Sealed, []byte(row.ID))
		if err != nil {
			return fmt.Errorf("open signing key %s: this database was set up with another secret; "+
				"start with that secret file, or delete the rows of signing_keys, which logs everybody out", row.ID)
		}
		keys[row.ID] = ed25519.NewKeyFromSeed(seed)
		newest = row.ID
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.newest = keys, newest
	return nil
}

func (k *keyring) signer() (id string, key ed25519.PrivateKey) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.newest, k.keys[k.newest]
}

// verifier returns the public key of an id; one that another node made is found in the database.
func (k *keyring) verifier(ctx context.Context, id string) (ed25519.PublicKey, error) {
	key := k.lookup(id)
	if key == nil && k.mayAsk() {
		if err := k.reload(ctx); err != nil {
			return nil, err
		}
		key = k.lookup(id)
	}
	if key == nil {
		return nil, errUnknownKey
	}
	return key.Public().(ed25519.PublicKey), nil
}

func (k *keyring) lookup(id string) ed25519.PrivateKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[id]
}

// mayAsk reports whether the database may be asked for an unknown key. The keys read at the start
// don't count: another node may make its first key a moment later.
func (k *keyring) mayAsk() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if now.Sub(k.askedAt) < keyReloadInterval {
		return false
	}
	k.askedAt = now
	return true
}
