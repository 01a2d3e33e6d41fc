package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"gatehouse/internal/image"
	"gatehouse/internal/progress"
	"gatehouse/internal/storage"
)

// strayAge is how old a file without a row must be. A younger one may belong to an upload under way.
const strayAge = time.Hour

// namesAtOnce is how many files are looked for in the database at once.
const namesAtOnce = 500

// CheckOptions say how thorough a check is.
type CheckOptions struct {
	Read   bool // read every file
	Remove bool // remove strays
}

// Checked is what a check has found.
type Checked struct {
	Files         int64 // that have a row
	Bytes         int64 // that they have according to their rows
	Missing       int64
	Damaged       int64
	Strays        int64
	StrayBytes    int64
	StrayVariants int64 // files without a row whose variants were there
	Young         int64 // files without a row that an upload may be about to commit
	Marked        int64 // pictures that nobody has, and nobody had marked
}

// check is a check under way.
type check struct {
	*Inventory
	CheckOptions
	mu       sync.Mutex
	result   Checked
	progress *progress.Progress
}

// Check compares all rows with all files. It goes on after whatever is wrong with a file, and ends where
// the storage or the database fails.
func (i *Inventory) Check(ctx context.Context, o CheckOptions) (Checked, error) {
	c := &check{Inventory: i, CheckOptions: o}
	total, err := i.countStoredFiles(ctx)
	if err != nil {
		return Checked{}, err
	}
	err = c.during("checked", total, func() error { return each(ctx, i.storedFiles(time.Time{}), c.row) })
	for _, shelf := range i.shelves() {
		if err == nil {
			err = c.during("looked up", 0, func() error { return each(ctx, files(shelf), c.strays) })
		}
		if err == nil {
			err = c.during("looked up the variants of", 0, func() error { return each(ctx, variants(shelf), c.strayVariants) })
		}
	}
	if err == nil {
		c.result.Marked, err = i.Images.MarkUnowned(ctx)
	}
	return c.result, err
}

func (c *check) during(what string, total int64, do func() error) error {
	c.progress = progress.Start(c.Output, what, total)
	defer c.progress.Stop()
	return do()
}

// note counts something, and tells of it.
func (c *check) note(count func(*Checked), found ...Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count(&c.result)
	for _, finding := range found {
		c.Found(finding)
	}
}

// row looks at the file of a row.
func (c *check) row(ctx context.Context, f image.StoredFile) error {
	problem := c.examine(ctx, f)
	c.progress.Add(f.Bytes)
	_, damaged := errors.AsType[damage](problem)
	switch {
	case problem == nil:
		c.note(func(r *Checked) { r.Files++; r.Bytes += f.Bytes })
		return nil
	case !damaged && !errors.Is(problem, fs.ErrNotExist):
		return fmt.Errorf("check file %s: %w", f.Name, problem)
	}
	if there, err := c.hasRow(ctx, f.Name); err != nil || !there { // it was deleted meanwhile
		return err
	}
	finding, err := c.describe(ctx, f, problem)
	c.note(func(r *Checked) {
		r.Files++
		r.Bytes += f.Bytes
		if damaged {
			r.Damaged++
		} else {
			r.Missing++
		}
	}, finding)
	return err
}

// examine compares a file with its row. If the storage is well but the file can't be read, that is a
// damage too.
func (c *check) examine(ctx context.Context, f image.StoredFile) (err error) {
	if c.Read {
		err = verify(ctx, c.Store, f)
	} else {
		var entry storage.Entry
		if entry, err = c.Store.Stat(ctx, f.Name); err == nil {
			err = compareSize(f, entry.Size)
		}
	}
	_, damaged := errors.AsType[damage](err)
	if err == nil || damaged || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
		return err
	}
	for _, shelf := range c.shelves() {
		if failed := shelf.Check(ctx); failed != nil {
			return errors.Join(failed, err)
		}
	}
	return damage("it can't be read: " + err.Error())
}

func files(shelf storage.Shelf) func(context.Context) iter.Seq2[[]storage.Entry, error] {
	return func(ctx context.Context) iter.Seq2[[]storage.Entry, error] {
		return inChunks(shelf.Walk(ctx), namesAtOnce)
	}
}

func variants(shelf storage.Shelf) func(context.Context) iter.Seq2[[]string, error] {
	return func(ctx context.Context) iter.Seq2[[]string, error] {
		return inChunks(shelf.WalkVariants(ctx), namesAtOnce)
	}
}

// strays looks for files without a row.
func (c *check) strays(ctx context.Context, entries []storage.Entry) error {
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name
		c.progress.Add(entry.Size)
	}
	found, err := c.withRows(ctx, names)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if found[entry.Name] {
			continue
		}
		if c.Now().Sub(entry.ModTime) < strayAge {
			c.note(func(r *Checked) { r.Young++ })
			continue
		}
		why := fmt.Sprintf("%s since %s", humanize.Bytes(uint64(entry.Size)), entry.ModTime.UTC().Format(time.RFC3339))
		count := func(r *Checked) { r.Strays++; r.StrayBytes += entry.Size }
		if err := c.stray(ctx, Finding{Kind: Stray, File: entry.Name, Why: why}, count); err != nil {
			return err
		}
	}
	return nil
}

// strayVariants looks for variants of files that are gone. Those of a stray go with it.
func (c *check) strayVariants(ctx context.Context, names []string) error {
	found, err := c.withRows(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		c.progress.Add(0)
		if found[name] {
			continue
		}
		_, err := c.Store.Stat(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			err = c.stray(ctx, Finding{Kind: StrayVariants, File: name}, func(r *Checked) { r.StrayVariants++ })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stray notes what has no row, unless one is being committed, and removes it if that is wanted.
func (c *check) stray(ctx context.Context, finding Finding, count func(*Checked)) error {
	decide := c.Stored
	if c.Remove {
		decide = c.removeUnlessStored
	}
	stored, err := decide(ctx, finding.File)
	if err != nil {
		return fmt.Errorf("decide about file %s: %w", finding.File, err)
	}
	if !stored {
		c.note(count, finding)
	}
	return nil
}

func (c *check) removeUnlessStored(ctx context.Context, file string) (stored bool, err error) {
	marked, err := c.Store.Mark(file)
	if err != nil {
		return false, err
	}
	return finish(ctx, marked, c.Stored)
}
