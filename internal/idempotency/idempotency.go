// Package idempotency owns the answers of requests that were done already: a request that is sent
// again with the same key is answered as it was the first time, for 24 hours, on every node.
//
// The answer is stored in the transaction of the effect, as its first statement, so there is never one
// without the other. Of two requests with one key, the second waits in Save until the first has
// committed, and is then told ErrStored; its transaction is rolled back, and Find has the answer of
// the first. A request that fails stores nothing, and may be tried again.
//
// Once does these steps in their order.
//
// Answers bear tokens and requests bear passwords, so the answers are sealed, and of a request only
// keyed hashes are kept.
package idempotency

import (
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/seal"
)

// ErrStored is Save's error if a request with this key has stored its answer already.
var ErrStored = errors.New("the answer of an earlier request with this key is stored")

var errKeyReused = apperr.New(apperr.IdempotencyKeyReused)

// lifetime is how long an answer is repeated.
const lifetime = 24 * time.Hour

// maxAnswer is the length of the longest answer, in bytes: that of a thousand uploaded pictures is shorter.
const maxAnswer = 4 << 20

// Request is what is done only once.
type Request struct {
	Operation   string   // the operationId
	Caller      string   // the id of the user; empty if nobody is logged in
	Key         string   // what the client calls the request
	Fingerprint [32]byte // a hash of what is asked for
}

// Options are what a Service stands on.
type Options struct {
	Database *database.Database
	Now      func() time.Time
	Key      []byte // 32 bytes that serve nothing else
}

// Service keeps the answers.
type Service struct {
	database *database.Database
	now      func() time.Time
	key      []byte
	seal     cipher.AEAD
}

// New returns the service of answers. Its error is a key of a wrong length.
func New(o Options) (*Service, error) {
	if len(o.Key) != sha256.Size {
		return nil, fmt.Errorf("the key of the answers has %d bytes, want %d", len(o.Key), sha256.Size)
	}
	s := &Service{database: o.Database, now: o.Now, key: o.Key}
	var err error
	if s.seal, err = seal.New(s.hash("seal")); err != nil {
		return nil, fmt.Errorf("read the key of the answers: %w", err)
	}
	return s, nil
}

// Find returns the answer of an earlier request with this key. Its refusal is IdempotencyKeyReused if
// that request asked for something else.
func (s *Service) Find(ctx context.Context, r Request) (answer []byte, found bool, err error) {
	hash := s.requestHash(r)
	row, err := s.database.Queries().GetIdempotentAnswer(ctx, db.GetIdempotentAnswerParams{
		Hash: hash, Now: database.Timestamp(s.now()),
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("find the answer of %s: %w", r.Operation, database.Refusal(err))
	}
	fingerprint := s.fingerprintHash(hash, r)
	if !hmac.Equal(row.Fingerprint, fingerprint) {
		return nil, false, errKeyReused
	}
	answer, err = s.seal.Open(nil, nil, row.Answer, fingerprint)
	if err != nil {
		return nil, false, fmt.Errorf("unseal the answer of %s: %w", r.Operation, err)
	}
	return answer, true, nil
}

// Save stores the answer of a request. It is the first statement of the transaction that does what is
// asked for, so that a second request waits before it does anything. Its error is ErrStored if there
// is an answer already, also one to another request with this key; the transaction must then be
// rolled back.
func (s *Service) Save(ctx context.Context, q *db.Queries, r Request, answer []byte) error {
	if len(answer) > maxAnswer {
		return fmt.Errorf("the answer of %s has %d bytes, more than %d", r.Operation, len(answer), maxAnswer)
	}
	now := database.Timestamp(s.now())
	hash := s.requestHash(r)
	fingerprint := s.fingerprintHash(hash, r)
	err := insert(ctx, q, now, db.InsertIdempotentAnswerParams{
		Hash: hash, Fingerprint: fingerprint,
		Answer: s.seal.Seal(nil, nil, answer, fingerprint), ExpiresAt: now.Add(lifetime),
	})
	if err != nil {
		return fmt.Errorf("save the answer of %s: %w", r.Operation, err)
	}
	return nil
}

// insert first tries to take the place of an answer that has expired and is not deleted yet. The other
// way round, MySQL would let all the requests with one key share a lock after the duplicate, and then
// find them in a deadlock when they ask for the row.
func insert(ctx context.Context, q *db.Queries, now time.Time, row db.InsertIdempotentAnswerParams) error {
	replaced, err := q.ReplaceExpiredIdempotentAnswer(ctx, db.ReplaceExpiredIdempotentAnswerParams{
		Hash: row.Hash, Fingerprint: row.Fingerprint, Answer: row.Answer, ExpiresAt: row.ExpiresAt, Now: now,
	})
	if err != nil || replaced > 0 {
		return err
	}
	err = q.InsertIdempotentAnswer(ctx, row)
	if database.IsDuplicate(err) {
		return ErrStored // which does not wrap it: callers would take it for a duplicate of their own
	}
	return err
}

// DeleteExpired removes the answers that are no longer repeated, and returns how many.
func (s *Service) DeleteExpired(ctx context.Context) (int64, error) {
	var deleted int64
	err := s.database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		deleted, err = q.DeleteExpiredIdempotentAnswers(ctx, database.Timestamp(s.now()))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete expired answers: %w", err)
	}
	return deleted, nil
}

// requestHash identifies a request.
func (s *Service) requestHash(r Request) []byte {
	return s.hash("request", r.Operation, r.Caller, r.Key)
}

// fingerprintHash is for one request only. It is keyed because what is asked for may be guessed: a
// registration has a phone, a code and a password.
func (s *Service) fingerprintHash(requestHash []byte, r Request) []byte {
	return s.hash("fingerprint", string(requestHash), string(r.Fingerprint[:]))
}

// hash is keyed, and depends on where each part ends.
func (s *Service) hash(parts ...string) []byte {
	h := hmac.New(sha256.New, s.key)
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}
