package session

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/seal"
)

const (
	// keyReloadInterval bounds how often tokens with made-up key ids can make a node read the database.
	keyReloadInterval = time.Second
	// keyFollowInterval is how often a node looks for keys that others have made, and whether to make one.
	keyFollowInterval = time.Minute
	// keyPublishDelay is how long a new key is published before it signs, for other nodes and for
	// services that keep the key set. Far longer than either looks away.
	keyPublishDelay = time.Hour
)

var errUnknownKey = errors.New("no such signing key")

// keyring holds the keys that sign access tokens. They lie in the database, sealed with
// the server's secret, so that every node signs and verifies with the same ones.
//
// A key signs from an hour after it was made until the next one does, and verifies until the last
// token that it signed has expired.
type keyring struct {
	database  *database.Database
	seal      cipher.AEAD
	log       *slog.Logger
	now       func() time.Time
	algorithm Algorithm
	lifetime  time.Duration // until a new key is made
	outlives  time.Duration // for which a key is kept when the next one signs

	keys atomic.Pointer[[]*signingKey] // the oldest first

	mu      sync.Mutex
	askedAt time.Time // when a token last had an unknown key
}

func openKeyring(ctx context.Context, options Options) (*keyring, error) {
	sealer, err := seal.New(options.SealKey)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of the signing keys: %w", err)
	}
	k := &keyring{
		database: options.Database, seal: sealer, log: options.Logger, now: options.Now, algorithm: options.Algorithm,
		lifetime: options.SigningKeyLifetime, outlives: tokensGone(options),
	}
	return k, k.update(ctx)
}

// CheckSeal reports if a signing key was sealed with another key than this one.
func CheckSeal(sealKey []byte, id string, sealed []byte) error {
	sealer, err := seal.New(sealKey)
	if err != nil {
		return fmt.Errorf("make the cipher of the signing keys: %w", err)
	}
	_, err = openSealed(sealer, id, sealed)
	return err
}

func openSealed(sealer cipher.AEAD, id string, sealed []byte) ([]byte, error) {
	private, err := sealer.Open(nil, nil, sealed, []byte(id))
	if err != nil {
		return nil, fmt.Errorf("open signing key %s: this database was set up with another secret; "+
			"start with that secret file, or delete the rows of signing_keys and sessions, which logs everybody out", id)
	}
	return private, nil
}

// follow keeps the keys up to date until ctx ends. Its first update makes a key of the algorithm that
// was chosen; later ones don't, since nodes with different algorithms would make keys against each other.
func (k *keyring) follow(ctx context.Context) {
	ticker := time.NewTicker(keyFollowInterval)
	defer ticker.Stop()
	for update := k.adopt; ; update = k.update {
		if err := update(ctx); err != nil && ctx.Err() == nil {
			k.log.WarnContext(ctx, "cannot keep the signing keys up to date; the known ones go on", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// adopt makes a key if the newest is of another algorithm than the chosen one.
func (k *keyring) adopt(ctx context.Context) error {
	if err := k.update(ctx); err != nil {
		return err
	}
	if k.newest().published.Algorithm == k.algorithm {
		return nil
	}
	return k.create(ctx)
}

func (k *keyring) update(ctx context.Context) error {
	if err := k.reload(ctx); err != nil {
		return err
	}
	return k.renew(ctx)
}

// renew makes a key if there is none, or the newest has reached its age. If two nodes do so at once,
// both count.
func (k *keyring) renew(ctx context.Context) error {
	if newest := k.newest(); newest != nil && k.now().Sub(newest.createdAt) < k.lifetime {
		return nil
	}
	return k.create(ctx)
}

func (k *keyring) create(ctx context.Context) error {
	private, err := generateKey(k.algorithm)
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	id := uuid.Must(uuid.NewV7()).String()
	sealed := k.seal.Seal(nil, nil, private, []byte(id))
	err = k.database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.InsertSigningKey(ctx, db.InsertSigningKeyParams{
			ID: id, Sealed: sealed, CreatedAt: database.Timestamp(k.now()), Algorithm: string(k.algorithm),
		})
	})
	if err != nil {
		return fmt.Errorf("insert signing key %s: %w", id, err)
	}
	return k.reload(ctx) // another node may have made one at the same moment
}

func (k *keyring) reload(ctx context.Context) error {
	rows, err := k.database.Queries().ListSigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("list the signing keys: %w", database.Refusal(err))
	}
	keys := make([]*signingKey, len(rows))
	for i, row := range rows {
		private, err := openSealed(k.seal, row.ID, row.Sealed)
		if err != nil {
			return err
		}
		if keys[i], err = newSigningKey(row.ID, Algorithm(row.Algorithm), private, row.CreatedAt); err != nil {
			return fmt.Errorf("read signing key %s: %w", row.ID, err)
		}
	}
	k.keys.Store(&keys)
	return nil
}

// newest returns the key that was made last, nil if there is none.
func (k *keyring) newest() *signingKey {
	keys := *k.keys.Load()
	if len(keys) == 0 {
		return nil
	}
	return keys[len(keys)-1]
}

// signer returns the newest key that has been published for long enough. Where none has, that is
// the oldest, on every node. There is one, unless somebody has just deleted them all.
func (k *keyring) signer() (*signingKey, error) {
	keys, latest := *k.keys.Load(), k.now().Add(-keyPublishDelay)
	if len(keys) == 0 {
		return nil, errUnknownKey
	}
	for _, key := range slices.Backward(keys) {
		if !key.createdAt.After(latest) {
			return key, nil
		}
	}
	return keys[0], nil
}

// verifier returns the key of an id; one that another node made is found in the database.
func (k *keyring) verifier(ctx context.Context, id string) (*signingKey, error) {
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
	return key, nil
}

func (k *keyring) lookup(id string) *signingKey {
	for _, key := range *k.keys.Load() {
		if key.published.ID == id {
			return key
		}
	}
	return nil
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

// deleteRetired removes the keys whose last token has expired, and returns how many.
func (k *keyring) deleteRetired(ctx context.Context, q *db.Queries) (deleted int64, err error) {
	rows, err := q.ListSigningKeys(ctx)
	if err != nil {
		return 0, err
	}
	latest := k.now().Add(-keyPublishDelay - k.outlives)
	for i := 1; i < len(rows) && rows[i].CreatedAt.Before(latest); i++ {
		n, err := q.DeleteSigningKey(ctx, rows[i-1].ID)
		if err != nil {
			return 0, fmt.Errorf("delete signing key %s: %w", rows[i-1].ID, err)
		}
		deleted += n
	}
	return deleted, nil
}

// KeySet returns the keys that access tokens are checked with, the newest first.
func (s *Service) KeySet() []PublicKey {
	keys := *s.keys.keys.Load()
	set := make([]PublicKey, 0, len(keys))
	for _, key := range slices.Backward(keys) {
		set = append(set, key.published)
	}
	return set
}
