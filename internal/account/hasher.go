package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"

	"gatehouse/internal/apperr"
	"gatehouse/internal/threads"
	"gatehouse/internal/trace"
)

// HasherOptions are the cost of a password hash, and how many run at once.
type HasherOptions struct {
	Memory      uint32 // KiB
	Iterations  uint32
	Parallelism uint8
	Concurrency int              // hashes at once; the number of cores is the most that makes sense
	Wait        time.Duration    // how long one waits for its turn before ServerBusy
	Threads     *threads.Threads // may be nil

	ObserveWait func(time.Duration) // is told how long each hash waited for its turn; may be nil
}

// Hasher hashes passwords with argon2id in PHC form, never more at once than allowed,
// so that a flood of logins costs neither memory nor the other requests. It also knows the bcrypt
// hashes of users who were imported.
type Hasher struct {
	params      argon2id.Params
	memory      memory
	turns       *semaphore.Weighted
	threads     *threads.Threads
	wait        time.Duration
	observeWait func(time.Duration)
	decoy       string

	running, waiting atomic.Int64
	hashes, refused  atomic.Int64 // since the start
}

// HasherStats are what a hasher does at this moment, and what it has done since the start.
type HasherStats struct {
	Turns            int // hashes that may run at once
	Running, Waiting int64
	Computed         int64
	Refused          int64 // with ServerBusy
}

// NewHasher returns a hasher, after it tried its parameters on a hash that belongs to nobody.
func NewHasher(options HasherOptions) *Hasher {
	h := &Hasher{
		params: argon2id.Params{
			Memory: options.Memory, Iterations: options.Iterations, Parallelism: options.Parallelism,
			SaltLength: 16, KeyLength: 32,
		},
		memory:      make(memory, options.Concurrency),
		turns:       semaphore.NewWeighted(int64(options.Concurrency)),
		threads:     options.Threads,
		wait:        options.Wait,
		observeWait: options.ObserveWait,
	}
	if h.observeWait == nil {
		h.observeWait = func(time.Duration) {}
	}
	h.decoy = h.memory.hash("nobody's password", h.params)
	return h
}

// Hash returns the hash of a password in PHC form, or ServerBusy.
func (h *Hasher) Hash(ctx context.Context, password string) (_ string, err error) {
	ctx, span := trace.Start(ctx, "hash password")
	defer func() { span.End(err) }()
	if err := h.takeTurn(ctx); err != nil {
		return "", err
	}
	defer h.endTurn()
	return h.memory.hash(normalize(password), h.params), nil
}

// Matches reports whether a password has a hash, and whether that hash was made in another way or with
// other parameters than today's. It returns ServerBusy.
func (h *Hasher) Matches(ctx context.Context, password, hash string) (matches, outdated bool, err error) {
	ctx, span := trace.Start(ctx, "check password")
	defer func() { span.End(err) }()
	if err := h.takeTurn(ctx); err != nil {
		return false, false, err
	}
	defer h.endTurn()
	if isBcrypt(hash) {
		matches, err := matchesBcrypt(password, hash)
		return matches, true, err
	}
	matches, params, err := h.memory.check(normalize(password), hash)
	if err != nil {
		return false, false, fmt.Errorf("read a password hash: %w", err)
	}
	return matches, params != h.params, nil
}

// Waste spends the time of one check on nobody's password.
func (h *Hasher) Waste(ctx context.Context, password string) error {
	_, _, err := h.Matches(ctx, password, h.decoy)
	return err
}

// Stats returns what the hasher does.
func (h *Hasher) Stats() HasherStats {
	return HasherStats{
		Turns: cap(h.memory), Running: h.running.Load(), Waiting: h.waiting.Load(),
		Computed: h.hashes.Load(), Refused: h.refused.Load(),
	}
}

func (h *Hasher) takeTurn(ctx context.Context) (err error) {
	start := time.Now()
	_, span := trace.Start(ctx, "wait for a turn")
	defer func() { span.End(err) }()
	waiting, cancel := context.WithTimeout(ctx, h.wait)
	defer cancel()
	h.threads.Enter()
	if !h.turns.TryAcquire(1) { // a free turn takes no time, which there may be none of
		h.waiting.Add(1)
		err = h.turns.Acquire(waiting, 1)
		h.waiting.Add(-1)
	}
	if err == nil {
		h.observeWait(time.Since(start))
		h.running.Add(1)
		h.hashes.Add(1)
		return nil
	}
	h.threads.Leave()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		h.refused.Add(1)
		return apperr.Later(apperr.ServerBusy, max(h.wait, time.Second), err)
	}
	return err
}

func (h *Hasher) endTurn() {
	h.running.Add(-1)
	h.turns.Release(1)
	h.threads.Leave()
}

func isBcrypt(hash string) bool {
	return strings.HasPrefix(hash, "$2")
}

// matchesBcrypt takes the password as it was sent, as whoever made the hash did.
func matchesBcrypt(password, hash string) (bool, error) {
	switch err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)); {
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read a password hash: %w", err)
	}
	return true, nil
}

// normalize makes the same password of what different keyboards send for the same characters.
func normalize(password string) string {
	return norm.NFC.String(password)
}

var errForeignHash = invalid("/passwordHash", "不是可用的 bcrypt 或 argon2id 哈希", "is no hash of bcrypt or argon2id that this server could check")

const (
	maxHashLength        = 255
	bcryptLength         = 60
	maxBcryptCost        = 15        // about two seconds
	maxForeignMemory     = 128 << 10 // KiB
	maxForeignIterations = 10
)

// CheckHash returns InvalidInput for a hash of another system that can't be checked, or that would take longer
// than others should wait.
func CheckHash(hash string) error {
	if isBcrypt(hash) {
		if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost > maxBcryptCost || len(hash) != bcryptLength {
			return errForeignHash
		}
		return nil
	}
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil || len(hash) > maxHashLength || len(salt) < 8 || len(key) < 16 || // a key of nothing would match everything
		p.Parallelism < 1 || p.Memory > maxForeignMemory || p.Iterations < 1 || p.Iterations > maxForeignIterations {
		return errForeignHash
	}
	return nil
}
