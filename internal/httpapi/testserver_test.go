package httpapi

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/internal/account"
	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/idempotency"
	"gatehouse/internal/image"
	"gatehouse/internal/limit"
	"gatehouse/internal/logging"
	"gatehouse/internal/session"
	"gatehouse/internal/site"
	"gatehouse/internal/sms"
	"gatehouse/internal/storage"
	"gatehouse/internal/upload"
	"gatehouse/internal/verify"
	"gatehouse/internal/webhook"
)

const (
	hour = time.Hour
	day  = 24 * hour

	marker   = "sesame" // is in what tests send and nobody may repeat
	password = "open " + marker + " 8"
	code     = "907313"
)

// setup is what a server stands on. A test changes what it is about before the server starts.
type setup struct {
	hasher   account.HasherOptions
	accounts account.Options
	codes    verify.Options
	images   image.Options
	sessions session.Options
	site     site.Options
	uploads  upload.Options // on the storage of images
	api      Options
}

// testServer is a whole server on a real database and a real disk, without the process around it.
type testServer struct {
	base     *url.URL
	client   *http.Client
	options  Options
	stood    setup
	handler  http.Handler
	database *database.Database
	sessions *session.Service
	inbox    *inbox
	clock    *clock
	logs     *logBuffer
	imageDir string

	url, dataDir string // of the database
	users        int    // registered by newUser
}

// newServer starts a server on the database of a URL (empty: SQLite) until the test ends.
func newServer(t testing.TB, databaseURL string, changes ...func(*setup)) *testServer {
	t.Helper()
	s := &testServer{
		url: databaseURL, dataDir: t.TempDir(), imageDir: filepath.Join(t.TempDir(), "image"),
		clock: &clock{now: time.Now()}, logs: newLogBuffer(t), inbox: &inbox{},
	}
	logger := slog.New(requestHandler{slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTimes})})
	s.database = dbtest.OpenIn(t, databaseURL, s.dataDir, logger)
	stood := s.defaults(t, logger)
	for _, change := range changes {
		change(&stood)
	}
	s.stood = stood
	s.options = s.build(t, stood)
	s.start(t, s.options)
	return s
}

// secondNode is another server on the same database, the same disk and the same secret.
func (s *testServer) secondNode(t testing.TB) *testServer {
	t.Helper()
	other := &testServer{
		url: s.url, dataDir: s.dataDir, imageDir: s.imageDir, database: s.database, clock: s.clock, logs: s.logs, inbox: s.inbox,
	}
	other.options = other.build(t, s.stood)
	other.start(t, other.options)
	return other
}

func (s *testServer) defaults(t testing.TB, logger *slog.Logger) setup {
	t.Helper()
	contract, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return setup{
		hasher: account.HasherOptions{Memory: 64, Iterations: 1, Parallelism: 1, Concurrency: 4, Wait: time.Minute},
		images: image.Options{
			Database: s.database, Store: s.openDisk(t), Logger: logger, Now: s.clock.Now, MaxFiles: 9, MaxBytes: 1 << 20,
			Limits:  codec.Limits{Pixels: 50 << 20, Side: 65535, Frames: 1000},
			Decodes: 2, DecodeWait: time.Minute, DecodeMemory: 256 << 20,
			Sizes: []int{32, 64, 160, 320}, Presets: map[string]image.Resize{"avatar": {Width: 160, Height: 160, Fit: codec.Cover}},
			CacheBytes: 1 << 20, LinkKey: bytes.Repeat([]byte{7}, 32), UnownedKept: hour,
		},
		uploads: upload.Options{Database: s.database, Logger: logger, Now: s.clock.Now, MaxBytes: 1 << 20, Lifetime: day, MaxSessions: 20},
		accounts: account.Options{
			Database: s.database, Logger: logger, Now: s.clock.Now, Throttle: true, AbsentAfter: 180 * day, Grace: 7 * day,
		},
		codes: verify.Options{
			Database: s.database, Sender: s.inbox, Logger: logger, Now: s.clock.Now, Key: bytes.Repeat([]byte{4}, 32),
			AnyPhone: code, Prefixes: []string{"+86"}, Budgets: verify.DefaultBudgets(),
		},
		sessions: session.Options{
			Database: s.database, Logger: logger, Now: s.clock.Now,
			SealKey: bytes.Repeat([]byte{1}, 32), CookieKey: bytes.Repeat([]byte{2}, 32), RefreshKey: bytes.Repeat([]byte{3}, 32),
			TicketKey:   bytes.Repeat([]byte{6}, 32),
			RefreshIdle: 30 * day, RefreshLifetime: 180 * day, AccessTokenLifetime: 15 * time.Minute,
			SigningKeyLifetime: 90 * day, TicketLifetime: time.Minute,
		},
		api: Options{
			Logger: logger, Contract: contract, UploadLimit: 1 << 20, Now: s.clock.Now,
			Ready:         func(ctx context.Context) (string, error) { return "unused", s.database.Ready(ctx) },
			Audit:         audit.New(audit.Options{Database: s.database, Now: s.clock.Now, Retention: 180 * day}),
			VerifyVerdict: verifierOf(t, verdictSecret),
		},
	}
}

// openDisk opens the storage in the folder of pictures.
func (s *testServer) openDisk(t testing.TB) *storage.Store {
	t.Helper()
	disk, err := storage.OpenDisk(s.imageDir)
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, storage.Options{Shelf: disk})
}

// openStore opens a storage until the test ends.
func openStore(t testing.TB, o storage.Options) *storage.Store {
	t.Helper()
	store, err := storage.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// verdictSecret is what the moderator and the server share.
const verdictSecret = "whsec_c2VzYW1lIHNlc2FtZSBzZXNhbWUgc2VzYW1lIQ=="

// verifierOf checks who signed, as the server itself does.
func verifierOf(t testing.TB, secret string) func(http.Header, []byte) error {
	t.Helper()
	moderator, err := webhook.New(webhook.Options{URL: "http://localhost/", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	return func(header http.Header, body []byte) error {
		if err := moderator.Verify(header, body); err != nil {
			return apperr.Wrap(apperr.InvalidSignature, err)
		}
		return nil
	}
}

func (s *testServer) build(t testing.TB, stood setup) Options {
	t.Helper()
	var err error
	if s.sessions, err = session.New(t.Context(), stood.sessions); err != nil {
		t.Fatal(err)
	}
	if stood.api.Site, err = site.New(stood.site); err != nil {
		t.Fatal(err)
	}
	stood.api.Idempotency, err = idempotency.New(idempotency.Options{
		Database: s.database, Now: s.clock.Now, Key: bytes.Repeat([]byte{5}, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	stood.api.Codes, stood.api.Sessions = verify.New(stood.codes), s.sessions
	stood.accounts.Hasher, stood.accounts.Codes, stood.accounts.Sessions = account.NewHasher(stood.hasher), stood.api.Codes, s.sessions
	stood.api.Accounts = account.New(stood.accounts)
	if stood.api.Images, err = image.New(stood.images); err != nil {
		t.Fatal(err)
	}
	stood.uploads.Images, stood.uploads.Store = stood.api.Images, stood.images.Store
	stood.api.Uploads = upload.New(stood.uploads)
	stood.api.Limiter = newLimiter(t)
	return stood.api
}

func newLimiter(t testing.TB) *limit.Limiter {
	t.Helper()
	limiter, err := limit.New(limit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return limiter
}

// start serves these options, from a new port.
func (s *testServer) start(t testing.TB, options Options) {
	t.Helper()
	var err error
	if s.handler, err = New(options); err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(s.handler)
	t.Cleanup(listening.Close)
	s.client = listening.Client()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if s.base, err = url.Parse(listening.URL); err != nil {
		t.Fatal(err)
	}
}

func inDevelopment(s *setup) { s.api.Dev = true }

// overwhelmed is a server in which no hash can get its turn.
func overwhelmed(s *setup) { s.hasher.Concurrency, s.hasher.Wait = 0, 0 }

// user is somebody who has registered and logged in.
type user struct {
	id, phone    string
	sessionID    string
	token        string
	refreshToken string
	homePath     string // with a ticket
}

func (s *testServer) newUser(t testing.TB) user {
	t.Helper()
	s.users++
	phone := fmt.Sprintf("1380013%04d", s.users)
	s.send(t, registration(phone)).want(t, 0)
	return s.login(t, phone)
}

func (s *testServer) login(t testing.TB, phone string) user {
	t.Helper()
	return userOf(t, phone, s.send(t, credentials(phone, password)))
}

// userOf is who an answer has logged in.
func userOf(t testing.TB, phone string, a answer) user {
	t.Helper()
	login := decoded[api.LoginResult](t, a).Data.Msg
	var claims jwt.MapClaims
	if _, _, err := jwt.NewParser().ParseUnverified(login.AccessToken, &claims); err != nil {
		t.Fatal(err)
	}
	return user{
		id: login.User.ID.String(), phone: phone, sessionID: claims["sid"].(string),
		token: login.AccessToken, refreshToken: login.RefreshToken, homePath: pathOf(t, login.HomeURL),
	}
}

// newCookie returns the cookie of a browser in which the user has opened the home page.
func (s *testServer) newCookie(t testing.TB, u user) string {
	t.Helper()
	ticket := decoded[api.HomeTicketResult](t, s.send(t, newRequest(http.MethodPost, "/h5/ticket", "", nil, bearer(u.token))))
	opened := s.send(t, get(pathOf(t, ticket.Data.Msg.HomeURL))).wantRedirect(t, homePath)
	return opened.sessionCookie()
}

func registration(phone string) *http.Request {
	return postJSON("/users/regist", map[string]any{"phone": phone, "password": password, "code": code})
}

func credentials(phone, password string) *http.Request {
	return postJSON("/users/login", map[string]any{"phone": phone, "password": password})
}

func codeRequest(phone, purpose string, changes ...change) *http.Request {
	return postJSON("/users/code", map[string]any{"phone": phone, "purpose": purpose}, changes...)
}

func refresh(token string, changes ...change) *http.Request {
	return postJSON("/users/token/refresh", map[string]any{"refreshToken": token}, changes...)
}

func patchMe(members map[string]any, changes ...change) *http.Request {
	return patch("/users/me", members, changes...)
}

func pathOf(t testing.TB, absolute string) string {
	t.Helper()
	u, err := url.Parse(absolute)
	if err != nil {
		t.Fatal(err)
	}
	return u.RequestURI()
}

// wantNoPictures checks that neither a row nor a file of a picture is left.
func (s *testServer) wantNoPictures(t testing.TB) {
	t.Helper()
	for _, table := range []string{"images", "blobs"} {
		if rows := s.count(t, table); rows != 0 {
			t.Errorf("%d rows of %s are left", rows, table)
		}
	}
	err := filepath.WalkDir(s.imageDir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != ".lock" {
			t.Errorf("file %s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// count returns how many rows a table has, past all that the server itself reads with.
func (s *testServer) count(t testing.TB, table string) (rows int) {
	t.Helper()
	pool := s.openPool(t)
	defer pool.Close()
	if err := pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// exec changes the database behind the server's back.
func (s *testServer) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	pool := s.openPool(t)
	defer pool.Close()
	if _, err := pool.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func (s *testServer) openPool(t testing.TB) *sql.DB {
	t.Helper()
	return dbtest.OpenPool(t, s.url, s.dataDir)
}

// inbox is the phones of all users: it sends messages to itself, or fails as a test wants.
type inbox struct {
	mu       sync.Mutex
	messages []sms.Message
	err      error
}

// Send keeps a message.
func (i *inbox) Send(_ context.Context, m sms.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.messages = append(i.messages, m)
	}
	return i.err
}

func (i *inbox) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
}

// last is the code that a phone got last.
func (i *inbox) last(t testing.TB, phone string) string {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range slices.Backward(i.messages) {
		if m.Phone == phone {
			return m.Code
		}
	}
	t.Fatalf("phone %s got no code", phone)
	return ""
}

// withRealCodes is a server that takes only codes that it has sent.
func withRealCodes(s *setup) { s.codes.AnyPhone = "" }

func behindProxy(s *setup) {
	s.api.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// clock is the time as a test wants it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *clock) advance(d time.Duration) { c.set(c.Now().Add(d)) }

// logBuffer keeps every log line of a server, and fails its test at the end where one tells a secret.
type logBuffer struct {
	mu      sync.Mutex
	written sync.Cond
	text    bytes.Buffer
	secrets []string
}

func newLogBuffer(t testing.TB) *logBuffer {
	b := &logBuffer{}
	b.written.L = &b.mu
	t.Cleanup(func() { b.wantNoSecrets(t) })
	return b
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.written.Broadcast()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await returns when a line with all of the texts has been logged. It gives up with the whole test run.
func (b *logBuffer) await(texts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !hasLine(b.text.String(), texts) {
		b.written.Wait()
	}
}

// has reports whether a line has all of the texts.
func (b *logBuffer) has(texts ...string) bool { return hasLine(b.String(), texts) }

func hasLine(log string, texts []string) bool {
	for line := range strings.Lines(log) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return true
		}
	}
	return false
}

var secretsInAnswers = regexp.MustCompile(`"accessToken":"([^"]+)|"refreshToken":"([^"]+)|ticket=([\w-]{64})|` + sessionCookie + `=([^;]+)`)

// learn remembers the secrets that an answer tells its client.
func (b *logBuffer) learn(a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, found := range secretsInAnswers.FindAllStringSubmatch(string(a.body)+a.header.Get("Set-Cookie"), -1) {
		b.secrets = append(b.secrets, strings.Join(found[1:], ""))
	}
}

var codeAsWord = regexp.MustCompile(`\b` + code + `\b`)

func (b *logBuffer) wantNoSecrets(t testing.TB) {
	logged := b.String()
	for _, secret := range append(b.secrets, marker, "phone=", "password=", "ticket=") {
		if strings.Contains(logged, secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
	if codeAsWord.MatchString(logged) {
		t.Errorf("the log tells the verification code")
	}
}

// withoutTimes leaves out what has digits by chance.
func withoutTimes(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == "duration" {
		return slog.Attr{}
	}
	return a
}

// requestHandler shows the request id that logging takes from the context.
type requestHandler struct{ slog.Handler }

func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := logging.RequestID(ctx); ok {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}
