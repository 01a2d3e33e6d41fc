package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/importer"
)

// hashPatience is how long an import may wait for its turn to hash a password.
const hashPatience = time.Hour

// importUsers does one of the imports.
func importUsers(ctx context.Context, command *config.Command, stdout, stderr io.Writer) (err error) {
	source, dryRun, err := openSource(ctx, command)
	if err != nil {
		return err
	}
	options := command.Options
	options.PasswordWait = hashPatience
	a, err := openForCommand(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	run := importer.New(importer.Options{
		Accounts: a.accounts, Images: a.images, Output: stderr, Now: time.Now, DryRun: dryRun,
	})
	users, err := run.Users(ctx, source)
	if err := report(stdout, "users", users, dryRun, err); err != nil {
		return err
	}
	var pictures importer.Summary
	if dir := command.Import.Booklet.Images; command.Name == config.ImportBooklet && dir != "" {
		mapFile := cmp.Or(command.Import.Booklet.Map, filepath.Join(options.DataDir, "booklet-images.csv"))
		pictures, err = run.Pictures(ctx, dir, mapFile)
		if err := report(stdout, "pictures", pictures, dryRun, err); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "the old and the new path of each picture are in %s: the old ones answer 404 until a proxy redirects them\n", mapFile)
	}
	if refused := users.Refused + pictures.Refused; refused > 0 {
		return fmt.Errorf("%d were refused, for the reasons above; mend them and run the import again", refused)
	}
	return nil
}

// openSource opens what users are read from, and says whether nothing must be changed.
func openSource(ctx context.Context, command *config.Command) (source importer.Source, dryRun bool, err error) {
	from := command.Import
	switch command.Name {
	case config.ImportBooklet:
		source, err = importer.Booklet(ctx, string(from.Booklet.From))
		return source, from.Booklet.DryRun.DryRun, err
	case config.ImportPocketBase:
		source, err = importer.PocketBase(ctx, from.PocketBase.File, from.PocketBase.PhoneColumn)
		return source, from.PocketBase.DryRun.DryRun, err
	case config.ImportSupabase:
		source, err = importer.Supabase(from.Supabase.File)
		return source, from.Supabase.DryRun.DryRun, err
	default:
		source, err = importer.CSV(from.CSV.File)
		return source, from.CSV.DryRun.DryRun, err
	}
}

// report says what an import has done, also where it failed.
func report(stdout io.Writer, noun string, done importer.Summary, dryRun bool, failure error) error {
	verb := "imported"
	if dryRun {
		verb = "would be imported"
	}
	_, err := fmt.Fprintf(stdout, "%s: %d %s, %d skipped since they are here already, %d refused\n",
		noun, done.Imported, verb, done.Skipped, done.Refused)
	if errors.Is(failure, context.Canceled) {
		return errors.New("interrupted; run it again to go on")
	}
	if failure != nil {
		return fmt.Errorf("import %s: %w (run it again to go on)", noun, failure)
	}
	return err
}
