package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/dbtest"
)

const (
	registration = `{"phone":"18866668888","password":"demo123456","code":"123456"}`
	credentials  = `{"phone":"18866668888","password":"demo123456"}`
	ok           = `{"data":{"msg":"ok","code":0}}`
)

// mode is a way to run the server and to reach it.
type mode struct {
	name   string
	args   func(t *testing.T) []string
	client func(t *testing.T, p *process) *client
	from   string // the logged address of the client
}

var modes = []mode{
	{"dev", func(*testing.T) []string { return nil }, newClient, "127.0.0.1"},
	{"production", productionArgs, newPublicClient, clientIP},
}

// inEveryMode runs a test once for each mode and database.
func inEveryMode(t *testing.T, test func(t *testing.T, mode mode, database string)) {
	t.Helper()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			dbtest.RunURL(t, func(t *testing.T, database string) { test(t, mode, database) })
		})
	}
}

func TestStory(t *testing.T) {
	inEveryMode(t, func(t *testing.T, mode mode, database string) {
		args, dataDir := databaseArgs(t, database)
		p := start(t, append(args, mode.args(t)...)...)
		secrets := playStory(t, mode.client(t, p))
		p.stop(t)
		checkLogs(t, p, dataDir, mode.from, secrets)
	})
}

type login struct {
	AccessToken, TokenType, HomeURL string
	ExpiresIn                       int
	User                            user
}

type user struct {
	ID, Phone, Nickname string
	HomeVisits          int
}

type uploaded struct {
	ImageURL []string
	Images   []struct {
		ID, URL, Name, ContentType string
		Width, Height, Bytes       int
	}
}

// playStory plays the booklet's whole story. It returns what no log may contain.
func playStory(t *testing.T, app *client) (secrets []string) {
	t.Helper()
	if got := app.postJSON("/users/regist", registration); got.status != http.StatusOK || strings.TrimSpace(got.body) != ok {
		t.Fatalf("register: %d %s", got.status, got.body)
	}
	app.postJSON("/users/regist", registration).wantError(t, http.StatusConflict, 1002)
	app.postJSON("/users/login", `{"phone":"18866668888","password":"not this one"}`).wantError(t, http.StatusUnauthorized, 1005)

	login := messageOf[login](t, app.postJSON("/users/login", credentials))
	if login.TokenType != "Bearer" || login.ExpiresIn != 900 || login.User.Phone != "+8618866668888" {
		t.Errorf("login: %+v", login)
	}
	cookie := openHomePage(t, app, login)
	bearer := []string{"Authorization", "Bearer " + login.AccessToken}
	if me := messageOf[user](t, app.get("/users/me", bearer...)); me.ID != login.User.ID || me.HomeVisits != 1 {
		t.Errorf("me: %+v, want user %s after 1 visit", me, login.User.ID)
	}
	uploadAndLoad(t, app, bearer)
	app.get("/users/login?phone=18866668888&password=demo123456") // refused in production
	app.get("/no/such/path?ticket=demo123456").wantError(t, http.StatusNotFound, 9004)

	ticket := mustParse(t, login.HomeURL).Query().Get("ticket")
	return []string{"demo123456", "not this one", login.AccessToken, ticket, cookie, "ticket=", "phone=", "18866668888"}
}

// openHomePage follows homeUrl as a WebView does, and returns the session cookie.
func openHomePage(t *testing.T, app *client, login login) (cookie string) {
	t.Helper()
	if !strings.HasPrefix(login.HomeURL, app.base+"/h5/home?ticket=") {
		t.Fatalf("homeUrl is %s, want one at %s", login.HomeURL, app.base)
	}
	page := app.get(login.HomeURL)
	if page.status != http.StatusOK || page.url.String() != app.base+"/h5/home" || !strings.Contains(page.body, login.User.Nickname) {
		t.Errorf("home page: %d at %s, want the page of %s\n%s", page.status, page.url, login.User.Nickname, page.body)
	}
	cookies := app.http.Jar.Cookies(mustParse(t, app.base))
	if len(cookies) != 1 {
		t.Fatalf("%d cookies, want the session's", len(cookies))
	}

	app.http.Jar = newJar(t) // another browser, into which the used URL was copied
	if page := app.get(login.HomeURL); page.url.Path != "/h5/login" {
		t.Errorf("a used homeUrl leads to %s, want the login page", page.url)
	}
	return cookies[0].Value
}

func uploadAndLoad(t *testing.T, app *client, bearer []string) {
	t.Helper()
	files := []file{{"我的照片.png", pngPicture(t)}, {"../../evil.jpg", gifPicture(t)}}
	app.upload(files).wantError(t, http.StatusUnauthorized, 1006)
	stored := messageOf[uploaded](t, app.upload(files, bearer...))
	if len(stored.ImageURL) != 2 || len(stored.Images) != 2 {
		t.Fatalf("upload: %+v, want two pictures", stored)
	}
	if got := stored.Images[0]; got.Name != "我的照片.png" || got.Width != 40 || got.Height != 30 || got.ContentType != "image/png" {
		t.Errorf("the first picture is %+v", got)
	}
	for i, address := range stored.ImageURL {
		if !strings.HasPrefix(address, app.base+"/static/image/") || address != stored.Images[i].URL {
			t.Errorf("picture %d is at %s", i, address)
		}
		loaded := app.get(address)
		if loaded.status != http.StatusOK || !bytes.Equal([]byte(loaded.body), files[i].content) {
			t.Errorf("picture %d: status %d and %d bytes, want the %d that were sent", i, loaded.status, len(loaded.body), len(files[i].content))
		}
		if again := app.get(address, "If-None-Match", loaded.header.Get("ETag")); again.status != http.StatusNotModified {
			t.Errorf("picture %d again: status %d, want 304", i, again.status)
		}
	}
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// checkLogs checks everything that a process has written to its outputs and logs.
func checkLogs(t *testing.T, p *process, dataDir, from string, secrets []string) {
	t.Helper()
	written := map[string]string{"stdout": p.stdout.String(), "stderr": p.stderr.String()}
	logDir := filepath.Join(dataDir, "log")
	err := filepath.WalkDir(logDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		wantMode(t, path, 0o600)
		content, err := os.ReadFile(path)
		written[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range written {
		for _, secret := range secrets {
			if strings.Contains(content, secret) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
	}
	requests := written[filepath.Join(logDir, "http", "http.log")]
	line := regexp.MustCompile(`(?m)^\S+ INFO http \S+\.go:\d+ request method=POST route=/users/regist status=200 duration=\S+ bytes=31 client=` +
		regexp.QuoteMeta(from) + ` request_id=\S+$`)
	if !line.MatchString(requests) || !line.MatchString(written["stderr"]) {
		t.Errorf("no line of the registration from %s in http.log and on the console:\n%s", from, requests)
	}
	if users := written[filepath.Join(logDir, "account", "account.log")]; !strings.Contains(users, "user registered") {
		t.Errorf("account.log lacks the registration:\n%s", users)
	}
}

func TestNoLogs(t *testing.T) {
	args, dataDir := databaseArgs(t, "")
	p := start(t, append(args, "--log-level", "none")...)
	newClient(t, p).postJSON("/users/regist", registration)
	p.stop(t)
	if p.stderr.String() != "" {
		t.Errorf("the console says %q, want nothing", p.stderr.String())
	}
	if _, err := os.Stat(filepath.Join(dataDir, "log")); !os.IsNotExist(err) {
		t.Errorf("there is a folder of logs (%v), want none", err)
	}
}

// TestBooklet plays the story as the booklet's server answered it. Package httpapi has every other answer.
func TestBooklet(t *testing.T) {
	inEveryMode(t, func(t *testing.T, mode mode, database string) {
		args, _ := databaseArgs(t, database)
		p := start(t, append(append(args, "--compat", "booklet"), mode.args(t)...)...)
		app := mode.client(t, p)

		app.postJSON("/users/regist", registration).wantBooklet(t, "register", `{"data": {"msg": "ok", "code": 0}}`)
		app.postJSON("/users/regist", registration).wantBooklet(t, "register again", `{"data": {"msg": "用户已注册，请直接登录", "code": 1002}}`)
		app.postJSON("/users/regist", "hello").wantBooklet(t, "register with no JSON", `{"data": {"msg": "入参非法", "code": 1001}}`)

		page := app.get("/users/login?phone=18866668888&password=demo123456")
		if page.status != http.StatusOK || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || !strings.Contains(page.body, "MY DEMO H5") {
			t.Errorf("login: %d %s, want the home page", page.status, page.header.Get("Content-Type"))
		}
		app.get("/users/login?phone=18866660000&password=demo123456").wantBooklet(t, "login of a stranger", `{"data": {"msg": "用户尚未注册，请先注册", "code": 1003}}`)

		uploadAsInBooklet(t, app)
		app.upload([]file{{"demo.jpg", nil}}).wantBooklet(t, "upload an empty picture", `{"data": {"msg": "上传图片不能为空", "code": 2001}}`)
		p.stop(t)
	})
}

func uploadAsInBooklet(t *testing.T, app *client) {
	t.Helper()
	files := []file{{"demo.jpg", pngPicture(t)}, {"demo.jpg", gifPicture(t)}}
	stored := app.upload(files)
	address := regexp.MustCompile(regexp.QuoteMeta(app.base) + `/static/image/[a-z0-9]+`)
	got := stored
	got.body = address.ReplaceAllString(got.body, "URL")
	got.wantBooklet(t, "upload", `{"data": {"msg": {"imageUrl": ["URL.png", "URL.gif"]}, "code": 0}}`)
	for i, name := range messageOf[uploaded](t, stored).ImageURL {
		if loaded := app.get(name); !bytes.Equal([]byte(loaded.body), files[i].content) {
			t.Errorf("picture %d is not the one that was sent", i)
		}
	}
}

// wantBooklet checks an answer against the booklet's, to the order of the members; only the blanks of Python's JSON are ours.
func (a answer) wantBooklet(t *testing.T, name, want string) {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(a.body); a.status != http.StatusOK || got != compact.String() {
		t.Errorf("%s: %d %s\nwant 200 %s", name, a.status, got, compact.String())
	}
}

func TestDevRefusesProxies(t *testing.T) {
	args, _ := databaseArgs(t, "")
	app := newClient(t, start(t, args...))
	app.get("/healthz", "X-Forwarded-For", "203.0.113.7").wantError(t, http.StatusForbidden, 9009)
	if got := app.get("/healthz"); got.status != http.StatusOK {
		t.Errorf("without a proxy: status %d, want 200", got.status)
	}
}

func TestLANShowsQRCode(t *testing.T) {
	args, _ := databaseArgs(t, "")
	const public = "http://192.168.1.7:8000" // for machines that are in no private network
	p := launch(t, append(args, "--addr", "127.0.0.1:0", "--lan", "--public-url", public)...)
	eventually(t, "the banner is whole", func() bool { return strings.Contains(p.stdout.String(), "scan this") })
	banner := p.stdout.String()
	if !strings.Contains(banner, public+"/h5/home") {
		t.Errorf("the banner does not say where the home page is:\n%s", banner)
	}
	if rows := regexp.MustCompile(`(?m)^[█▀▄ ]{21,}$`).FindAllString(banner, -1); len(rows) < 12 {
		t.Errorf("%d rows of a QR code, want at least 12:\n%s", len(rows), banner)
	}
}
