package image

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/semaphore"

	"gatehouse/internal/apperr"
)

// decodes admits what decodes pictures: only so many at once, and only as much memory as they may take
// together. A picture that needs more than all of it gets all of it.
type decodes struct {
	turns  *semaphore.Weighted
	memory *semaphore.Weighted
	most   int64 // bytes
}

func newDecodes(turns int, memory int64) *decodes {
	return &decodes{turns: semaphore.NewWeighted(int64(turns)), memory: semaphore.NewWeighted(memory), most: memory}
}

// errPanic is what a decoder leaves that panics: strangers feed it, and one picture must not end the server.
var errPanic = errors.New("a decoder panicked")

// do runs f, which takes about so many bytes of memory, when its turn comes. The refusal is ServerBusy
// if that takes longer than wait.
func (d *decodes) do(ctx context.Context, wait time.Duration, memory int64, f func() error) (err error) {
	memory = min(max(memory, 1), d.most)
	if err := d.acquire(ctx, wait, memory); err != nil {
		return err
	}
	defer d.turns.Release(1)
	defer d.memory.Release(memory)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
		}
	}()
	return f()
}

func (d *decodes) acquire(ctx context.Context, wait time.Duration, memory int64) error {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := acquire(waiting, d.turns, 1)
	if err == nil {
		if err = acquire(waiting, d.memory, memory); err != nil {
			d.turns.Release(1)
		}
	}
	if err != nil && ctx.Err() == nil {
		return errDecodersBusy
	}
	if err != nil {
		return fmt.Errorf("wait to decode a picture: %w", err)
	}
	return nil
}

// acquire takes what is free even if there is no time to wait.
func acquire(waiting context.Context, of *semaphore.Weighted, n int64) error {
	if of.TryAcquire(n) {
		return nil
	}
	return of.Acquire(waiting, n)
}

// errDecodersBusy says when a client may ask again for what could not be decoded in time.
var errDecodersBusy = apperr.Later(apperr.ServerBusy, 2*time.Second, errors.New("too many pictures are being decoded"))
