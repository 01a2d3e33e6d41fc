package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"gatehouse/internal/browsertest"
)

// tab is what a person sees of the server.
type tab struct {
	*browsertest.Tab
	t    *testing.T
	base string
}

// openTab opens a Chinese browser on a server. The test fails if the console has said anything by
// its end; violations of the pages' policies are among it.
func openTab(t *testing.T, base string, flags ...browsertest.Flag) *tab {
	t.Helper()
	b := &tab{browsertest.Open(t, append(flags, chromedp.Flag("accept-lang", "zh-CN"))...), t, base}
	b.Do("size the window", chromedp.EmulateViewport(1280, 900))
	t.Cleanup(func() {
		if messages := b.Console(); len(messages) > 0 {
			t.Errorf("the console says:\n%s", strings.Join(messages, "\n"))
		}
	})
	return b
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.Do("open "+path, chromedp.Navigate(b.base+path))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.Do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.Do("write into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// text returns the text of an element when it can be seen.
func (b *tab) text(selector string) string {
	b.t.Helper()
	text := browsertest.Get(b.Tab, "read "+selector, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
	return strings.TrimSpace(text)
}

// wantPage waits until the tab shows an element, and checks where it is and what the element says.
func (b *tab) wantPage(path, selector, text string) {
	b.t.Helper()
	got := b.text(selector)
	at := browsertest.Get(b.Tab, "ask where it is", chromedp.Location())
	if at != b.base+path || !strings.Contains(got, text) {
		b.Screenshot("failed")
		b.t.Fatalf("at %s, %s says %q; want %s and %q", at, selector, got, b.base+path, text)
	}
}

func (b *tab) forgetCookies() {
	b.t.Helper()
	b.Do("forget cookies", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
}

// TestLoginInBrowser posts the pages' forms from where a browser says which site they come from, and
// from a phone's view of this machine: plain HTTP under another name, where it says the origin at most.
func TestLoginInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("browser tests are slow; make test-all runs them")
	}
	for name, test := range map[string]struct {
		host  string
		args  []string
		flags []browsertest.Flag
	}{
		"this machine": {host: "127.0.0.1"},
		"phone": {"phone.local", []string{"--lan"},
			[]browsertest.Flag{chromedp.Flag("host-resolver-rules", "MAP phone.local 127.0.0.1")}},
	} {
		t.Run(name, func(t *testing.T) {
			args, _ := databaseArgs(t, "")
			p := start(t, append(args, test.args...)...)
			base := strings.Replace(p.url(), "127.0.0.1", test.host, 1)
			logInAndSwitch(t, newClient(t, p), openTab(t, base, test.flags...))
		})
	}
}

// logInAndSwitch logs in by the form, and follows the links of another user's app: first while the
// browser is logged in, then as a new visitor, who logs out in the end.
func logInAndSwitch(t *testing.T, app *client, b *tab) {
	t.Helper()
	registerAndLogIn(t, app)
	other := strings.NewReplacer("6668888", "6669999")
	messageOf[string](t, app.postJSON("/users/regist", other.Replace(registration)))
	ticketPath := func() string {
		url := messageOf[login](t, app.postJSON("/users/login", other.Replace(credentials))).HomeURL
		return strings.TrimPrefix(url, app.base)
	}
	const greeting = ".greeting bdi"

	b.open("/h5/home")
	b.wantPage("/h5/login", "h1", "登录")
	b.Screenshot("login")
	b.write("#phone", "18866668888")
	b.write("#password", "demo123456")
	b.click("button[type=submit]")
	b.wantPage("/h5/home", greeting, "用户8888")
	b.Screenshot("home")

	ticket := ticketPath()
	b.open(ticket)
	b.wantPage(ticket, "h1", "要切换账号吗")
	b.Screenshot("switch")
	b.click("button[type=submit]")
	b.wantPage("/h5/home", greeting, "用户9999")

	b.forgetCookies()
	b.open(ticketPath())
	b.wantPage("/h5/home", greeting, "用户9999")

	b.click(".leave button")
	b.wantPage("/h5/login", ".panel h1", "登录")
	b.open("/h5/home")
	b.wantPage("/h5/login", ".panel h1", "登录")
}

func TestDocsInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("browser tests are slow; make test-all runs them")
	}
	args, _ := databaseArgs(t, "")
	p := start(t, args...)
	messageOf[string](t, newClient(t, p).postJSON("/users/regist", registration))
	b := openTab(t, p.url())

	b.open("/docs/")
	b.text("#operations-users-loginUser")
	b.Screenshot("docs")
	var answer struct{ Data struct{ Msg login } }
	if err := json.Unmarshal([]byte(b.execute("loginUser")), &answer); err != nil {
		t.Fatalf("the login that is shown: %v", err)
	}

	b.click(".scheme-container .authorize")
	b.text(".modal-ux .auth-container")
	b.Screenshot("authorize")
	if focused := browsertest.Evaluate[string](b.Tab, "document.activeElement.id"); focused != "auth-bearer-value" {
		t.Errorf("the dialog gives the focus to %q, want the access token's field", focused)
	}
	b.write("#auth-bearer-value", answer.Data.Msg.AccessToken)
	b.click(".modal-ux .auth-container .authorize")
	b.click(".modal-ux .btn-done")
	if shown := b.execute("getCurrentUser"); !strings.Contains(shown, answer.Data.Msg.User.ID) {
		t.Errorf("/users/me shows %s, want user %s", shown, answer.Data.Msg.User.ID)
	}
	b.Screenshot("tried")
}

// execute opens an operation of the users in Swagger UI, runs it with its example, and returns
// the answer that is shown, which must be a 200.
func (b *tab) execute(operation string) string {
	b.t.Helper()
	block := "#operations-users-" + operation
	b.click(block + " .opblock-summary-control")
	b.click(block + " .execute")
	if status := b.text(block + " .live-responses-table tr.response .response-col_status"); !strings.HasPrefix(status, "200") {
		b.Screenshot("failed")
		b.t.Fatalf("%s shows status %q, want 200", operation, status)
	}
	return b.text(block + " .live-responses-table tr.response .highlight-code code")
}
