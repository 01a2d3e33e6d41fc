package logging

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
)

const redacted = "[redacted]"

// A key that ends in one of these words, in any case, hides its value: accessToken, set-cookie, phonePassword.
var secretEndings = []string{"password", "token", "ticket", "authorization", "cookie", "secret"}

// These hide their value only where they are the whole key: status_code is no secret.
var secretKeys = []string{"code", "query"}

// isSecret is the net under a rule: nobody logs a secret in the first place.
func isSecret(key string) bool {
	if len(key) < len("code") {
		return false
	}
	switch key[len(key)-1] | 0x20 { // the words end in these letters, most keys do not
	case 'd', 'n', 't', 'e', 'y':
	default:
		return false
	}
	for _, ending := range secretEndings {
		if start := len(key) - len(ending); start >= 0 && strings.EqualFold(key[start:], ending) {
			return true
		}
	}
	for _, whole := range secretKeys {
		if strings.EqualFold(key, whole) {
			return true
		}
	}
	return false
}

// replaceJSON hides secrets, and shortens the source of a line.
func replaceJSON(groups []string, attr slog.Attr) slog.Attr {
	if isSecret(attr.Key) || slices.ContainsFunc(groups, isSecret) {
		return slog.String(attr.Key, redacted)
	}
	if attr.Key != slog.SourceKey || len(groups) > 0 {
		return attr
	}
	if source, ok := attr.Value.Any().(*slog.Source); ok {
		return slog.String(slog.SourceKey, shortSource(source.File, source.Line))
	}
	return attr
}

// flushing has lines written at once after an error.
type flushing struct {
	slog.Handler
	out *outlet
}

// Handle hands the record on.
func (f flushing) Handle(ctx context.Context, r slog.Record) error {
	err := f.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		f.out.flush()
	}
	return err
}

// WithAttrs returns a handler whose lines bear the attributes.
func (f flushing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushing{f.Handler.WithAttrs(attrs), f.out}
}

// WithGroup returns a handler that puts attributes into a group.
func (f flushing) WithGroup(name string) slog.Handler {
	return flushing{f.Handler.WithGroup(name), f.out}
}

func reportJSON(w io.Writer, lost int, cause error) {
	slog.New(slog.NewJSONHandler(w, nil)).LogAttrs(context.Background(), slog.LevelWarn, "log lines were lost", reportAttrs(lost, cause)...)
}
