package main

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"gatehouse/internal/upload"
)

const (
	cleanInterval  = time.Minute
	reportInterval = time.Hour
)

// The tasks whose last success is a metric.
const (
	taskSweep  = "sweep"
	taskExpire = "expire"
	taskErase  = "erase"
)

// clean removes what has expired and what killed processes left behind, until ctx ends.
func (a *app) clean(ctx context.Context) {
	clean, report := time.NewTicker(cleanInterval), time.NewTicker(reportInterval)
	defer clean.Stop()
	defer report.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clean.C:
			a.sweep(ctx)
			a.deleteExpired(ctx)
			a.eraseUsers(ctx)
		case <-report.C:
			a.log.Info("verification codes since the start", "counts", a.codes.Counts())
		}
	}
}

const (
	restInterval = time.Second
	floodSize    = 1000 // requests that leave enough behind to be worth a collection
	restRate     = 10   // requests in an interval of rest, at most
)

// giveBackMemory returns to the system what a flood of requests has left, once it is over. The collector would keep
// it until there is as much garbage again.
func (a *app) giveBackMemory(ctx context.Context) {
	tick := time.NewTicker(restInterval)
	defer tick.Stop()
	var last, collected int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		answered := a.fronts[0].answered.Load()
		if answered-collected >= floodSize && answered-last <= restRate {
			debug.FreeOSMemory()
			collected = answered
		}
		last = answered
	}
}

// sweep is worth no failed start: what it leaves is taken up by the next one.
func (a *app) sweep(ctx context.Context) {
	err := a.store.Sweep(ctx, a.stored)
	if err != nil && ctx.Err() == nil {
		a.log.Error("sweep unfinished uploads", "error", err)
	}
	a.noteTask(taskSweep, err)
}

func (a *app) noteTask(task string, err error) {
	if err == nil {
		a.metrics.TaskDone(task)
	}
}

// stored reports whether the row of a file is in the database.
func (a *app) stored(ctx context.Context, file string) (bool, error) {
	find := a.images.Stored
	if strings.HasSuffix(file, upload.PieceSuffix) {
		find = a.uploads.Stored
	}
	stored, err := find(ctx, file)
	if err == nil {
		a.log.Info("swept an interrupted upload or deletion", "file", file, "kept", stored)
	}
	return stored, err
}

// deleteExpired removes what is of no more use, each kind for itself: one that fails stops no other.
func (a *app) deleteExpired(ctx context.Context) {
	var failed error
	for what, deleteExpired := range map[string]func(context.Context) (int64, error){
		"sessions": a.sessions.DeleteExpired, "codes": a.codes.DeleteExpired, "failed logins": a.accounts.DeleteExpired,
		"uploads": a.uploads.DeleteExpired, "pictures that nobody has": a.images.SweepBlobs,
		"answers": a.idempotency.DeleteExpired, "events": a.audit.DeleteExpired,
	} {
		deleted, err := deleteExpired(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Error("delete what has expired", "what", what, "error", err)
		}
		failed = errors.Join(failed, err)
		if deleted > 0 {
			a.log.Debug("deleted what has expired", "what", what, "rows", deleted)
		}
	}
	a.noteTask(taskExpire, failed)
}

// adopt cleans the pictures that an older program stored. If some are left, it tries them again until none is.
func (a *app) adopt(ctx context.Context) {
	again := time.NewTicker(cleanInterval)
	defer again.Stop()
	for {
		adopted, err := a.images.Adopt(ctx)
		if adopted > 0 {
			a.log.Info("adopted the pictures of an older program", "pictures", adopted)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		a.log.Error("adopt the pictures of an older program", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

const erasedAtOnce = 100 // users in one round; the others wait for the next

// eraseUsers removes the users whose grace is over: first their pictures, then their rows, so that
// one that is interrupted is taken up again.
func (a *app) eraseUsers(ctx context.Context) {
	due, failed := a.accounts.DueForErasure(ctx, erasedAtOnce)
	if failed != nil && ctx.Err() == nil {
		a.log.Error("find the users to erase", "error", failed)
	}
	for _, id := range due {
		err := errors.Join(a.uploads.DeleteAll(ctx, id), a.images.DeleteAll(ctx, id))
		if err == nil {
			err = a.accounts.Erase(ctx, id)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Error("erase a user", "user", id, "error", err)
		}
		failed = errors.Join(failed, err)
	}
	a.noteTask(taskErase, failed)
}
