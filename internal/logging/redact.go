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

func reportJSON(w io.Writer, lost int, cause error) {
	slog.New(slog.NewJSONHandler(w, nil)).LogAttrs(context.Background(), slog.LevelWarn, "log lines were lost", reportAttrs(lost, cause)...)
}
