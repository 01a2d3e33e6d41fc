package idempotency

import (
	"context"

	"gatehouse/internal/db"
)

// Once is a request that is to be done once. A nil Once, of a request without a key, does it each time.
type Once struct {
	service *Service
	request Request
	saved   []byte // the answer that was last handed to Save
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
	_, err := do()
	if err == nil {
		return o.saved, nil
	}
	if earlier, found, findErr := o.service.Find(ctx, o.request); found || findErr != nil {
		return earlier, findErr
	}
	return nil, err
}

// Commit returns what stores an answer, for the transaction that does what is asked for.
func (o *Once) Commit(ctx context.Context, answer []byte) func(*db.Queries) error {
	if o == nil {
		return nil
	}
	return func(q *db.Queries) error { return o.save(ctx, q, answer) }
}

// CommitResult is Commit for an answer that is rendered from what the transaction gives.
func CommitResult[T any](ctx context.Context, o *Once, render func(T) ([]byte, error)) func(*db.Queries, T) error {
	if o == nil {
		return nil
	}
	return func(q *db.Queries, result T) error {
		answer, err := render(result)
		if err != nil {
			return err
		}
		return o.save(ctx, q, answer)
	}
}

// save keeps the answer too, since one that is rendered again may differ: it bears times and new tokens.
func (o *Once) save(ctx context.Context, q *db.Queries, answer []byte) error {
	o.saved = answer
	return o.service.Save(ctx, q, o.request, answer)
}
