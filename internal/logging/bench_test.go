package logging

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logRequest logs what each request logs.
func logRequest(logger *slog.Logger) {
	logger.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.String("method", "GET"), slog.String("route", "/static/image/{name}"), slog.Int("status", 200),
		slog.Duration("duration", 123456*time.Nanosecond), slog.Int64("bytes", 48123),
		slog.String("client", "203.0.113.17"), slog.String("request_id", "0198c1f2-7a3b-7c4d-8e5f-0123456789ab"))
}

// BenchmarkRequestLine writes to a file, and to a console that is not a terminal.
func BenchmarkRequestLine(b *testing.B) {
	tests := []struct {
		name string
		spec string
		json bool
	}{{"text", "info", false}, {"json", "info", true}, {"disabled", "none", false}}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			levels, err := ParseLevels(tt.spec)
			if err != nil {
				b.Fatal(err)
			}
			console, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer console.Close()
			dir := b.TempDir()
			logs, err := New(Options{Levels: levels, JSON: tt.json, Dir: dir, Console: console})
			if err != nil {
				b.Fatal(err)
			}
			logger := logs.Module(HTTP)
			b.ReportAllocs()
			for b.Loop() {
				logRequest(logger)
			}
			b.StopTimer()
			if err := logs.Close(); err != nil {
				b.Error(err)
			}
			if tt.spec != "none" && strings.Contains(readFile(b, filepath.Join(dir, "http", "http.log")), "log lines were lost") {
				b.Error("lines were lost, so the time is not that of writing them")
			}
		})
	}
}
