package image

import (
	"context"
	"errors"
	"fmt"
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
	wait   time.Duration
}

func newDecodes(turns int, memory int64, wait time.Duration) *decodes {
	return &decodes{
		turns: semaphore.NewWeighted(int64(turns)), memory: semaphore.NewWeighted(memory), most: memory, wait: wait,
	}
}

// do runs f, which takes about so many bytes of memory, when its turn comes. The refusal is ServerBusy
// if that takes too long.
func (d *decodes) do(ctx context.Context, memory int64, f func() error) error {
	memory = min(max(memory, 1), d.most)
	if err := d.acquire(ctx, memory); err != nil {
		return err
	}
	defer d.turns.Release(1)
	defer d.memory.Release(memory)
	return f()
}

func (d *decodes) acquire(ctx context.Context, memory int64) error {
	waiting, cancel := context.WithTimeout(ctx, d.wait)
	defer cancel()
	err := d.turns.Acquire(waiting, 1)
	if err == nil {
		if err = d.memory.Acquire(waiting, memory); err != nil {
			d.turns.Release(1)
		}
	}
	if err != nil && ctx.Err() == nil {
		return apperr.Later(apperr.ServerBusy, decodeRetry, errors.New("too many pictures are being decoded"))
	}
	if err != nil {
		return fmt.Errorf("wait to decode a picture: %w", err)
	}
	return nil
}

// decodeRetry is when a client may ask again for what could not be decoded in time.
const decodeRetry = 2 * time.Second
