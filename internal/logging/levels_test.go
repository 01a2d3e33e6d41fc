package logging

import (
	"log/slog"
	"strings"
	"testing"
)

func TestParseLevels(t *testing.T) {
	tests := []struct {
		spec       string
		wantImage  slog.Level
		wantServer slog.Level
		wantErr    []string
	}{
		{spec: "info", wantImage: slog.LevelInfo, wantServer: slog.LevelInfo},
		{spec: "info,image=debug", wantImage: slog.LevelDebug, wantServer: slog.LevelInfo},
		{spec: "image=debug, error", wantImage: slog.LevelDebug, wantServer: slog.LevelError},
		{spec: "image=warn", wantImage: slog.LevelWarn, wantServer: slog.LevelInfo},
		{spec: "WARN", wantImage: slog.LevelWarn, wantServer: slog.LevelWarn},
		{spec: "none", wantImage: off, wantServer: off},
		{spec: "debug,image=none", wantImage: off, wantServer: slog.LevelDebug},
		{spec: "none,image=info", wantImage: slog.LevelInfo, wantServer: off},
		{spec: "", wantErr: []string{`unknown level "": use debug, info, warn, error, none`}},
		{spec: "loud,imgae=debug,image=5", wantErr: []string{
			`unknown level "loud"`, `unknown level "5"`,
			`unknown module "imgae": use account, image, database, http, server`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			levels, err := ParseLevels(tt.spec)
			if (err != nil) != (tt.wantErr != nil) {
				t.Fatalf("error = %v, want %q", err, tt.wantErr)
			}
			for _, want := range tt.wantErr {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %q in it", err, want)
				}
			}
			if err != nil {
				return
			}
			if got := levels.of(Image); got != tt.wantImage {
				t.Errorf("image = %v, want %v", got, tt.wantImage)
			}
			if got := levels.of(Server); got != tt.wantServer {
				t.Errorf("server = %v, want %v", got, tt.wantServer)
			}
			if levels.String() != tt.spec {
				t.Errorf("String() = %q, want %q", levels, tt.spec)
			}
		})
	}
}
