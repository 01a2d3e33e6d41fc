package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"gatehouse/internal/config"
	"gatehouse/internal/inventory"
)

// manageStorage does one of the commands for the storage, while servers may run.
func manageStorage(ctx context.Context, command *config.Command, stdout, stderr io.Writer) (err error) {
	options := command.Options
	if to := command.Storage.Move.To; command.Name == config.StorageMove && to != "" {
		options.Storage, options.StorageFallback = to, storageOf(options)
	}
	a, err := openExisting(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	files, err := a.newInventory(stdout, stderr)
	if err != nil {
		return err
	}
	if command.Name == config.StorageCheck {
		err = checkStorage(ctx, files, inventory.CheckOptions(command.Storage.Check), stdout)
	} else {
		err = moveStorage(ctx, files, options, command.Storage.Move.Remove, stdout)
		if err == nil {
			printNext(stdout, command)
		}
	}
	if ctx.Err() != nil {
		return errors.New("interrupted; run it again")
	}
	return err
}

// storageOf is where pictures are stored.
func storageOf(o config.Options) config.Storage {
	return cmp.Or(o.Storage, config.Storage("file://"+filepath.Join(o.DataDir, "image")))
}

func (a *app) newInventory(stdout, stderr io.Writer) (*inventory.Inventory, error) {
	o := inventory.Options{
		Store: a.store, Images: a.images, Uploads: a.uploads, Stored: a.stored, Now: time.Now, Output: stderr,
		Found: func(f inventory.Finding) { fmt.Fprintln(stdout, f) },
	}
	var err error
	if o.Shelf, err = openShelf(a.options, storageOf(a.options)); err != nil {
		return nil, err
	}
	if a.options.StorageFallback != "" {
		o.Fallback, err = openShelf(a.options, a.options.StorageFallback)
	}
	return inventory.New(o), err
}

func checkStorage(ctx context.Context, files *inventory.Inventory, o inventory.CheckOptions, stdout io.Writer) error {
	found, err := files.Check(ctx, o)
	if err != nil {
		return fmt.Errorf("check the storage: %w", err)
	}
	fmt.Fprintf(stdout, "files with a row: %s (%s), %s missing, %s damaged\n", humanize.Comma(found.Files),
		humanize.Bytes(uint64(found.Bytes)), humanize.Comma(found.Missing), humanize.Comma(found.Damaged))
	verb := "found"
	if o.Remove {
		verb = "removed"
	}
	fmt.Fprintf(stdout, "files without a row: %s %s (%s), and variants of %s; %s left alone, since they are younger than an hour\n",
		humanize.Comma(found.Strays), verb, humanize.Bytes(uint64(found.StrayBytes)), humanize.Comma(found.StrayVariants), humanize.Comma(found.Young))
	if found.Marked > 0 {
		fmt.Fprintf(stdout, "pictures that nobody has: %s are deleted by the servers in an hour\n", humanize.Comma(found.Marked))
	}
	if left := found.Strays + found.StrayVariants; left > 0 && !o.Remove {
		fmt.Fprintln(stdout, "next: gatehouse storage check --remove removes the files without a row")
	}
	if bad := found.Missing + found.Damaged; bad > 0 {
		return fmt.Errorf("%s files are missing or damaged: bring them back from a backup, or delete their pictures", humanize.Comma(bad))
	}
	return nil
}

func moveStorage(ctx context.Context, files *inventory.Inventory, o config.Options, remove bool, stdout io.Writer) error {
	from, to := o.StorageFallback, storageOf(o)
	fmt.Fprintf(stdout, "from %s\nto   %s\n", from, to)
	moved, err := files.Move(ctx, remove)
	if errors.Is(err, inventory.ErrSamePlace) {
		return err
	}
	fmt.Fprintf(stdout, "%s files copied (%s), %s were there already, %s were deleted meanwhile\n", humanize.Comma(moved.Copied),
		humanize.Bytes(uint64(moved.CopiedBytes)), humanize.Comma(moved.There), humanize.Comma(moved.Deleted))
	if remove {
		fmt.Fprintf(stdout, "%s files removed from the old storage\n", humanize.Comma(moved.Removed))
	}
	if err != nil {
		return fmt.Errorf("move the pictures: %w (nothing is lost; run it again to go on)", err)
	}
	if moved.Failed > 0 {
		return fmt.Errorf("%s files are missing or damaged, and stay where they are: bring them back from a backup, or delete their pictures; then run it again",
			humanize.Comma(moved.Failed))
	}
	if !moved.Settled {
		fmt.Fprintln(stdout, "servers go on storing pictures at the old storage: what came last is moved when this runs again")
	}
	if moved.Left > 0 {
		fmt.Fprintf(stdout, "%s files without a row are still at the old storage: gatehouse storage check --remove removes those older than an hour\n",
			humanize.Comma(moved.Left))
	}
	return nil
}

// printNext says what to do after a move that went well.
func printNext(stdout io.Writer, command *config.Command) {
	from, move := storageOf(command.Options), command.Storage.Move
	switch {
	case move.To != "":
		fmt.Fprintf(stdout, `next:
  1. where several servers run: restart each with --storage %[1]s --storage-fallback %[2]s, so that all find what one of them stores at either place
  2. restart each with --storage %[2]s --storage-fallback %[1]s
  3. with the same options: gatehouse storage move --remove
`, from, move.To)
	case !move.Remove:
		fmt.Fprintln(stdout, "next: gatehouse storage move --remove with the same options; or restart the servers without --storage-fallback, and keep the old storage")
	default:
		fmt.Fprintln(stdout, `next:
  1. restart the servers without --storage-fallback
  2. an hour later: gatehouse storage check --remove, for what was deleted while it was copied`)
	}
}
