package importer

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"

	"gatehouse/internal/account"
	"gatehouse/internal/audit"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	pictures "gatehouse/internal/image"
	"gatehouse/internal/storage"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var now = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// home is a server of ours that users are imported into.
type home struct {
	*Importer
	database *database.Database
	output   *bytes.Buffer
	images   string // the folder of pictures
}

func newHome(t *testing.T, d *database.Database) *home {
	t.Helper()
	h := &home{database: d, output: &bytes.Buffer{}, images: t.TempDir()}
	disk, err := storage.OpenDisk(h.images)
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(storage.Options{Shelf: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	log, clock := slog.New(slog.DiscardHandler), func() time.Time { return now }
	images, err := pictures.New(pictures.Options{
		Database: d, Store: store, Logger: log, Now: clock, MaxFiles: 9, MaxBytes: 1 << 20,
		Limits: codec.Limits{Pixels: 1 << 20, Side: 1 << 10, Frames: 1}, Decodes: 1, Sizes: []int{32},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Importer = New(Options{
		Accounts: account.New(account.Options{Database: d, Hasher: cheapHasher, Logger: log, Now: clock}),
		Images:   images, Output: h.output, Now: clock,
	})
	return h
}

var cheapHasher = account.NewHasher(account.HasherOptions{
	Memory: 8, Iterations: 1, Parallelism: 1, Concurrency: 2, Wait: time.Minute,
})

// wantUsers imports a source and checks the summary and each line that is told.
func (h *home) wantUsers(t *testing.T, source Source, want Summary, lines ...string) {
	t.Helper()
	h.output.Reset()
	got, err := h.Users(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("summary is %+v, want %+v", got, want)
	}
	if got := sortedLines(h.output.String()); !slices.Equal(got, slices.Sorted(slices.Values(lines))) {
		t.Errorf("it said %q, want %q", got, lines)
	}
}

func sortedLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	slices.Sort(lines)
	return lines
}

// wantUser checks what was stored of a user. An empty password is none at all.
func (h *home) wantUser(t *testing.T, phone, nickname, password string, createdAt time.Time) {
	t.Helper()
	user, err := h.options.Accounts.FindByPhone(t.Context(), phone)
	if err != nil {
		t.Errorf("find %s: %v", phone, err)
		return
	}
	if user.Nickname != nickname || !user.CreatedAt.Equal(createdAt) || user.HasPassword != (password != "") {
		t.Errorf("user %s is %+v, want nickname %q, created at %s, password %t", phone, user, nickname, createdAt, password != "")
	}
	if password == "" {
		return
	}
	row, err := h.database.Queries().GetUser(t.Context(), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	if matches, _, err := cheapHasher.Matches(t.Context(), password, row.PasswordHash); err != nil || !matches {
		t.Errorf("the password of %s does not match its hash %q: %v", phone, row.PasswordHash, err)
	}
}

func open(t *testing.T) func(Source, error) Source {
	return func(source Source, err error) Source {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return source
	}
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func bcryptHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func argonHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestCSV(t *testing.T) {
	content := "\ufeffPhone, password ,password_hash,nickname,created_at\r\n" +
		"18866668801,demo123456,,小明,2025-01-31 12:00:00\r\n" +
		"+86 188-6666-8802,,\"" + bcryptHash(t, "open sesame") + "\",\"Ann, \"\"the\"\"\nsecond\",2025-01-31T12:00:00+08:00\r\n" +
		"18866668803,,\"" + argonHash(t, "open sesame") + "\",,\r\n" + // line 5
		"18866668801,another one,,,\r\n" + // the first one's phone
		"12345,demo123456,,,\r\n" +
		"18866668804,demo\"123456,,,\r\n" +
		"18866668805,demo123456\r\n" +
		"18866668806,demo123456,,,yesterday\r\n" + // line 10
		"18866668807,,md5:202cb962ac59075b964b07152d234b70,,\r\n" +
		"18866668808,demo123456,$2a$,,\r\n" +
		",demo123456,,,\r\n" +
		"18866668809,123456,,,\r\n" +
		"18866668810,demo123456,,\xd0\xa1\xc3\xf7,\r\n" + // line 15, in GBK
		"18866668811,,,,\r\n"
	refused := []string{
		"line 7: phone is not a valid phone number",
		`line 8: bare " in non-quoted-field`,
		"line 9: wrong number of fields",
		"line 10: a time must look like 2026-01-31 12:00:00 or 2026-01-31T12:00:00Z",
		"line 11: passwordHash is no hash of bcrypt or argon2id that this server could check",
		"line 12: has both a password and a hash of one",
		"line 13: has no phone number",
		"line 15: is not encoded as UTF-8",
	}
	warned := "line 14: taken over without the password, since logins take 8 to 128 characters"
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		h := newHome(t, d)
		source := open(t)(CSV(write(t, content)))
		if source.Total != 14 {
			t.Errorf("it counts %d users, want 14", source.Total)
		}
		h.options.DryRun = true
		h.wantUsers(t, source, Summary{Imported: 5, Skipped: 1, Refused: 8}, append(refused, warned)...)
		h.options.DryRun = false
		h.wantUsers(t, source, Summary{Imported: 5, Skipped: 1, Refused: 8}, append(refused, warned)...)
		h.wantUsers(t, source, Summary{Skipped: 6, Refused: 8}, refused...)

		h.wantUser(t, "18866668801", "小明", "demo123456", time.Date(2025, 1, 31, 12, 0, 0, 0, time.UTC))
		h.wantUser(t, "18866668802", "用户8802", "open sesame", time.Date(2025, 1, 31, 4, 0, 0, 0, time.UTC))
		h.wantUser(t, "18866668803", "用户8803", "open sesame", now)
		h.wantUser(t, "18866668809", "用户8809", "", now)
		h.wantUser(t, "18866668811", "用户8811", "", now)
		wantRecord(t, d, h, "18866668801")
	})
}

// wantRecord expects that the import is in the audit, as an admin's.
func wantRecord(t *testing.T, d *database.Database, h *home, phone string) {
	t.Helper()
	user, err := h.options.Accounts.FindByPhone(t.Context(), phone)
	if err != nil {
		t.Fatal(err)
	}
	record := audit.New(audit.Options{Database: d, Now: h.options.Now})
	events, _, err := record.List(t.Context(), user.ID, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 || events[0].Action != audit.Imported || events[0].Origin.Actor != audit.Admin {
		t.Errorf("the record is %+v, want one import by an admin", events)
	}
}

func TestRefusedFiles(t *testing.T) {
	noDatabase := filepath.Join(t.TempDir(), "none.db")
	tests := []struct {
		name string
		open func() (Source, error)
		want string
	}{
		{"missing", func() (Source, error) { return CSV(filepath.Join(t.TempDir(), "none.csv")) }, "no such file"},
		{"empty", func() (Source, error) { return CSV(write(t, "")) }, "must be a header with the column phone"},
		{"no header", func() (Source, error) { return CSV(write(t, "18866668888,demo123456\n")) }, "must be a header"},
		{"unknown column", func() (Source, error) { return CSV(write(t, "phone,pasword\n")) }, `unknown column "pasword"`},
		{"no dump", func() (Source, error) { return Supabase(write(t, "phone,password\n")) }, "no column encrypted_password"},
		{"no PocketBase", func() (Source, error) { return PocketBase(t.Context(), noDatabase, "phone") }, "no such file"},
		{"no SQLite", func() (Source, error) { return PocketBase(t.Context(), write(t, strings.Repeat("x", 4096)), "phone") }, "not a database"},
		{"no booklet", func() (Source, error) { return Booklet(t.Context(), "mysql://gate:hunter2@127.0.0.1:1/demo") }, "count the booklet's users"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.open()
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error is %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestSupabase(t *testing.T) {
	const id = "0192f7a4-2b7e-4c11-9d0e-5f4a3b2c1d0e"
	content := "instance_id,id,email,encrypted_password,last_sign_in_at,raw_user_meta_data,created_at,phone,deleted_at\n" +
		"0," + id + ",,\"" + bcryptHash(t, "open sesame") + "\",2026-11-01 00:00:00+00,\"{\"\"full_name\"\": \"\"Ann Li\"\", \"\"name\"\": \"\"ann\"\"}\",2025-01-31 12:00:00.123456+00,8618866668801,\n" +
		"0,,bo@example.com,,,{},2025-01-31 12:00:00+00,,\n" +
		"0,,,,,\"{\"\"name\"\": \"\"Cy\"\"}\",,8618866668803,\n" +
		"0,,,,,not JSON,,8618866668804,\n" +
		"0,,,,,,,8618866668805,2025-02-01 12:00:00+00\n"
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		h := newHome(t, d)
		refused := []string{"line 3: has no phone number", "line 6: is deleted"}
		h.wantUsers(t, open(t)(Supabase(write(t, content))), Summary{Imported: 3, Refused: 2}, refused...)
		h.wantUsers(t, open(t)(Supabase(write(t, content))), Summary{Skipped: 3, Refused: 2}, refused...)
		h.wantUser(t, "18866668801", "Ann Li", "open sesame", time.Date(2025, 1, 31, 12, 0, 0, 123456000, time.UTC))
		h.wantUser(t, "18866668803", "Cy", "", now)
		h.wantUser(t, "18866668804", "用户8804", "", now)
		if row, err := d.Queries().GetUser(t.Context(), id); err != nil || !row.LastSeenAt.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("user %s is %+v, %v; want the id and the last sign-in kept", id, row, err)
		}
	})
}

// newPocketBase makes a database as PocketBase 0.23 and newer do. The type of the phone is up to who adds the field.
func newPocketBase(t *testing.T, phoneType string, rows ...[]any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data #1?.db")
	pool, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	exec(t, pool, `PRAGMA journal_mode = WAL`)
	exec(t, pool, `CREATE TABLE users (
		id TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL, password TEXT DEFAULT '' NOT NULL,
		tokenKey TEXT DEFAULT '' NOT NULL, email TEXT DEFAULT '' NOT NULL, emailVisibility BOOLEAN DEFAULT FALSE NOT NULL,
		verified BOOLEAN DEFAULT FALSE NOT NULL, name TEXT DEFAULT '' NOT NULL, avatar TEXT DEFAULT '' NOT NULL,
		created TEXT DEFAULT '' NOT NULL, updated TEXT DEFAULT '' NOT NULL, "mobile phone" `+phoneType+`)`)
	for _, row := range rows {
		exec(t, pool, `INSERT INTO users (id, "mobile phone", password, name, created) VALUES (?, ?, ?, ?, ?)`, row...)
	}
	return path
}

func exec(t *testing.T, pool *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := pool.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestPocketBase(t *testing.T) {
	hash, created := bcryptHash(t, "open sesame"), time.Date(2025, 1, 31, 12, 0, 0, 123e6, time.UTC)
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		h := newHome(t, d)
		path := newPocketBase(t, "TEXT DEFAULT '' NOT NULL",
			[]any{"one", "18866668801", hash, "Ann", "2025-01-31 12:00:00.123Z"}, []any{"two", "", hash, "Bo", ""})
		if _, err := PocketBase(t.Context(), path, "phone"); err == nil || !strings.Contains(err.Error(), "--phone-column") {
			t.Errorf("error is %v, want one that names --phone-column", err)
		}
		const refused = "user two: has no phone number"
		h.wantUsers(t, open(t)(PocketBase(t.Context(), path, "mobile phone")), Summary{Imported: 1, Refused: 1}, refused)
		h.wantUsers(t, open(t)(PocketBase(t.Context(), path, "mobile phone")), Summary{Skipped: 1, Refused: 1}, refused)
		h.wantUser(t, "18866668801", "Ann", "open sesame", created)

		path = newPocketBase(t, "NUMERIC DEFAULT 0 NOT NULL", []any{"one", 18866668802.0, hash, "Cy", ""})
		h.wantUsers(t, open(t)(PocketBase(t.Context(), path, "mobile phone")), Summary{Imported: 1})
		h.wantUser(t, "18866668802", "Cy", "open sesame", now)
	})
}

// newBooklet makes a database as the booklet's server does.
func newBooklet(t *testing.T) (string, *sql.DB) {
	t.Helper()
	booklet := dbtest.MySQL(t)
	pool := dbtest.OpenPool(t, booklet, "")
	exec(t, pool, "CREATE TABLE users (id INTEGER NOT NULL AUTO_INCREMENT, phone VARCHAR(50) NOT NULL, "+
		"password VARCHAR(50), `createTime` DATETIME, PRIMARY KEY (id))")
	return booklet, pool
}

func TestBooklet(t *testing.T) {
	const digest = "e10adc3949ba59abbe56e057f20f883e"
	booklet, pool := newBooklet(t)
	insert := "INSERT INTO users (phone, password, createTime) VALUES (?, ?, ?)"
	local := time.Date(2018, 4, 22, 20, 15, 0, 0, time.Local)
	exec(t, pool, insert, "18866668801", "demo123456", "2018-04-22 20:15:00")
	exec(t, pool, insert, "18866668802", digest, nil)
	exec(t, pool, insert, "18866668801", "the second one", nil)
	exec(t, pool, insert, "nonsense", "demo123456", nil)
	exec(t, pool, insert, "18866668803", nil, nil)
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		h := newHome(t, d)
		const refused = "user 4: phone is not a valid phone number"
		h.wantUsers(t, open(t)(Booklet(t.Context(), booklet)), Summary{Imported: 3, Skipped: 1, Refused: 1}, refused)
		h.wantUsers(t, open(t)(Booklet(t.Context(), booklet)), Summary{Skipped: 4, Refused: 1}, refused)
		h.wantUser(t, "18866668801", "用户8801", "demo123456", local)
		h.wantUser(t, "18866668802", "用户8802", digest, now)
		h.wantUser(t, "18866668803", "用户8803", "", now)
	})
}

func TestBookletOfManyPages(t *testing.T) {
	booklet, pool := newBooklet(t)
	const users = 2*bookletPage + 1
	exec(t, pool, "INSERT INTO users (phone) VALUES ('18866668888')"+strings.Repeat(", ('18866668888')", users-1))
	source := open(t)(Booklet(t.Context(), booklet))
	read := int64(0)
	for user, err := range source.Users {
		if read++; err != nil || user.Where != fmt.Sprintf("user %d", read) {
			t.Fatalf("user %d is %+v, %v", read, user, err)
		}
	}
	if read != users || source.Total != users {
		t.Errorf("%d users of %d, want %d", read, source.Total, users)
	}
}

func TestUsersEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := newHome(t, dbtest.Open(t, ""))
	source := Source{Total: 2, Users: func(yield func(User, error) bool) {
		_ = yield(User{Where: "line 1", Imported: account.Imported{Phone: "nonsense"}}, nil)
		cancel()
		_ = yield(User{Where: "line 2", Imported: account.Imported{Phone: "18866668801"}}, nil)
	}}
	got, err := h.Users(ctx, source)
	if want := (Summary{Refused: 1}); err == nil || got != want {
		t.Errorf("summary is %+v, error %v; want %+v and an error", got, err, want)
	}
}

func TestUsersStopsWhenTheDatabaseIsGone(t *testing.T) {
	d := dbtest.Open(t, "")
	h := newHome(t, d)
	source := open(t)(CSV(write(t, "phone\n18866668801\n18866668802\n")))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := h.Users(t.Context(), source)
	if err == nil || got != (Summary{}) || h.output.Len() > 0 {
		t.Errorf("summary is %+v, error %v, and it said %q; want only an error", got, err, h.output)
	}
}

func TestPictures(t *testing.T) {
	dir, mapFile := t.TempDir(), filepath.Join(t.TempDir(), "map.csv")
	if err := os.Mkdir(filepath.Join(dir, "index"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"demo.png": pngBytes(t), "我的, 1.png": pngBytes(t), "index/1.jpg": pngBytes(t),
		"notes.txt": []byte("not a picture"), "empty.png": nil, ".DS_Store": []byte("x"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		h := newHome(t, d)
		mapFile := mapFile + strings.ReplaceAll(t.Name(), "/", "-")
		h.options.DryRun = true
		h.wantPictures(t, dir, mapFile, Summary{Imported: 3, Refused: 2})
		if _, err := os.Stat(mapFile); err == nil {
			t.Error("a dry run has written the map")
		}
		h.options.DryRun = false
		h.wantPictures(t, dir, mapFile, Summary{Imported: 3, Refused: 2})
		h.wantPictures(t, dir, mapFile, Summary{Skipped: 3, Refused: 2})
		h.wantMap(t, mapFile, "/static/image/demo.png", "/static/image/index/1.jpg", "/static/image/我的, 1.png")
	})
}

func (h *home) wantPictures(t *testing.T, dir, mapFile string, want Summary) {
	t.Helper()
	h.output.Reset()
	got, err := h.Pictures(t.Context(), dir, mapFile)
	if err != nil || got != want {
		t.Errorf("summary is %+v, %v; want %+v", got, err, want)
	}
	wantLines := []string{`picture "empty.png": the uploaded picture must not be empty`, `picture "notes.txt": the file is not a picture`}
	if lines := sortedLines(h.output.String()); len(lines) != 2 ||
		!strings.HasPrefix(lines[0], `picture "empty.png": `) || !strings.HasPrefix(lines[1], `picture "notes.txt": `) {
		t.Errorf("it said %q, want %q", lines, wantLines)
	}
}

// wantMap checks the old paths, and that each new one is of a picture that is there.
func (h *home) wantMap(t *testing.T, mapFile string, want ...string) {
	t.Helper()
	file, err := os.Open(mapFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := newCSVReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var old []string
	for _, row := range rows[1:] {
		old = append(old, row[0])
		if err := h.open(t.Context(), strings.TrimPrefix(row[1], picturePath)); err != nil {
			t.Errorf("open the picture %s: %v", row[1], err)
		}
	}
	slices.Sort(old)
	if !slices.Equal(rows[0], []string{"old", "new"}) || !slices.Equal(old, want) {
		t.Errorf("the map is %q, want a header and %q", rows, want)
	}
}

// open opens a picture as everybody may.
func (h *home) open(ctx context.Context, name string) error {
	found, err := h.options.Images.Find(ctx, name, pictures.Reader{})
	if err != nil {
		return err
	}
	file, err := h.options.Images.Open(ctx, found)
	if err != nil {
		return err
	}
	return file.Content.Close()
}

func pngBytes(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := png.Encode(&buf, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestProgressLine(t *testing.T) {
	tests := []struct {
		done, total, lately int64
		interval            time.Duration
		want                string
	}{
		{1_520, 50_000, 380, 5 * time.Second, "1,520 of 50,000 users, 76/s, 10m38s left"},
		{49_999, 50_000, 380, 5 * time.Second, "49,999 of 50,000 users, 76/s, 1s left"},
		{50_000, 50_000, 380, 5 * time.Second, "50,000 of 50,000 users, 76/s"},
		{7, 50_000, 0, 5 * time.Second, "7 of 50,000 users, 0/s"},
	}
	for _, tt := range tests {
		if got := progressLine("users", tt.done, tt.total, tt.lately, tt.interval); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
