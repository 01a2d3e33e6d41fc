package certificate

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/lease"
)

const (
	lockTerm = 2 * time.Minute  // far longer than the clocks of nodes may differ
	lockKeep = 20 * time.Second // several times in a term, should the database be away
	lockWait = time.Second      // between two looks at a lock that another holds
)

// heldLock is a lock that this process holds, and keeps until stop is called.
type heldLock struct {
	*lease.Lease
	stop context.CancelFunc
}

// Lock waits until the lock is free, or was left by a node that died, and takes it. It is kept until
// Unlock.
func (s *storage) Lock(ctx context.Context, name string) error {
	l := s.lease(name)
	for {
		taken, err := l.Take(ctx)
		if err != nil {
			return fmt.Errorf("take lock %s: %w", name, err)
		}
		if taken {
			keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
			s.mu.Lock()
			s.held[name] = heldLock{l, stop}
			s.mu.Unlock()
			go s.keepLock(keeping, name, l)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockWait):
		}
	}
}

// lease is by the hash of a name, which has a domain in it and may be long.
func (s *storage) lease(name string) *lease.Lease {
	hash := sha256.Sum256([]byte(name))
	return &lease.Lease{
		Database: s.database, Now: s.now, Term: lockTerm,
		Name: "certificates " + base64.RawURLEncoding.EncodeToString(hash[:]), Holder: uuid.Must(uuid.NewV7()).String(),
	}
}

// keepLock renews the lease until ctx ends or it is lost.
func (s *storage) keepLock(ctx context.Context, name string, l *lease.Lease) {
	ticker := time.NewTicker(s.keep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := l.Renew(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "cannot keep a lock on certificates; another node may do the same work", "lock", name, "error", err)
		}
		if errors.Is(err, lease.ErrLost) {
			return
		}
	}
}

// Unlock frees a lock that Lock took.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	lock, held := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if !held {
		return fmt.Errorf("free lock %s: it is not held", name)
	}
	lock.stop()
	if err := lock.End(ctx); err != nil {
		return fmt.Errorf("free lock %s: %w", name, err)
	}
	return nil
}
