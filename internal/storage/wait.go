package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errStalled ends what makes no progress.
var errStalled = fmt.Errorf("%w: no progress", errUnavailable)

// wait ends a context with errStalled if nothing happens for too long. Unlike a deadline, it lets a
// large file take its time.
type wait struct {
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	patience time.Duration
}

// wait starts to wait.
func (s *S3) wait(ctx context.Context) (context.Context, *wait) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(s.patience, func() { cancel(errStalled) })
	return ctx, &wait{cancel: cancel, timer: timer, patience: s.patience}
}

// goOn waits from now on.
func (w *wait) goOn() {
	w.timer.Reset(w.patience)
}

// pause waits for nothing until goOn.
func (w *wait) pause() {
	w.timer.Stop()
}

// end ends the context.
func (w *wait) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// Read is called with every piece that was sent, which is progress.
func (w *wait) Read(sent []byte) (int, error) {
	w.goOn()
	return len(sent), nil
}

// stalled returns errStalled if that is what ended a request, and otherwise its error.
func stalled(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}
