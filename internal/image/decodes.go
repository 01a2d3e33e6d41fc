package image

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/trace"
)

// decodes admits what decodes pictures: only so many at once, and only as much memory as they may take together. A
// picture that needs more than all of it gets all that may be had.
//
// Heavy work has a lane of its own, which is one turn and a part of the memory narrower than the whole: so light work,
// such as most thumbnails, never waits until something heavy is done. Where there is one turn, light work has another.
type decodes struct {
	all, light, heavy lane
	observe           func(waited, took time.Duration)

	running, waiting      atomic.Int64
	done, failed, refused atomic.Int64 // since the start
}

// lane is what some work may take together.
type lane struct {
	turns, memory *semaphore.Weighted
	most          int64 // bytes
}

func newLane(turns int, memory int64) lane {
	return lane{semaphore.NewWeighted(int64(turns)), semaphore.NewWeighted(memory), memory}
}

// newDecodes takes how many turns there are, and the memory in bytes.
func newDecodes(turns int, memory int64) *decodes {
	heavy := min(turns, max(1, turns-1))
	return &decodes{
		all:   newLane(max(turns, 1+heavy), memory),
		light: newLane(turns, memory),
		heavy: newLane(heavy, memory-memory/lightShare),

		observe: func(waited, took time.Duration) {},
	}
}

const (
	lightShare = 4                      // the part of the memory that heavy work can't have: one in so many
	lightTime  = 250 * time.Millisecond // most of light work
)

// work is what decoding is expected to take.
type work struct {
	memory int64 // bytes
	time   time.Duration
}

// workOf is what it takes to make a variant of a blob, or to check one that does not move if the variant is zero.
func workOf(b blob, v codec.Variant) work {
	return work{codec.DecodeMemory(b.format(), b.width, b.height, v), codec.DecodeTime(b.format(), b.width, b.height, v)}
}

// asHeavy is for work whose time nobody knows before, and for that which nobody waits for.
func (w work) asHeavy() work {
	w.time = max(w.time, lightTime+1)
	return w
}

// laneOf returns the lane of some work, and how much memory it gets there.
func (d *decodes) laneOf(w work) (lane, int64) {
	if w.time <= lightTime && w.memory <= d.all.most-d.heavy.most {
		return d.light, w.memory
	}
	return d.heavy, min(max(w.memory, 1), d.heavy.most)
}

// errPanic is what a decoder leaves that panics: strangers feed it, and one picture must not end the server.
var errPanic = errors.New("a decoder panicked")

// do runs f when the turn of its work comes. The refusal is ServerBusy if that takes longer than wait.
func (d *decodes) do(ctx context.Context, wait time.Duration, w work, f func() error) (err error) {
	asked := time.Now()
	ctx, span := trace.Start(ctx, "decode picture")
	defer func() { span.End(err) }()
	release, err := d.acquire(ctx, wait, w)
	if err != nil {
		return err
	}
	defer release()
	begun := time.Now()
	d.running.Add(1)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
		}
		d.running.Add(-1)
		d.observe(begun.Sub(asked), time.Since(begun))
		if err != nil {
			d.failed.Add(1)
		} else {
			d.done.Add(1)
		}
	}()
	return f()
}

// acquire waits in the work's own lane first: who waits for what all share may be in the way of all.
func (d *decodes) acquire(ctx context.Context, wait time.Duration, w work) (release func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	_, span := trace.Start(ctx, "wait for a turn")
	defer func() { span.End(err) }()
	lane, memory := d.laneOf(w)
	var held []func()
	release = func() {
		for _, release := range held {
			release()
		}
	}
	for _, share := range []struct {
		of *semaphore.Weighted
		n  int64
	}{{lane.turns, 1}, {lane.memory, memory}, {d.all.turns, 1}, {d.all.memory, memory}} {
		if err = acquire(waiting, share.of, share.n); err != nil {
			break
		}
		held = append(held, func() { share.of.Release(share.n) })
	}
	if err == nil {
		return release, nil
	}
	release()
	if ctx.Err() == nil {
		d.refused.Add(1)
		return nil, errDecodersBusy
	}
	return nil, fmt.Errorf("wait to decode a picture: %w", err)
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
