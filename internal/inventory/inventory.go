// Package inventory compares the storage with the rows that name its files, and moves the files to
// another storage, while servers upload, load and delete pictures.
//
// Rows are the truth: a file with a row must be there, whole; one without a row may go. Neither is
// decided by what was read a while ago. A file that seems to be missing is asked for its row once more,
// since the picture may have been deleted. One that seems to have no row may be that of an upload under
// way, so it must be an hour old, and is marked in the spool until the database has said that nothing
// is being committed.
package inventory

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/internal/image"
	"gatehouse/internal/storage"
	"gatehouse/internal/upload"
)

// Options of an Inventory. All are required but Fallback.
type Options struct {
	Store    *storage.Store
	Shelf    storage.Shelf // of the store
	Fallback storage.Shelf // of the store; nil if it has none
	Images   *image.Service
	Uploads  *upload.Service
	// Stored reports whether a file has a row, or one that is being committed.
	Stored func(ctx context.Context, file string) (bool, error)
	Now    func() time.Time
	Output io.Writer     // where people are told how far it is
	Found  func(Finding) // told of every finding, one after another
}

// Inventory checks or moves the files of a store. It is used once.
type Inventory struct {
	Options
}

// New returns an inventory.
func New(o Options) *Inventory { return &Inventory{o} }

func (i *Inventory) shelves() []storage.Shelf {
	if i.Fallback == nil {
		return []storage.Shelf{i.Shelf}
	}
	return []storage.Shelf{i.Shelf, i.Fallback}
}

// Kind says what is wrong with a file.
type Kind string

// A file that is Missing or Damaged has a row, the others have none.
const (
	Missing       Kind = "missing"
	Damaged       Kind = "damaged"
	Stray         Kind = "stray"
	StrayVariants Kind = "stray variants"
)

// Finding is a file with which something is wrong.
type Finding struct {
	Kind Kind
	File string
	Why  string   // empty if the kind says it
	Of   []string // the images that show it, or the upload that it is a piece of
}

// String describes the finding in a line.
func (f Finding) String() string {
	text := string(f.Kind) + ": " + f.File
	if f.Why != "" {
		text += ": " + f.Why
	}
	if len(f.Of) > 0 {
		text += "; " + strings.Join(f.Of, ", ")
	}
	return text
}

// damage is why a file is not what its row says.
type damage string

func (d damage) Error() string { return string(d) }

// opener is a shelf, or a store.
type opener interface {
	Open(ctx context.Context, name string) (*storage.File, error)
}

// verify reads a file and compares it with its row. The error is a damage if they differ, and
// fs.ErrNotExist if there is no file.
func verify(ctx context.Context, from opener, f image.StoredFile) error {
	file, err := from.Open(ctx, f.Name)
	if err != nil {
		return err
	}
	defer file.Content.Close()
	if err := compareSize(f, file.Size); err != nil || len(f.SHA256) == 0 {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file.Content); err != nil {
		return fmt.Errorf("read file %s: %w", f.Name, err)
	}
	if got := sum.Sum(nil); string(got) != string(f.SHA256) {
		return damage("its SHA-256 is not that of its row")
	}
	return nil
}

func compareSize(f image.StoredFile, size int64) error {
	if size != f.Bytes {
		return damage(fmt.Sprintf("it has %d bytes instead of %d", size, f.Bytes))
	}
	return nil
}

// storedFiles returns the files of all rows that were made since then.
func (i *Inventory) storedFiles(since time.Time) func(context.Context) iter.Seq2[image.StoredFile, error] {
	return func(ctx context.Context) iter.Seq2[image.StoredFile, error] {
		return func(yield func(image.StoredFile, error) bool) {
			for _, files := range []iter.Seq2[image.StoredFile, error]{i.Images.StoredFiles(ctx, since), i.Uploads.StoredFiles(ctx)} {
				for file, err := range files {
					if !yield(file, err) || err != nil {
						return
					}
				}
			}
		}
	}
}

func (i *Inventory) countStoredFiles(ctx context.Context) (int64, error) {
	pictures, err := i.Images.CountStoredFiles(ctx)
	if err != nil {
		return 0, err
	}
	pieces, err := i.Uploads.CountStoredFiles(ctx)
	return pictures + pieces, err
}

// withRows returns which of the files have a row.
func (i *Inventory) withRows(ctx context.Context, files []string) (map[string]bool, error) {
	pictures, err := i.Images.WithRows(ctx, files)
	if err != nil {
		return nil, err
	}
	pieces, err := i.Uploads.WithRows(ctx, files)
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	for _, file := range append(pictures, pieces...) {
		found[file] = true
	}
	return found, nil
}

// hasRow asks for a file that had a row: once it has none, it never has one again.
func (i *Inventory) hasRow(ctx context.Context, file string) (bool, error) {
	found, err := i.withRows(ctx, []string{file})
	return found[file], err
}

// mostNamed is how many images are named that show the same file.
const mostNamed = 5

// describe says what is wrong with a file that has a row, and who misses it.
func (i *Inventory) describe(ctx context.Context, f image.StoredFile, problem error) (Finding, error) {
	finding := Finding{Kind: Damaged, File: f.Name, Why: problem.Error()}
	if errors.Is(problem, fs.ErrNotExist) {
		finding.Kind, finding.Why = Missing, ""
	}
	if strings.HasSuffix(f.Name, upload.PieceSuffix) {
		id, owner, err := i.Uploads.SessionOf(ctx, f.Name)
		finding.Of = []string{"a piece of upload " + id + " of " + named(owner)}
		return finding, err
	}
	images, err := i.Images.Showing(ctx, f, mostNamed+1)
	for _, shown := range images[:min(len(images), mostNamed)] {
		finding.Of = append(finding.Of, fmt.Sprintf("image %s (%s) of %s", shown.ID, shown.Name, named(shown.OwnerID)))
	}
	if len(images) > mostNamed {
		finding.Of = append(finding.Of, "and more")
	}
	return finding, err
}

func named(ownerID string) string {
	if ownerID == "" {
		return "nobody"
	}
	return "user " + ownerID
}

// settleTimeout bounds what must be finished when the command is interrupted.
const settleTimeout = 10 * time.Second

// finish removes what is marked and for which stored returns false, and says what it returned. A process
// that is killed before leaves its mark to a sweep, which asks the database again.
func finish(ctx context.Context, marked *storage.Removal, stored func(context.Context, string) (bool, error)) (kept bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err = marked.Finish(ctx, func(ctx context.Context, file string) (bool, error) {
		there, err := stored(ctx, file)
		kept = there
		return there, err
	})
	return kept, err
}

// filesAtOnce is how many files are read, copied or asked for at the same time.
const filesAtOnce = 8

// each does something with all items, some at the same time, until something fails.
func each[T any](parent context.Context, items func(context.Context) iter.Seq2[T, error], do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(parent)
	group.SetLimit(filesAtOnce)
	for item, err := range items(ctx) {
		group.Go(func() error {
			if err != nil {
				return err
			}
			return do(ctx, item)
		})
		if ctx.Err() != nil {
			break
		}
	}
	return cmp.Or(group.Wait(), parent.Err())
}

// inChunks collects items. The last pair has an error if there is one.
func inChunks[T any](items iter.Seq2[T, error], size int) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var chunk []T
		for item, err := range items {
			if err != nil {
				yield(nil, err)
				return
			}
			if chunk = append(chunk, item); len(chunk) < size {
				continue
			}
			if !yield(chunk, nil) {
				return
			}
			chunk = nil
		}
		if len(chunk) > 0 {
			yield(chunk, nil)
		}
	}
}
