package browsertest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

func TestStartGivesUp(t *testing.T) {
	mute := filepath.Join(t.TempDir(), "chromium")
	if err := os.WriteFile(mute, []byte("#!/bin/sh\nexec sleep 600\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, mute, 50*time.Millisecond, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestConsoleIsTakenOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("browser tests are slow; make test-all runs them")
	}
	tab := Open(t)
	tab.Do("open a page", chromedp.Navigate("data:text/html,<script>console.log('first')</script>"))
	if got := tab.Console(); len(got) != 1 {
		t.Errorf("the console says %q, want one message", got)
	}
	if got := Evaluate[int](tab, "Promise.resolve(6 * 7)"); got != 42 {
		t.Errorf("the promise gives %d, want 42", got)
	}
	if got := tab.Console(); got != nil {
		t.Errorf("the console says again %q", got)
	}
}
