// Package config owns the options: it declares each once, and reads them from the command line, the environment
// and a YAML file, in that order of precedence. One error lists everything that is wrong or missing.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// ErrHelp is returned after the help was printed. There is nothing else to do then.
var ErrHelp = errors.New("help was printed")

// Command is the command to run, with its options.
type Command struct {
	Name     string // one of the names of commands
	Options  Options
	User     User
	Import   Import
	Storage  StorageCommands
	Backup   BackupCommands
	Restore  RestoreCommand
	Place    BackupPlace // of the backups that the command makes or reads
	settings []setting
}

// setting is one option as Print shows it.
type setting struct{ name, value, source string }

// Print writes every option with its value and its source. Secrets are masked.
func (c *Command) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "OPTION\tVALUE\tFROM")
	for _, s := range c.settings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.name, cmp.Or(s.value, "-"), s.source)
	}
	return table.Flush()
}

// Error lists everything that is wrong with the options.
type Error struct{ Problems []string }

func (e *Error) Error() string {
	return "invalid options:\n  " + strings.Join(e.Problems, "\n  ")
}

// grammar is the command line.
type grammar struct {
	Options
	commands
}

const description = `Gatehouse is the front door of an app: it registers users and logs them in, takes and serves their pictures, and hands the app its H5 pages.

Every option can be given as a flag, as an environment variable (GATEHOUSE_LOG_LEVEL for --log-level; lists with commas; an empty one counts as not given) or in the file that --config names. A flag overrides the environment, and the environment overrides the file.`

// Parse reads the command line without the program's name, the environment as os.Environ returns it, and the
// file that they name. If help is requested, it is printed to stdout and the error is ErrHelp. The error for
// invalid options is an *Error.
func Parse(args, environ []string, stdout io.Writer) (*Command, error) {
	var cli grammar
	p := &parser{given: make(map[string]origin), refused: make(map[string]bool)}
	app, err := kong.New(&cli,
		kong.Name("gatehouse"), kong.Description(description), kong.Writers(stdout, stdout),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.TypeMapper(reflect.TypeFor[netip.Prefix](), kong.MapperFunc(decodePrefix)),
		kong.PostBuild(p.checkValues))
	if err != nil {
		return nil, fmt.Errorf("declare options: %w", err)
	}
	p.app = app
	return p.parse(&cli, args, environ)
}

func (p *parser) parse(cli *grammar, args, environ []string) (*Command, error) {
	ctx, err := kong.Trace(p.app, p.dropUnknown(args))
	if err != nil {
		return nil, fmt.Errorf("read the command line: %w", err)
	}
	for _, step := range ctx.Path {
		if step.Flag == p.app.Model.HelpFlag && step.Flag != nil {
			return nil, errors.Join(ctx.PrintUsage(false), ErrHelp)
		}
	}
	command := &Command{Name: commandName(ctx)}
	if command.Name == Version && ctx.Error == nil && len(p.problems) == 0 {
		return command, nil // even if the environment or the file is wrong
	}
	p.readSources(ctx, environ)
	if err := p.apply(ctx); err != nil {
		return nil, err
	}
	_, cli.AdminAddrGiven = p.given["admin-addr"]
	cli.Options.complete()
	if ctx.Error != nil {
		// What follows the mistake was not read, so the rules would check only half of the options.
		p.note("", ctx.Error.Error())
	} else {
		p.checkComplete(ctx)
		p.checkRules(cli.Options, command.Name)
		if command.Name == StorageMove {
			p.noteBroken(cli.commands.Storage.rules(cli.Options))
		}
		if strings.HasPrefix(command.Name, "backup") || command.Name == Restore {
			place, option := cli.place(command.Name, cli.Options)
			command.Place = place
			p.noteBroken(backupRules(command.Name, place, option, cli.Options))
		}
	}
	if len(p.problems) > 0 {
		return nil, &Error{Problems: p.problems}
	}
	command.Options, command.User, command.Import, command.Storage = cli.Options, cli.User, cli.Import, cli.commands.Storage
	command.Backup, command.Restore = cli.Backup, cli.Restore
	command.settings = p.settings()
	return command, nil
}

// commandName returns the words of a command, without its arguments.
func commandName(ctx *kong.Context) string {
	name, _, _ := strings.Cut(ctx.Command(), " <")
	return name
}

// apply sets every option from its default, the file, the environment or a flag.
func (p *parser) apply(ctx *kong.Context) error {
	ctx.AddResolver(kong.ResolverFunc(p.resolve))
	if err := ctx.Reset(); err != nil {
		return fmt.Errorf("set defaults: %w", err)
	}
	if err := ctx.Resolve(); err != nil {
		return fmt.Errorf("read options: %w", err)
	}
	if _, err := ctx.Apply(); err != nil {
		return fmt.Errorf("apply options: %w", err)
	}
	return nil
}

func (p *parser) settings() []setting {
	var all []setting
	for _, flag := range p.app.Model.Flags {
		if flag == p.app.Model.HelpFlag {
			continue
		}
		all = append(all, setting{flag.Name, show(flag.Target), cmp.Or(p.given[flag.Name].source, "default")})
	}
	return all
}

// show formats a value with the methods of its type, which mask secrets.
func show(value reflect.Value) string {
	text := fmt.Sprint(value.Interface())
	if value.Kind() == reflect.Slice {
		return strings.Join(strings.Fields(strings.Trim(text, "[]")), ",")
	}
	return text
}
