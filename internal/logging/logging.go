// Package logging owns the logs: where the lines of each module go, what they look like, and what they never contain.
//
// A request must not wait for a log: lines are collected in memory, and a goroutine for each output writes them
// within a tenth of a second, and immediately after an error. A full disk or a blocked console loses lines, but
// delays no request; the number of lost lines is logged when the output works again.
package logging

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"
)

// closeTimeout is how long Close waits for an output that blocks.
const closeTimeout = 2 * time.Second

// Options say what is logged, how, and where.
type Options struct {
	Levels  Levels
	JSON    bool             // lines for programs; otherwise for people
	Dir     string           // has a folder for each module
	Console io.Writer        // gets the lines of all modules; nil for none
	Now     func() time.Time // decides when the day ends; nil for time.Now
}

// Logs are the open logs of all modules.
type Logs struct {
	loggers map[string]*slog.Logger
	sinks   []*sink
	files   []*dailyFile
}

// New opens the logs of the modules that are not turned off. Its error says which file cannot be opened.
func New(o Options) (*Logs, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	logs := &Logs{loggers: make(map[string]*slog.Logger, len(modules))}
	report := reportText
	if o.JSON {
		report = reportJSON
	}
	var console *sink
	if o.Console != nil {
		console = newSink(o.Console, report)
		logs.sinks = append(logs.sinks, console)
	}
	terminal := false
	if file, ok := o.Console.(*os.File); ok {
		terminal = term.IsTerminal(int(file.Fd()))
	}
	for _, module := range modules {
		level := o.Levels.of(module)
		if level == off {
			logs.loggers[module] = slog.New(slog.DiscardHandler)
			continue
		}
		file, err := openDaily(filepath.Join(o.Dir, module, module+".log"), o.Now)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open log of %s: %w", module, err), logs.Close())
		}
		out := &outlet{console: console, file: newSink(file, report), colour: terminal}
		logs.files = append(logs.files, file)
		logs.sinks = append(logs.sinks, out.file)
		logs.loggers[module] = slog.New(newHandler(out, module, level, o.JSON))
	}
	return logs, nil
}

// Module returns the logger of a module, which is one of the constants of this package.
func (l *Logs) Module(name string) *slog.Logger {
	logger, ok := l.loggers[name]
	if !ok {
		panic(fmt.Sprintf("logging: there is no module %q", name))
	}
	return logger
}

// Close writes what is still in memory and closes the files. It gives up on an output that blocks.
func (l *Logs) Close() error {
	for _, sink := range l.sinks {
		sink.stop()
	}
	timeout := time.After(closeTimeout)
	for _, sink := range l.sinks {
		select {
		case <-sink.done:
		case <-timeout:
			return errors.New("close logs: an output is blocked")
		}
	}
	var errs []error
	for _, file := range l.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// outlet is where the lines of one module go.
type outlet struct {
	console *sink // nil for none
	file    *sink
	colour  bool
}

// Write appends one line.
func (o *outlet) Write(line []byte) (int, error) {
	if o.console != nil {
		o.console.append(line)
	}
	o.file.append(line)
	return len(line), nil
}

// flush makes the outputs write their lines now.
func (o *outlet) flush() {
	if o.console != nil {
		signalTo(o.console.urgent)
	}
	signalTo(o.file.urgent)
}

func newHandler(out *outlet, module string, level slog.Level, json bool) slog.Handler {
	if json {
		handler := slog.NewJSONHandler(out, &slog.HandlerOptions{AddSource: true, Level: level, ReplaceAttr: replaceJSON})
		return requestHandler{handler.WithAttrs([]slog.Attr{slog.String("module", module)}), out}
	}
	return &textHandler{out: out, module: module, level: level}
}
