package idempotency

import (
	"context"

	"gatehouse/internal/db"
)

// Once is a request that is to be done once. A nil Once, of a request without a key, does it each time.
type Once struct {
	service *Service
	request Request
}

// Once names a request by its key.
func (s *Service) Once(r Request) *Once {
	return &Once{service: s, request: r}
}

// Do returns the answer of an earlier request with this key, or does what is asked for. When that fails,
// another request may have been faster; then its answer counts.
func (o *Once) Do(ctx context.Context, do func() ([]byte, error)) ([]byte, error) {
	if o == nil {
		return do()
	}
	if answer, found, err := o.service.Find(ctx, o.request); found || err != nil {
		return answer, err
	}
	answer, err := do()
	if err == nil {
		return answer, nil
	}
	if earlier, found, findErr := o.service.Find(ctx, o.request); found || findErr != nil {
		return earlier, findErr
	}
	return nil, err
}

// Commit stores an answer in the transaction that does what is asked for; nil stores none.
type Commit = func(*db.Queries) error

// Commit returns what stores an answer, which must be the one that Do is given.
func (o *Once) Commit(ctx context.Context, answer []byte) Commit {
	if o == nil {
		return nil
	}
	return func(q *db.Queries) error { return o.service.Save(ctx, q, o.request, answer) }
}

// CommitResult is Commit for an answer that is rendered from what the transaction stores. It is rendered
// within the transaction, so render must not ask the database.
func CommitResult[T any](ctx context.Context, o *Once, render func(T) ([]byte, error)) func(*db.Queries, T) error {
	if o == nil {
		return nil
	}
	return func(q *db.Queries, result T) error {
		answer, err := render(result)
		if err != nil {
			return err
		}
		return o.service.Save(ctx, q, o.request, answer)
	}
}
