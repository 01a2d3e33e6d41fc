package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"gatehouse/internal/backup"
	"gatehouse/internal/config"
	"gatehouse/internal/database"
	"gatehouse/internal/session"
	"gatehouse/internal/storage"
)

// backupSpool is where copies are that are not sent yet.
func backupSpool(o config.Options) string { return filepath.Join(o.DataDir, "backup") }

func openBackups(o config.Options, place config.BackupPlace) (storage.Folder, error) {
	location, err := storage.ParseLocation(string(place))
	if err != nil {
		return nil, fmt.Errorf("read the place of backups %s: %w", place, err)
	}
	id, secret := o.BackupKey()
	folder, err := location.OpenFolder(id, string(secret), filepath.Join(backupSpool(o), "sending"))
	if err != nil {
		return nil, fmt.Errorf("open the place of backups %s: %w", place, err)
	}
	return folder, nil
}

func (a *app) newBackups(place config.BackupPlace, output io.Writer) (*backup.Service, error) {
	folder, err := openBackups(a.options, place)
	if err != nil {
		return nil, err
	}
	return backup.New(backup.Options{
		Database: a.database, Store: a.store, Images: a.images, Folder: folder, Spool: backupSpool(a.options),
		Program: version, Now: time.Now, Logger: a.log, Output: output,
		Every: a.options.BackupEvery, Keep: a.options.BackupKeep,
	}), nil
}

// manageBackups does one of the commands for backups, while servers may run.
func manageBackups(ctx context.Context, command *config.Command, stdout, stderr io.Writer) (err error) {
	switch command.Name {
	case config.BackupList:
		err = listBackups(ctx, command, stdout)
	case config.BackupCheck:
		err = checkBackups(ctx, command, stdout, stderr)
	default:
		err = makeBackup(ctx, command, stdout, stderr)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted; run it again")
	}
	return err
}

func makeBackup(ctx context.Context, command *config.Command, stdout, stderr io.Writer) (err error) {
	options := command.Options
	a, err := openExisting(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	backups, err := a.newBackups(command.Place, stderr)
	if err != nil {
		return err
	}
	o := backup.MakeOptions{Verify: command.Backup.Make.Verify, Prune: command.Backup.Make.To == ""}
	if command.Backup.Make.WithSecret {
		if o.Secret, err = os.ReadFile(options.SecretFile); err != nil {
			return fmt.Errorf("read the secret file: %w", err)
		}
	}
	made, err := backups.Make(ctx, o)
	if err != nil {
		return fmt.Errorf("back up to %s: %w", command.Place, err)
	}
	return reportBackup(stdout, made, options.SecretFile)
}

func reportBackup(stdout io.Writer, made backup.Made, secretFile string) error {
	for _, problem := range made.Problems {
		fmt.Fprintf(stdout, "not saved: picture %s: %s\n", problem.Picture, problem.Why)
	}
	for _, name := range made.Removed {
		fmt.Fprintf(stdout, "removed backup %s, which was too old\n", name)
	}
	fmt.Fprintln(stdout, made.Describe())
	fmt.Fprintf(stdout, "%s pictures copied (%s), %s were saved before, %s were deleted meanwhile\n", humanize.Comma(made.Copied),
		humanize.Bytes(uint64(made.CopiedBytes)), humanize.Comma(made.Pictures.Count-made.Copied), humanize.Comma(made.Pictures.Gone))
	if !made.HasSecret() {
		fmt.Fprintf(stdout, "The secret is not in it. Keep a copy of %s in a safe place: without it, everybody is logged out.\n", secretFile)
	}
	if len(made.Problems) > 0 {
		return fmt.Errorf("%s pictures are missing or damaged where they are stored, and so not in the backup; everything else is",
			humanize.Comma(int64(len(made.Problems))))
	}
	return nil
}

func listBackups(ctx context.Context, command *config.Command, stdout io.Writer) error {
	folder, err := openBackups(command.Options, command.Place)
	if err != nil {
		return err
	}
	backups, err := backup.List(ctx, folder)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BACKUP\tMADE\tBY\tDATABASE\tPICTURES\tSECRET")
	for _, b := range backups {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s, %s\t%s, %s\t%t\n", b.Name, humanize.Time(b.CreatedAt), b.Program, b.Database,
			humanize.Bytes(uint64(b.Bytes())), humanize.Comma(b.Pictures.Count), humanize.Bytes(uint64(b.Pictures.Bytes)), b.HasSecret())
	}
	return table.Flush()
}

func checkBackups(ctx context.Context, command *config.Command, stdout, stderr io.Writer) error {
	folder, err := openBackups(command.Options, command.Place)
	if err != nil {
		return err
	}
	bad := 0
	checked, err := backup.Check(ctx, folder, stderr, func(file, why string) {
		bad++
		fmt.Fprintf(stdout, "damaged: %s: %s\n", file, why)
	})
	if err != nil {
		return fmt.Errorf("check the backups: %w", err)
	}
	fmt.Fprintf(stdout, "%d backups with %s pictures (%s) were read\n", len(checked.Backups), humanize.Comma(checked.Pictures),
		humanize.Bytes(uint64(checked.Bytes)))
	if bad > 0 {
		return fmt.Errorf("%d files are missing or damaged: gatehouse backup --verify saves pictures again that are still stored", bad)
	}
	if len(checked.Backups) == 0 {
		return errors.New("there is no backup that is complete")
	}
	return nil
}

// restore brings a backup to where the options say. No server may run there.
func restore(ctx context.Context, command *config.Command, stdout, stderr io.Writer) (err error) {
	options := command.Options
	if err := os.MkdirAll(options.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	folder, err := openBackups(options, command.Place)
	if err != nil {
		return err
	}
	store, err := openStorage(options, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	o := backup.RestoreOptions{
		Folder: folder, At: command.Restore.At, Store: store, Spool: backupSpool(options), Output: stderr,
		Database:  database.Options{URL: string(options.Database), DataDir: options.DataDir, Logger: slog.New(slog.DiscardHandler)},
		PutSecret: func(content []byte) error { return putSecret(options.SecretFile, content) }, Opens: opensKey,
	}
	if o.Secret, err = os.ReadFile(options.SecretFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the secret file: %w", err)
	}
	done, err := backup.Restore(ctx, o)
	if ctx.Err() != nil {
		return errors.New("interrupted; run it again to go on")
	}
	if err != nil {
		return fmt.Errorf("restore from %s: %w", command.Place, err)
	}
	reportRestored(stdout, done, options.SecretFile)
	return nil
}

// opensKey looks whether a signing key was sealed with what is derived from a secret.
func opensKey(content []byte, keyID string, sealed []byte) error {
	s, err := parseSecret(content)
	if err != nil {
		return err
	}
	key, err := s.key(signingKeys)
	if err != nil {
		return err
	}
	return session.CheckSeal(key, keyID, sealed)
}

func reportRestored(stdout io.Writer, done backup.Restored, secretFile string) {
	for _, problem := range done.Problems {
		fmt.Fprintf(stdout, "not restored: picture %s, which was not in the backup: %s\n", problem.Picture, problem.Why)
	}
	fmt.Fprintln(stdout, "restored", done.Describe())
	if done.Gone > 0 {
		fmt.Fprintf(stdout, "%s pictures were deleted while the backup was made, and are deleted here too\n", humanize.Comma(done.Gone))
	}
	if done.PutSecret {
		fmt.Fprintf(stdout, "the secret of the backup is in %s\n", secretFile)
	}
	if done.Sealed != nil {
		fmt.Fprintf(stdout, "WARNING: no server will start: %v\nPut the secret file of the old server to %s.\n", done.Sealed, secretFile)
	}
	fmt.Fprintln(stdout, "next: start the server, and then run gatehouse storage check --read with its options")
}
