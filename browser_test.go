package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"gatehouse/internal/dbtest"
)

// tab is what a person sees of the server.
type tab struct {
	t       *testing.T
	ctx     context.Context
	base    string
	console func() []string
}

// openTab opens a browser on a server. It ends with the test, which fails if the console has said
// anything by then; violations of the pages' policies are among it.
func openTab(t *testing.T, p *process) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("accept-lang", "zh-CN"))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, base: p.url(), console: listen(t, ctx)}
	t.Cleanup(func() {
		if messages := b.console(); len(messages) > 0 {
			t.Errorf("the console says:\n%s", strings.Join(messages, "\n"))
		}
	})
	return b
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "chromium is not installed")
	return ""
}

// missing skips the test in words that stand out, or fails it where skipping is forbidden.
func missing(t *testing.T, what string) {
	t.Helper()
	if dbtest.NoSkip() {
		t.Fatal(what)
	}
	t.Skip("SKIP-MISSING: " + what)
}

// listen collects what a tab writes to its console.
func listen(t *testing.T, ctx context.Context) func() []string {
	t.Helper()
	var mu sync.Mutex
	var messages []string
	err := chromedp.Listen(ctx, func(event any) {
		switch event.(type) {
		case *log.EventEntryAdded, *runtime.EventConsoleAPICalled, *runtime.EventExceptionThrown:
			message, err := json.Marshal(event)
			if err != nil {
				message = []byte(err.Error())
			}
			mu.Lock()
			defer mu.Unlock()
			messages = append(messages, string(message))
		}
	})
	if err != nil {
		t.Fatalf("listen to the console: %v", err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return messages
	}
}

// do runs actions, each of which waits for what it is about.
func (b *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.screenshot("failed")
		b.t.Fatalf("%s: %v; console: %v", what, err, b.console())
	}
}

func (b *tab) open(target string) {
	b.t.Helper()
	b.do("open "+target, chromedp.Navigate(target))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.do("write into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// text returns the text of an element when it can be seen.
func (b *tab) text(selector string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
	if err != nil {
		b.screenshot("failed")
		b.t.Fatalf("read %s: %v; console: %v", selector, err, b.console())
	}
	return strings.TrimSpace(text)
}

// wantPage waits until the tab is at a path and shows a text in an element.
func (b *tab) wantPage(path, selector, text string) {
	b.t.Helper()
	got := b.text(selector)
	at, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		b.t.Fatal(err)
	}
	if at != b.base+path || !strings.Contains(got, text) {
		b.t.Fatalf("at %s, %s says %q; want %s and %q", at, selector, got, b.base+path, text)
	}
}

func (b *tab) forgetCookies() {
	b.t.Helper()
	b.do("forget cookies", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
}

// screenshot keeps a picture of the page in $GATEHOUSE_TEST_SCREENSHOTS, for people to look at.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("GATEHOUSE_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, b.t.Name()+"-"+name+".png"), picture, 0o644)
	}
	if err != nil {
		b.t.Errorf("take a screenshot: %v", err)
	}
}

func TestLoginInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("browser tests are slow; make test-all runs them")
	}
	args, _ := databaseArgs(t, "")
	p := start(t, args...)
	b, app := openTab(t, p), newClient(t, p)
	registerAndLogIn(t, app)
	other := strings.NewReplacer("6668888", "6669999")
	messageOf[string](t, app.postJSON("/users/regist", other.Replace(registration)))
	homeURL := func() string {
		return messageOf[login](t, app.postJSON("/users/login", other.Replace(credentials))).HomeURL
	}
	const greeting = ".greeting bdi"

	b.open(b.base + "/h5/home")
	b.wantPage("/h5/login", "h1", "登录")
	b.screenshot("login")
	b.write("#phone", "18866668888")
	b.write("#password", "demo123456")
	b.click("button[type=submit]")
	b.wantPage("/h5/home", greeting, "用户8888")
	b.screenshot("home")

	ticket := homeURL()
	b.open(ticket)
	b.wantPage(strings.TrimPrefix(ticket, b.base), "h1", "要切换账号吗")
	b.screenshot("switch")
	b.click("button[type=submit]")
	b.wantPage("/h5/home", greeting, "用户9999")

	b.forgetCookies()
	b.open(homeURL())
	b.wantPage("/h5/home", greeting, "用户9999")
}

func TestDocsInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("browser tests are slow; make test-all runs them")
	}
	args, _ := databaseArgs(t, "")
	p := start(t, args...)
	messageOf[string](t, newClient(t, p).postJSON("/users/regist", registration))
	b := openTab(t, p)

	b.open(b.base + "/docs/")
	b.text("#operations-users-loginUser")
	b.screenshot("docs")
	var answer struct{ Data struct{ Msg login } }
	if err := json.Unmarshal([]byte(b.execute("loginUser")), &answer); err != nil {
		t.Fatalf("the login that is shown: %v", err)
	}

	b.click(".scheme-container .authorize")
	b.screenshot("authorize")
	b.write("#auth-bearer-value", answer.Data.Msg.AccessToken)
	b.click(".modal-ux .auth-container .authorize")
	b.click(".modal-ux .btn-done")
	if shown := b.execute("getCurrentUser"); !strings.Contains(shown, answer.Data.Msg.User.ID) {
		t.Errorf("/users/me shows %s, want user %s", shown, answer.Data.Msg.User.ID)
	}
	b.screenshot("tried")
}

// execute opens an operation of the users in Swagger UI, runs it with its example, and returns
// the answer that is shown, which must be a 200.
func (b *tab) execute(operation string) string {
	b.t.Helper()
	block := "#operations-users-" + operation
	b.click(block + " .opblock-summary-control")
	b.click(block + " .execute")
	if status := b.text(block + " .live-responses-table tr.response .response-col_status"); !strings.HasPrefix(status, "200") {
		b.screenshot("failed")
		b.t.Fatalf("%s shows status %q, want 200", operation, status)
	}
	return b.text(block + " .live-responses-table tr.response .highlight-code code")
}
