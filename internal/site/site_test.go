package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/apperr"
)

var languages = []apperr.Language{apperr.Chinese, apperr.English}

func newSite(t *testing.T, options Options) *Site {
	t.Helper()
	s, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write puts a file into an override directory.
func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func about(t *testing.T, s *Site) string {
	t.Helper()
	page, err := s.About(apperr.English)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestPages(t *testing.T) {
	s := newSite(t, Options{})
	tests := []struct {
		name        string
		render      func(apperr.Language) ([]byte, error)
		wantChinese []string
		wantEnglish []string
	}{
		{
			"home again",
			func(l apperr.Language) ([]byte, error) { return s.Home(l, Home{Nickname: "小明", Visits: 12}) },
			[]string{"MY DEMO H5", "欢迎回来，", "小明", "第 <b>12</b> 次到访", "安心"},
			[]string{"MY DEMO H5", "Welcome back, ", "小明", "visit <b>12</b>", "Safe"},
		},
		{
			"home at first",
			func(l apperr.Language) ([]byte, error) { return s.Home(l, Home{Nickname: "小明", Visits: 1}) },
			[]string{"初次见面，", "首次到访"},
			[]string{"Nice to meet you, ", "first visit"},
		},
		{
			"login",
			func(l apperr.Language) ([]byte, error) { return s.Login(l, Login{}) },
			[]string{`method="post" action="/h5/login"`, `name="phone" type="tel"`, `name="password" type="password"`, "手机号"},
			[]string{`method="post" action="/h5/login"`, `autocomplete="current-password"`, "Phone number"},
		},
		{
			"login refused",
			func(l apperr.Language) ([]byte, error) { return s.Login(l, Login{Refusal: "no & no"}) },
			[]string{`role="alert">no &amp; no</p>`},
			[]string{`role="alert">no &amp; no</p>`},
		},
		{
			"switch",
			func(l apperr.Language) ([]byte, error) {
				return s.Switch(l, Switch{Current: "Ada", Next: "Bob", Ticket: "t-1"})
			},
			[]string{`action="/h5/session"`, `name="ticket" value="t-1"`, "这里已登录为", `href="/h5/home"`},
			[]string{`action="/h5/session"`, `name="ticket" value="t-1"`, "Continue as", `href="/h5/home"`},
		},
		{"about", s.About, []string{"关于", `href="/docs/"`}, []string{"About", `href="/docs/"`}},
		{"docs", s.Docs, []string{`id="swagger-ui"`, "版权说明"}, []string{`id="swagger-ui"`, "notice"}},
		{
			"error",
			func(l apperr.Language) ([]byte, error) {
				return s.Error(l, Error{Status: 404, Message: "nothing", RequestID: "r-1", Cause: "lost"})
			},
			[]string{"404", "nothing", "r-1", "<pre lang=\"en\">lost</pre>", "回到首页"},
			[]string{"404", "nothing", "r-1", "<pre lang=\"en\">lost</pre>", "Back to the home page"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkPage(t, test.render, apperr.Chinese, test.wantChinese)
			checkPage(t, test.render, apperr.English, test.wantEnglish)
		})
	}
}

func checkPage(t *testing.T, render func(apperr.Language) ([]byte, error), language apperr.Language, want []string) {
	t.Helper()
	page, err := render(language)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range append(want, `<html lang="`+string(language)+`">`, "</html>") {
		if !strings.Contains(string(page), part) {
			t.Errorf("%s: no %q in\n%s", language, part, page)
		}
	}
}

func TestHiddenParts(t *testing.T) {
	s := newSite(t, Options{})
	login, err := s.Login(apperr.English, Login{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(login), "alert") {
		t.Error("the login page shows a refusal before there was one")
	}
	failure, err := s.Error(apperr.English, Error{Status: 500, Message: "-"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(failure), "<pre") {
		t.Error("the error page shows a cause without having one")
	}
}

func TestUnknownLanguageIsChinese(t *testing.T) {
	page, err := newSite(t, Options{}).About("")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), `<html lang="zh-CN">`) {
		t.Error("a page without a language is not Chinese")
	}
}

func TestWhatUsersTypeIsEscaped(t *testing.T) {
	const hostile = `"><script>alert(1)</script>`
	s := newSite(t, Options{})
	for name, render := range map[string]func() ([]byte, error){
		"home":   func() ([]byte, error) { return s.Home(apperr.English, Home{Nickname: hostile}) },
		"login":  func() ([]byte, error) { return s.Login(apperr.English, Login{Refusal: hostile}) },
		"switch": func() ([]byte, error) { return s.Switch(apperr.English, Switch{hostile, hostile, hostile}) },
		"error":  func() ([]byte, error) { return s.Error(apperr.English, Error{400, hostile, hostile, hostile}) },
	} {
		page, err := render()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(page), "<script") || !strings.Contains(string(page), "&lt;script&gt;") {
			t.Errorf("%s: %q is not escaped", name, hostile)
		}
	}
}

func TestOverride(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "templates/about.html", `{{define "main"}}<p>our own words</p><img src="{{asset "new.svg"}}" alt="">{{end}}`)
	write(t, dir, "assets/new.svg", "<svg/>")
	s := newSite(t, Options{Dir: dir})

	page := about(t, s)
	if !strings.Contains(page, "our own words") || !strings.Contains(page, AssetsPath+"new.") {
		t.Errorf("the page is not the overriding one:\n%s", page)
	}
	if !strings.Contains(page, "Served by Gatehouse") {
		t.Error("the embedded layout is gone")
	}
	if home, err := s.Home(apperr.English, Home{Nickname: "Ada"}); err != nil || !strings.Contains(string(home), "MY DEMO H5") {
		t.Errorf("the home page was not overridden, yet changed: %v", err)
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "templates/about.html", `{{define "main"}}first{{end}}`)
	fixed, reloading := newSite(t, Options{Dir: dir}), newSite(t, Options{Dir: dir, Reload: true})

	write(t, dir, "templates/about.html", `{{define "main"}}second{{end}}`)
	if page := about(t, fixed); !strings.Contains(page, "first") {
		t.Error("without Reload a change on disk shows")
	}
	if page := about(t, reloading); !strings.Contains(page, "second") {
		t.Error("with Reload a change on disk does not show")
	}
}

func TestReloadOfABrokenTemplate(t *testing.T) {
	dir := t.TempDir()
	s := newSite(t, Options{Dir: dir, Reload: true})
	write(t, dir, "templates/about.html", `{{define "main"}}{{.Nope`)

	_, cause := s.About(apperr.English)
	if cause == nil || !strings.Contains(cause.Error(), filepath.Join(dir, "templates", "about.html")) {
		t.Fatalf("About() = %v, want an error that names the file", cause)
	}
	page, err := s.Error(apperr.English, Error{Status: 500, Message: "-", Cause: cause.Error()})
	if err != nil || !strings.Contains(string(page), "about.html") {
		t.Errorf("the error page does not tell of it: %v", err)
	}
}

func TestNewNamesTheFileThatIsWrong(t *testing.T) {
	tests := []struct {
		name, file, content string
		want                string
	}{
		{"syntax", "templates/home.html", `{{define "main"}}{{if}}{{end}}`, "home.html"},
		{"field", "templates/home.html", `{{define "main"}}{{.Nickname}}{{.Nickel}}{{end}}`, "home.html"},
		{"asset", "templates/login.html", `{{define "main"}}{{asset "gone.png"}}{{end}}`, "login.html"},
		{"unclosed attribute", "templates/about.html", `{{define "main"}}<p class="{{end}}`, "about.html"},
		{"layout", "templates/layout.html", `{{define "layout"}}{{nothing}}{{end}}`, "layout.html"},
		{"directory for a file", "templates/docs.html/x", "", "docs.html"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, test.file, test.content)
			_, err := New(Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New() = %v, want an error with %q", err, test.want)
			}
		})
	}
	t.Run("no such directory", func(t *testing.T) {
		gone := filepath.Join(t.TempDir(), "gone")
		if _, err := New(Options{Dir: gone}); err == nil || !strings.Contains(err.Error(), gone) {
			t.Errorf("New() = %v, want an error with %q", err, gone)
		}
	})
}
