package inventory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/image"
	"gatehouse/internal/progress"
)

const (
	// maxRounds ends a move that never catches up with what servers still store at the old place.
	maxRounds = 10
	// commitMargin is how long before its commit a row may have been made, also by a server whose clock is slow.
	commitMargin = 10 * time.Minute
	// maxFailures is how many files may be missing or damaged before the whole move is doubtful.
	maxFailures = 1000
)

// ErrSamePlace means that there is nothing to move, and nothing was done.
var ErrSamePlace = errors.New("both storages are the same place")

var errDoubtful = fmt.Errorf("%d files are missing or damaged: is the old storage the right one?", maxFailures)

// Moved is what a move has done.
type Moved struct {
	Copied      int64
	CopiedBytes int64
	There       int64 // files that were at the new place already
	Removed     int64 // files from the old place
	Deleted     int64 // files whose pictures were deleted meanwhile
	Failed      int64 // files that are missing or damaged
	Left        int64 // files that are still at the old place; only known if they were to be removed
	Settled     bool  // the last round found nothing new
}

// move is a move under way.
type move struct {
	*Inventory
	remove   bool
	later    bool // than the first round
	progress *progress.Progress

	mu     sync.Mutex
	result Moved
	failed map[string]bool
}

// Move copies every file that has a row from the fallback to the shelf of the store, and removes it from
// the fallback if that is wanted, once its copy was read and compared. It goes on until a round finds
// nothing new. A file that is missing or damaged is a finding. If the storage or the database fails, the
// move ends, and another one goes on.
//
// Nothing is lost, whatever happens at the same time: only what was verified on the shelf, and still has
// its row then, is removed. A deletion that came before that is finished at both places; one that comes
// later finds the copy, if the server knows the shelf. So remove is only for servers that do.
func (i *Inventory) Move(ctx context.Context, remove bool) (Moved, error) {
	m := &move{Inventory: i, remove: remove, failed: make(map[string]bool)}
	if err := m.checkPlaces(ctx); err != nil {
		return Moved{}, err
	}
	if err := i.Store.Sweep(ctx, i.Stored); err != nil { // what a move left that was killed
		return Moved{}, err
	}
	err := m.rounds(ctx)
	if err == nil && remove {
		err = m.countLeft(ctx)
	}
	return m.result, err
}

// checkPlaces puts a file to the new place and looks for it at the old one: two names of the same place
// must not make a move remove what it has just found there.
func (m *move) checkPlaces(ctx context.Context) error {
	for _, shelf := range m.shelves() {
		if err := shelf.Check(ctx); err != nil {
			return fmt.Errorf("reach the storage: %w", err)
		}
	}
	name := strings.ToLower(rand.Text())
	batch := m.Store.NewBatch()
	defer batch.Discard(ctx)
	probe, err := batch.Create(name)
	if err != nil {
		return err
	}
	_, err = probe.WriteString("gatehouse storage move\n")
	if err := errors.Join(err, probe.Close()); err != nil {
		return err
	}
	if err := batch.Place(ctx); err != nil {
		return fmt.Errorf("write to the new storage: %w", err)
	}
	_, err = m.Fallback.Stat(ctx, name)
	if err == nil {
		return ErrSamePlace
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return batch.Discard(ctx)
}

// rounds goes through all rows, and then through the new ones until there are none.
func (m *move) rounds(ctx context.Context) error {
	total, err := m.countStoredFiles(ctx)
	var since time.Time
	for round := 0; err == nil && !m.result.Settled && round < maxRounds; round++ {
		began, copied := m.Now(), m.result.Copied
		m.progress = progress.Start(m.Output, "went through", total)
		err = each(ctx, m.storedFiles(since), m.take)
		m.progress.Stop()
		m.result.Settled = err == nil && m.result.Copied == copied
		since, total, m.later = began.Add(-commitMargin), 0, true
	}
	return err
}

// take moves a file.
func (m *move) take(ctx context.Context, f image.StoredFile) error {
	defer m.progress.Add(f.Bytes)
	if m.hasFailed(f.Name) {
		return nil
	}
	there, err := m.isThere(ctx, f)
	if err != nil {
		return fmt.Errorf("look for file %s: %w", f.Name, err)
	}
	if there {
		m.note(func(r *Moved) {
			if !m.later { // or else it was counted
				r.There++
			}
		})
		return nil
	}
	marked, err := m.Store.Mark(f.Name) // it may be deleted at the old place only, while it is copied
	if err != nil {
		return err
	}
	problem, failure := m.bring(ctx, f)
	kept, err := finish(ctx, marked, m.hasRow)
	switch err := errors.Join(failure, err); {
	case err != nil:
		return fmt.Errorf("move file %s: %w", f.Name, err)
	case !kept:
		m.note(func(r *Moved) { r.Deleted++ })
		return nil
	case problem != nil:
		return m.fail(ctx, f, problem)
	}
	return m.removeOld(ctx, f)
}

func (m *move) note(count func(*Moved)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	count(&m.result)
}

// isThere reports whether nothing is left to do. It reads nothing, so that a second move is quick.
func (m *move) isThere(ctx context.Context, f image.StoredFile) (bool, error) {
	there, err := m.Shelf.Stat(ctx, f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || there.Size != f.Bytes {
		return false, err
	}
	if !m.remove {
		return true, nil
	}
	_, err = m.Fallback.Stat(ctx, f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}

// bring sees to it that the file is at the new place, whole. The problem is what is wrong with the file
// at both places; then it stays where it is.
func (m *move) bring(ctx context.Context, f image.StoredFile) (problem, err error) {
	problem, err = fault(verify(ctx, m.Shelf, f))
	if problem == nil || err != nil {
		return nil, err
	}
	if !errors.Is(problem, fs.ErrNotExist) { // something has cut or changed the copy
		if atOld, err := fault(verify(ctx, m.Fallback, f)); atOld != nil || err != nil {
			return problem, err
		}
		if err := m.Shelf.Remove(ctx, f.Name); err != nil {
			return nil, err
		}
	}
	return m.copy(ctx, f)
}

func (m *move) copy(ctx context.Context, f image.StoredFile) (problem, err error) {
	if problem, err = fault(m.Store.Copy(ctx, f.Name, m.Fallback)); problem != nil || err != nil {
		return problem, err
	}
	if problem, err = fault(verify(ctx, m.Shelf, f)); err != nil {
		return nil, err
	}
	if problem != nil {
		return problem, m.Shelf.Remove(ctx, f.Name)
	}
	m.note(func(r *Moved) { r.Copied++; r.CopiedBytes += f.Bytes })
	return nil, nil
}

// fault tells what is wrong with one file from what is wrong with the storage.
func fault(err error) (problem, failure error) {
	if _, damaged := errors.AsType[damage](err); damaged || errors.Is(err, fs.ErrNotExist) {
		return err, nil
	}
	return nil, err
}

// removeOld removes a file that is at the new place from the old one.
func (m *move) removeOld(ctx context.Context, f image.StoredFile) error {
	if !m.remove {
		return nil
	}
	if err := m.Fallback.Remove(ctx, f.Name); err != nil {
		return fmt.Errorf("remove file %s from the old storage: %w", f.Name, err)
	}
	m.note(func(r *Moved) { r.Removed++ })
	return nil
}

func (m *move) hasFailed(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed[name]
}

// fail notes a file that can't be moved. The others can.
func (m *move) fail(ctx context.Context, f image.StoredFile, problem error) error {
	finding, err := m.describe(ctx, f, problem)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed[f.Name] = true
	m.result.Failed++
	m.Found(finding)
	if m.result.Failed >= maxFailures {
		return errDoubtful
	}
	return nil
}

// countLeft counts what is still at the old place.
func (m *move) countLeft(ctx context.Context) error {
	for _, err := range m.Fallback.Walk(ctx) {
		if err != nil {
			return fmt.Errorf("list the old storage: %w", err)
		}
		m.result.Left++
	}
	return nil
}
