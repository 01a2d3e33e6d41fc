package logging

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
)

// The modules of the server. Each has its own log file and level.
const (
	Account  = "account"
	Image    = "image"
	Database = "database"
	HTTP     = "http"
	Server   = "server"
)

var modules = []string{Account, Image, Database, HTTP, Server}

// off is above every level of a line.
const off = slog.Level(math.MaxInt)

var levelNames = []string{"debug", "info", "warn", "error", "none"}

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
	"none":  off,
}

// Levels is the lowest level that each module logs. The zero value logs nothing.
type Levels struct {
	spec     string
	byModule map[string]slog.Level
}

// ParseLevels reads a list such as "info,image=debug": a level for all modules, and levels for single ones.
// Its error names every unknown module and level, and lists the known ones.
func ParseLevels(spec string) (Levels, error) {
	parsed := Levels{spec: spec, byModule: make(map[string]slog.Level, len(modules))}
	single := make(map[string]slog.Level)
	general := slog.LevelInfo
	var errs []error
	for _, part := range strings.Split(spec, ",") {
		module, name, isSingle := strings.Cut(strings.TrimSpace(part), "=")
		if !isSingle {
			module, name = "", module
		}
		level, ok := levels[strings.ToLower(name)]
		if !ok {
			errs = append(errs, fmt.Errorf("unknown level %q: use %s", name, strings.Join(levelNames, ", ")))
		}
		switch {
		case !isSingle:
			general = level
		case slices.Contains(modules, module):
			single[module] = level
		default:
			errs = append(errs, fmt.Errorf("unknown module %q: use %s", module, strings.Join(modules, ", ")))
		}
	}
	for _, module := range modules {
		parsed.byModule[module] = general
		if level, ok := single[module]; ok {
			parsed.byModule[module] = level
		}
	}
	return parsed, errors.Join(errs...)
}

// UnmarshalText reads the format of ParseLevels.
func (l *Levels) UnmarshalText(text []byte) error {
	parsed, err := ParseLevels(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}

// String returns the list that was parsed.
func (l Levels) String() string { return l.spec }

func (l Levels) of(module string) slog.Level {
	if level, ok := l.byModule[module]; ok {
		return level
	}
	return off
}
