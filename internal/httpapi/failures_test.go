package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"

	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

// TestDatabaseIsGone closes the database under the server: every operation that needs it says so
// without a word of the cause.
func TestDatabaseIsGone(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, inDevelopment)
		u := s.newUser(t)
		ours, requests := cookie(s.newCookie(t, u)), s.declaring(t, u, apperr.Internal)
		if err := s.database.Close(); err != nil {
			t.Fatal(err)
		}
		for id, request := range requests {
			if slices.Contains(inMemory, id) {
				continue
			}
			r := request()
			if a := s.send(t, r).want(t, apperr.Internal); len(a.errors.Details) == 0 && r.Method != http.MethodHead {
				t.Errorf("%s tells the developer nothing", id)
			}
		}
		s.send(t, get(homePath, ours, browser)).wantStatus(t, http.StatusInternalServerError).wantText(t, "sql: ")
		production := s.options
		production.Dev = false
		s.start(t, production)
		for id, request := range requests {
			if slices.Contains(inMemory, id) || id == "loginForHomePage" {
				continue
			}
			if a := s.send(t, request()).want(t, apperr.Internal); len(a.errors.Details) > 0 || strings.Contains(string(a.body), "sql: ") {
				t.Errorf("%s tells the cause: %s", id, a.body)
			}
		}
		page := s.send(t, get(homePath, ours, browser)).wantStatus(t, http.StatusInternalServerError).wantText(t, "服务器内部错误")
		if strings.Contains(string(page.body), "sql: ") {
			t.Errorf("the page tells the cause:\n%s", page.body)
		}
	})
}

// TestDatabaseServerIsGone stops the database's server: clients are asked to come back.
func TestDatabaseServerIsGone(t *testing.T) {
	mariadb, err := dbtest.StartServer()
	if errors.Is(err, dbtest.ErrNotInstalled) && !dbtest.NoSkip() {
		withoutServer = true
		t.Skip(dbtest.Banner)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mariadb.Stop() }) // fails where it has stopped already
	s := newServer(t, mariadb.CreateDatabase(t), inDevelopment)
	requests := s.declaring(t, s.newUser(t), apperr.ServerBusy)
	if err := mariadb.Stop(); err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup // each waits for a while
	for id, request := range requests {
		asking.Go(func() {
			if a := s.send(t, request()); a.code != apperr.ServerBusy || a.header.Get("Retry-After") != "1" {
				t.Errorf("%s is answered %d, to try again in %q s", id, a.code, a.header.Get("Retry-After"))
			}
		})
	}
	asking.Wait()
}

// TestHalfClosedConnection sends a whole request and closes its half of the connection: the answer
// is a true one, or none.
func TestHalfClosedConnection(t *testing.T) {
	s := newServer(t, "")
	conn, err := net.Dial("tcp", s.base.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"phone":"18866668888","password":"` + password + `","code":"` + code + `"}`
	fmt.Fprintf(conn, "POST /users/regist HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answered, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	users := s.count(t, "users")
	if said := strings.HasSuffix(string(answered), `{"data":{"msg":"ok","code":0}}`+"\n"); said && users != 1 || !said && len(answered) > 0 {
		t.Errorf("with %d users the answer is %q", users, answered)
	}
}

func TestNoHashGetsItsTurn(t *testing.T) {
	s := newServer(t, "", inDevelopment, overwhelmed)
	login := []string{"phone", "18866668888", "password", password}
	for _, r := range []*http.Request{
		registration("18866668888"), credentials("18866668888", password), postForm(loginPath, login),
		get("/users/login?phone=18866668888&password=open+sesame+8"),
	} {
		s.send(t, r).want(t, apperr.ServerBusy).wantHeader(t, "Retry-After", "1")
	}
	s.send(t, postForm(loginPath, login, browser)).wantStatus(t, http.StatusServiceUnavailable).wantHeader(t, "Retry-After", "1")
	if users := s.count(t, "users"); users != 0 {
		t.Errorf("%d users are registered", users)
	}
}

// TestPictureCannotBeOpened puts a file where a folder should be.
func TestPictureCannotBeOpened(t *testing.T) {
	s := newServer(t, "")
	path := s.newImage(t, tinyPNG(t))
	shard := filepath.Join(s.imageDir, filepath.Base(path)[:2])
	if err := os.RemoveAll(shard); err != nil {
		t.Fatal(err)
	}
	s.send(t, get(path)).want(t, apperr.ImageNotFound)
	if err := os.WriteFile(shard, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.send(t, get(path)).want(t, apperr.Internal)
	s.send(t, head(path)).wantStatus(t, http.StatusInternalServerError)
}

// TestStorageIsGone asks for pictures that are in an S3 that nobody listens for.
func TestStorageIsGone(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		path := s.newImage(t, photograph(t, 100, 60))
		moved := s.stood
		moved.images.Store = goneStorage(t)
		s.start(t, s.build(t, moved))
		for _, query := range []string{"", "?w=32"} {
			s.send(t, get(path+query)).want(t, apperr.StorageUnavailable).wantHeader(t, "Retry-After", "5")
			s.send(t, head(path+query)).wantStatus(t, http.StatusServiceUnavailable).wantHeader(t, "Retry-After", "5")
		}
		s.send(t, uploadOf([]file{{"a", tinyPNG(t)}}, bearer(u.token))).want(t, apperr.StorageUnavailable).wantHeader(t, "Retry-After", "5")
		if page := s.imagesOf(t, u, ""); len(page.Images) > 0 {
			t.Errorf("%d pictures are listed that were not stored", len(page.Images))
		}
	})
}

// goneStorage is an S3 whose endpoint refuses connections.
func goneStorage(t testing.TB) *storage.Store {
	t.Helper()
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listening.Close(); err != nil {
		t.Fatal(err)
	}
	shelf, err := storage.OpenS3(storage.S3Options{
		Endpoint: listening.Addr().String(), Region: "us-east-1", Bucket: "pictures", KeyID: "id", KeySecret: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, storage.Options{Shelf: shelf, Spool: t.TempDir()})
}

// TestBrokenTemplates breaks the files of pages while the server runs.
func TestBrokenTemplates(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, "", inDevelopment, func(s *setup) { s.site.Dir, s.site.Reload = dir, true })
	if err := os.Mkdir(filepath.Join(dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, template := range map[string]string{loginPath: "login", "/h5/about": "about", "/docs/": "docs"} {
		s.send(t, get(path)).wantStatus(t, http.StatusOK)
		file := filepath.Join(dir, "templates", template+".html")
		if err := os.WriteFile(file, []byte("{{broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.send(t, get(path)).want(t, apperr.Internal)
		s.send(t, get(path, browser)).wantStatus(t, http.StatusInternalServerError).wantText(t, template+".html")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPanics(t *testing.T) {
	s := newServer(t, "")
	broken := s.options
	broken.Accounts, broken.Images, broken.Sessions = nil, nil, nil
	s.start(t, broken)
	for _, r := range []*http.Request{registration("18866668888"), credentials("18866668888", password), get("/static/image/" + strings.Repeat("a", 26) + ".jpg"), get("/.well-known/jwks.json")} {
		a := s.send(t, r).want(t, apperr.Internal)
		if len(a.errors.Details) > 0 || strings.Contains(string(a.body), "nil pointer") {
			t.Errorf("the cause is told: %s", a.body)
		}
	}
	if !s.logs.has("level=ERROR", "msg=panic", "goroutine", "request_id=") || !s.logs.has("level=ERROR", `msg="request failed"`, "nil pointer") {
		t.Errorf("the log has no stack:\n%s", s.logs)
	}
	s.send(t, get("/healthz")).want(t, apperr.OK)
}

// TestPanicInTheMiddleOfAnAnswer cuts the answer off, so that nobody takes it for a whole one.
func TestPanicInTheMiddleOfAnAnswer(t *testing.T) {
	whole := newServer(t, "")
	s := &server{Options: whole.options}
	r := chi.NewRouter()
	r.Use(s.identify, s.logRequests, s.recoverPanics)
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("half an answer", 1000))
		panic("here")
	})
	listening := httptest.NewServer(r)
	defer listening.Close()
	response, err := http.Get(listening.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the answer of %d bytes came to an end", len(body))
	}
	whole.logs.await("msg=request", "status=200")
}
