// Package browsertest shows pages to tests in a real Chromium. Nothing in it waits for ever: every
// step has a time limit, and so has the browser as a whole.
package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	// patience is how long one step may take, on a machine that is busy.
	patience = 30 * time.Second
	// lifetime is how long a browser may live, so that many steps that fail slowly do not add up.
	lifetime = 5 * time.Minute
)

// Flag is a switch of Chromium's command line.
type Flag = chromedp.ExecAllocatorOption

// Tab is the one tab of a browser, as a test sees it.
type Tab struct {
	t       testing.TB
	ctx     context.Context
	console *console
}

// Open starts a browser that ends with the test. Without Chromium the test is skipped, see Missing.
func Open(t testing.TB, flags ...Flag) *Tab {
	t.Helper()
	path, err := chromium()
	if err != nil {
		Missing(t, err.Error())
	}
	browser, err := start(t, path, patience, flags)
	if err != nil {
		t.Logf("start chromium once more: %v", err)
		browser, err = start(t, path, patience, flags)
	}
	if err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	ctx, cancel := context.WithTimeout(browser, lifetime)
	t.Cleanup(cancel)
	tab := &Tab{t, ctx, &console{}}
	if err := chromedp.Listen(ctx, tab.console.hear); err != nil {
		t.Fatalf("listen to the console: %v", err)
	}
	return tab
}

// Missing skips the test for want of something, or fails it where GATEHOUSE_TEST_NO_SKIP forbids to skip.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_NO_SKIP") == "1" {
		t.Fatal(what)
	}
	t.Skip("SKIP: " + what)
}

func chromium() (path string, err error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("chromium is not installed: %w", err)
}

// start starts a browser and returns the context of its first tab. The limit can't be a deadline
// of that context, because the browser ends with it.
func start(t testing.TB, path string, limit time.Duration, flags []Flag) (context.Context, error) {
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []Flag{
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	}, flags)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	late := time.AfterFunc(limit, stop)
	if err := chromedp.Do(ctx); err != nil {
		return nil, err
	}
	if !late.Stop() {
		return nil, context.DeadlineExceeded
	}
	return ctx, nil
}

// In returns the tab for a subtest, which then is the one that its steps fail.
func (tab *Tab) In(t testing.TB) *Tab {
	return &Tab{t, tab.ctx, tab.console}
}

// Do takes steps, named by what they do. If they fail or take too long, the test ends.
func (tab *Tab) Do(what string, steps ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		tab.fail(what, err)
	}
}

// Get takes a step like Do and returns its result.
func Get[T any](tab *Tab, what string, step chromedp.Action[T]) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, step)
	if err != nil {
		tab.fail(what, err)
	}
	return result
}

// Evaluate runs a script in the page and returns its value, or that of its promise.
func Evaluate[T any](tab *Tab, script string) T {
	tab.t.Helper()
	return Get(tab, fmt.Sprintf("evaluate %.60q", script), chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

func (tab *Tab) fail(what string, err error) {
	tab.t.Helper()
	tab.t.Errorf("%s: %v; console: %v", what, err, tab.Console())
	tab.Screenshot("failed")
	tab.t.FailNow()
}

// Screenshot keeps a picture of the whole page in $GATEHOUSE_TEST_SCREENSHOTS, for people to look at.
func (tab *Tab) Screenshot(name string) {
	tab.t.Helper()
	dir := os.Getenv("GATEHOUSE_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		file := filepath.Join(dir, filepath.FromSlash(tab.t.Name())+"-"+name+".png")
		err = errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, picture, 0o644))
	}
	if err != nil {
		tab.t.Errorf("take a screenshot: %v", err)
	}
}

// Console returns what the console has said since the last call, violations of policies among it.
func (tab *Tab) Console() []string {
	return tab.console.take()
}

// console collects messages.
type console struct {
	mu       sync.Mutex
	messages []string
}

func (c *console) hear(event any) {
	switch event.(type) {
	case *log.EventEntryAdded, *runtime.EventConsoleAPICalled, *runtime.EventExceptionThrown:
		message, err := json.Marshal(event)
		if err != nil {
			message = []byte(err.Error())
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.messages = append(c.messages, string(message))
	}
}

func (c *console) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	messages := c.messages
	c.messages = nil
	return messages
}
