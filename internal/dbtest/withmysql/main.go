// Command withmysql runs a command with TEST_MYSQL set to a server for tests, so that all packages
// of a go test run share one:
//
//	go run ./internal/dbtest/withmysql go test ./...
//
// If TEST_MYSQL is already set, it is kept. Otherwise a private MariaDB runs for as long as the
// command does. If it is not installed, withmysql says so before and after the command, or fails if
// GATEHOUSE_TEST_NO_SKIP is 1. It exits with the code of the command.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"gatehouse/internal/dbtest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: withmysql COMMAND [ARGUMENT...]")
		os.Exit(2)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withmysql:", err)
	}
	os.Exit(code)
}

// run runs the command and returns its exit code, or 1 with an error.
func run(args []string) (code int, err error) {
	if os.Getenv("TEST_MYSQL") != "" {
		return runCommand(args)
	}
	server, err := dbtest.StartServer()
	if errors.Is(err, dbtest.ErrNotInstalled) && !dbtest.NoSkip() {
		fmt.Fprintln(os.Stderr, dbtest.Banner)
		defer fmt.Fprintln(os.Stderr, dbtest.Banner)
		return runCommand(args)
	}
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	os.Setenv("TEST_MYSQL", server.URL)
	return runCommand(args)
}

// runCommand forwards the signals that it receives.
func runCommand(args []string) (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s) // fails if the command has just ended
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitCode(exit), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// exitCode is that of the command, or 128 plus the signal that ended it, as in shells.
func exitCode(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
