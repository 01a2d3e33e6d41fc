package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"gatehouse/internal/progress"
)

// filesAtOnce is how many pictures are read or copied at the same time.
const filesAtOnce = 8

// each does something with all items, some at the same time, until something fails.
func each[T any](parent context.Context, items iter.Seq[T], do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(parent)
	group.SetLimit(filesAtOnce)
	for item := range items {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, item) })
	}
	return cmp.Or(group.Wait(), parent.Err())
}

// findSaved notes which pictures are saved already. It keeps nothing of others: there may be millions.
func (b *making) findSaved(ctx context.Context) error {
	for entry, err := range b.archive.pictures(ctx) {
		if err != nil {
			return err
		}
		if p, wanted := b.pictures[entry.Name]; wanted && entry.Size == p.Bytes {
			p.stored = true
			b.pictures[p.Name] = p
		}
	}
	if b.last.Name == "" {
		return nil
	}
	err := b.readList(ctx, b.last, func(before picture) {
		if p, wanted := b.pictures[before.Name]; wanted && before.isSaved() && before.SHA256 == p.SHA256 {
			p.listed = true
			b.pictures[p.Name] = p
		}
	})
	if isDamage(err) { // then pictures are read
		b.Logger.WarnContext(ctx, "the list of pictures of the last backup is damaged", "backup", b.last.Name, "error", err)
		return nil
	}
	return err
}

// savePictures saves the pictures that the destination lacks.
func (b *making) savePictures(ctx context.Context) error {
	told := progress.Start(b.Output, "saved", int64(len(b.pictures)))
	defer told.Stop()
	err := each(ctx, slices.Values(slices.Collect(maps.Values(b.pictures))), func(ctx context.Context, p picture) error {
		defer told.Add(p.Bytes)
		return b.savePicture(ctx, p)
	})
	slices.SortFunc(b.made.Problems, func(x, y Problem) int { return cmp.Compare(x.Picture, y.Picture) })
	return err
}

func (b *making) savePicture(ctx context.Context, p picture) error {
	isThere, err := b.isThere(ctx, p)
	if err != nil {
		return fmt.Errorf("look for saved picture %s: %w", p.Name, err)
	}
	if isThere {
		b.count(p, false)
		return nil
	}
	problem, err := b.copyPicture(ctx, p)
	if err == nil && problem != nil {
		p, err = b.judge(ctx, p, problem)
	}
	if err != nil {
		return fmt.Errorf("save picture %s: %w", p.Name, err)
	}
	b.count(p, p.isSaved())
	return nil
}

// isThere reports whether the picture is saved already. What the backup before does not have, an interrupted one
// has saved: that is read.
func (b *making) isThere(ctx context.Context, p picture) (bool, error) {
	if !p.stored {
		return false, nil
	}
	if p.listed && !b.Verify {
		return true, nil
	}
	err := copyVerified(ctx, b.archive, p.path(), p.Bytes, p.SHA256, io.Discard)
	if isDamage(err) {
		return false, nil
	}
	return err == nil, err
}

// copyPicture copies a picture, and hashes it on the way. The problem is what is wrong with the picture
// where it is stored.
func (b *making) copyPicture(ctx context.Context, p picture) (problem, err error) {
	err = b.Create(ctx, p.path(), func(w io.Writer) error {
		to := &target{Writer: w}
		problem = copyVerified(ctx, b.Store, p.Name, p.Bytes, p.SHA256, to)
		if to.failed != nil {
			problem = nil
			return to.failed
		}
		return problem
	})
	switch {
	case problem == nil && err == nil && b.Verify:
		return nil, copyVerified(ctx, b.archive, p.path(), p.Bytes, p.SHA256, io.Discard)
	case problem == nil || ctx.Err() != nil:
		return nil, err
	case isDamage(problem):
		return problem, nil
	}
	if failed := b.Store.Check(ctx); failed != nil {
		return nil, errors.Join(failed, problem)
	}
	return damage("it can't be read: " + problem.Error()), nil
}

// target remembers what failed at the destination, and not at the source.
type target struct {
	io.Writer
	failed error
}

func (t *target) Write(p []byte) (n int, err error) {
	n, t.failed = t.Writer.Write(p)
	return n, t.failed
}

// judge says of a picture that can't be saved whether it was deleted meanwhile, or is lost.
func (b *making) judge(ctx context.Context, p picture, problem error) (picture, error) {
	p.Lost = problem.Error()
	if errors.Is(problem, fs.ErrNotExist) {
		p.Lost = "it is missing"
		rows, err := b.Images.WithRows(ctx, []string{p.Name})
		if err != nil {
			return p, err
		}
		switch {
		case len(rows) == 0 && p.adopted:
			p.Lost, p.Gone = "", true
		case len(rows) == 0:
			p.Lost = "it was deleted or cleaned meanwhile; if it was cleaned, the next backup has it"
		}
	}
	return p, nil
}

// count adds a picture to the backup.
func (b *making) count(p picture, copied bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pictures[p.Name] = p
	switch {
	case p.Gone:
		b.made.Pictures.Gone++
		return
	case p.Lost != "":
		b.made.Pictures.Lost++
		b.made.Problems = append(b.made.Problems, Problem{p.Name, p.Lost})
		return
	}
	b.made.Pictures.Count++
	b.made.Pictures.Bytes += p.Bytes
	if copied {
		b.made.Copied++
		b.made.CopiedBytes += p.Bytes
	}
}
