package logging

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
)

const redacted = "[redacted]"

// The value of a key that ends in one of these words, in upper or lower case, is hidden: accessToken, set-cookie.
var secretEndings = []string{"password", "token", "ticket", "authorization", "cookie", "secret"}

// The value of one of these keys is hidden only if the whole key matches: status_code is not a secret.
var secretKeys = []string{"code", "query"}

// isSecret is a safety net: no code should log a secret in the first place.
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

// replaceJSON hides secrets, and shortens the source position of a line.
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
