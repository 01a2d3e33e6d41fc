package certificate

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"go.uber.org/zap"
)

func TestLinesOfCertmagicAreOurs(t *testing.T) {
	tests := []struct {
		name  string
		level slog.Level // of our log
		write func(*zap.Logger)
		want  string
	}{
		{"information is for debugging", slog.LevelInfo, func(l *zap.Logger) { l.Info("lock acquired") }, ""},
		{"with debugging", slog.LevelDebug, func(l *zap.Logger) { l.Info("lock acquired", zap.String("identifier", "a")) },
			"level=DEBUG msg=\"certificates: lock acquired\" identifier=a\n"},
		{"warning", slog.LevelInfo, func(l *zap.Logger) { l.Warn("slow") }, "level=WARN msg=\"certificates: slow\"\n"},
		{"error, with fields of before", slog.LevelInfo, func(l *zap.Logger) {
			l.Named("obtain").With(zap.Int("attempt", 2)).Error("will retry", zap.Error(errors.New("no answer")))
		}, "level=ERROR msg=\"certificates: will retry\" attempt=2 error=\"no answer\"\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			test.write(newZapLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
				Level: test.level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				},
			}))))
			if out.String() != test.want {
				t.Errorf("logged %q, want %q", out.String(), test.want)
			}
		})
	}
}
