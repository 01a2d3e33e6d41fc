// Command bench measures the shipped server beside the best that this machine can do, and prints a
// table in Markdown:
//
//	make bench ARGS="-only upload,load -database sqlite -duration 3s"
//
// Figures change from machine to machine, and with whatever else runs on it. So each is taken in
// turns with its yardstick, and what counts is their ratio. Every measurement starts a server with
// default options, but without limits, and an empty database, and removes both. TMPDIR says where
// the files lie.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

//go:embed *.lua
var scripts embed.FS

// options say what is measured.
type options struct {
	binary    string
	only      []string // names of scenarios
	databases []string // sqlite, mysql
	duration  time.Duration
	rounds    int
}

// bench is one run of this program.
type bench struct {
	options
	dir       string // temporary; everything lies in it
	picture   []byte
	thumbnail []byte // that the server made last
	mysql     *mysqlServer
	progress  io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	if len(args) == 2 && args[0] == bareCommand {
		return serveBare(ctx, args[1])
	}
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	b := &bench{options: o, progress: stderr}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(); err != nil {
		return err
	}
	rows, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return b.print(stdout, rows)
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", strings.Join(scenarioNames(), ","), "what to measure")
	databases := flags.String("database", "sqlite,mysql", "the databases to measure on")
	flags.StringVar(&o.binary, "binary", "bin/gatehouse", "the server to measure")
	flags.DurationVar(&o.duration, "duration", 4*time.Second, "of a measurement")
	flags.IntVar(&o.rounds, "rounds", 3, "how often to measure; the median counts")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.only, o.databases = strings.Split(*only, ","), strings.Split(*databases, ",")
	for _, name := range o.only {
		if !slices.Contains(scenarioNames(), name) {
			return options{}, fmt.Errorf("-only: there is no %q, but %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	for _, name := range o.databases {
		if name != sqlite && name != mysql {
			return options{}, fmt.Errorf("-database: there is no %q, but %s and %s", name, sqlite, mysql)
		}
	}
	if o.duration < time.Second || o.rounds < 1 {
		return options{}, errors.New("want a -duration of a second or more, and one of the -rounds at least")
	}
	var err error
	o.binary, err = filepath.Abs(o.binary)
	return o, err
}

// open makes what all measurements share.
func (b *bench) open() (err error) {
	if b.dir, err = os.MkdirTemp("", "gatehouse-bench-"); err != nil {
		return err
	}
	if err := os.CopyFS(b.dir, scripts); err != nil {
		return err
	}
	if err := b.writePicture(); err != nil {
		return err
	}
	if slices.Contains(b.databases, mysql) {
		b.mysql, err = openMySQL()
	}
	return err
}

func (b *bench) close() error {
	var err error
	if b.mysql != nil {
		err = b.mysql.close()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}
