// Gatehouse is the front door of an app: it registers users and logs them in, takes and serves
// their pictures, and hands the app its H5 pages.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"text/tabwriter"

	"gatehouse/internal/config"
	"gatehouse/internal/database"
)

// contractYAML is the contract as people wrote it, for /openapi.yaml.
//
//go:embed api/openapi.yaml
var contractYAML []byte

// version is set when a release is built.
var version = "development"

func main() {
	signal.Ignore(syscall.SIGPIPE) // a reader of the console that goes away is no reason to end
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gatehouse:", err)
		os.Exit(1)
	}
}

// run does what the command line asks for, until it is done or ctx ends.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	command, err := config.Parse(args, environ, stdout)
	if errors.Is(err, config.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	switch command.Name {
	case config.Version:
		_, err := fmt.Fprintf(stdout, "gatehouse %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	case config.Show:
		return command.Print(stdout)
	case config.Health:
		return checkHealth(ctx, command.Options, stdout)
	case config.Doctor:
		return examine(ctx, command.Options, stdout)
	case config.MigrateUp:
		return migrate(ctx, command.Options, stdout)
	case config.MigrateStatus:
		return printMigrations(ctx, command.Options, stdout)
	case config.UserList, config.UserShow, config.UserDisable, config.UserEnable, config.UserLogout,
		config.UserDelete, config.UserSetPassword:
		return manageUsers(ctx, command, stdout, stderr)
	case config.ImportBooklet, config.ImportCSV, config.ImportPocketBase, config.ImportSupabase:
		return importUsers(ctx, command, stdout, stderr)
	case config.BackupMake, config.BackupList, config.BackupCheck:
		return manageBackups(ctx, command, stdout, stderr)
	case config.Restore:
		return restore(ctx, command, stdout, stderr)
	case config.StorageCheck, config.StorageMove:
		return manageStorage(ctx, command, stdout, stderr)
	default:
		return serve(ctx, command.Options, stdout, stderr)
	}
}

func migrate(ctx context.Context, options config.Options, stdout io.Writer) error {
	d, err := openDatabase(ctx, options)
	if err != nil {
		return err
	}
	defer d.Close()
	applied, err := d.Migrate(ctx)
	if err != nil {
		return err
	}
	for _, migration := range applied {
		fmt.Fprintln(stdout, "applied", migration.Name)
	}
	fmt.Fprintln(stdout, "the database is up to date")
	return nil
}

func printMigrations(ctx context.Context, options config.Options, stdout io.Writer) error {
	d, err := openDatabase(ctx, options)
	if err != nil {
		return err
	}
	defer d.Close()
	migrations, err := d.Status(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, migration := range migrations {
		applied := "not applied yet"
		if !migration.AppliedAt.IsZero() {
			applied = migration.AppliedAt.Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(table, "%s\t%s\n", migration.Name, applied)
	}
	return table.Flush()
}

func openDatabase(ctx context.Context, options config.Options) (*database.Database, error) {
	return database.Open(ctx, database.Options{
		URL: string(options.Database), DataDir: options.DataDir, Connections: options.DatabaseConnections,
	})
}
