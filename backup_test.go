package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

// backupCommand runs a command, which must succeed, and returns what it printed.
func backupCommand(t *testing.T, want string, args ...string) string {
	t.Helper()
	stdout, stderr, code := call(t, args...)
	if code != 0 || !regexp.MustCompile(want).MatchString(stdout) {
		t.Fatalf("%s: code %d, stdout %q, stderr %q; want code 0 and %s", strings.Join(args, " "), code, stdout, stderr, want)
	}
	return stdout
}

// refusedCommand runs a command, which must fail with a message.
func refusedCommand(t *testing.T, want string, args ...string) {
	t.Helper()
	stdout, stderr, code := call(t, args...)
	if code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("%s: code %d, stdout %q, stderr %q; want code 1 and %q", strings.Join(args, " "), code, stdout, stderr, want)
	}
}

// transient are tables whose rows a restore leaves out.
var transient = []string{"leases", "sqlite_sequence"}

// checksums hashes every row of every table.
func checksums(t *testing.T, databaseURL, dataDir string) map[string]string {
	t.Helper()
	pool := dbtest.OpenPool(t, databaseURL, dataDir)
	defer pool.Close()
	list := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if databaseURL != "" {
		list = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
	}
	sums := make(map[string]string)
	for _, table := range query(t, pool, list) {
		if slices.Contains(transient, table) {
			continue
		}
		rows := query(t, pool, "SELECT * FROM "+table)
		slices.Sort(rows)
		sum := sha256.Sum256([]byte(strings.Join(rows, "\n")))
		sums[table] = fmt.Sprintf("%d rows, %s", len(rows), hex.EncodeToString(sum[:4]))
	}
	return sums
}

// query returns each row in a line.
func query(t *testing.T, pool *sql.DB, statement string) (lines []string) {
	t.Helper()
	rows, err := pool.QueryContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		for i, value := range values {
			if b, ok := value.([]byte); ok {
				values[i] = string(b)
			}
		}
		lines = append(lines, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// destroy removes the data folder, and drops the database.
func destroy(t *testing.T, databaseURL, dataDir string) {
	t.Helper()
	if err := os.RemoveAll(dataDir); err != nil {
		t.Fatal(err)
	}
	if databaseURL == "" {
		return
	}
	pool := dbtest.OpenPool(t, databaseURL, dataDir)
	defer pool.Close()
	name := strings.TrimPrefix(mustParse(t, databaseURL).Path, "/")
	for _, statement := range []string{"DROP DATABASE " + name, "CREATE DATABASE " + name + " CHARACTER SET utf8mb4"} {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// backupPlace is a place for backups and one for pictures of the same kind, with the options for them.
type backupPlace struct {
	backups         string
	keys            []string // of S3
	storage, before []string // where pictures are restored to, and where they are stored
}

func onEveryStorage(t *testing.T, test func(t *testing.T, newPlace func(t *testing.T) backupPlace)) {
	t.Run("disk", func(t *testing.T) { test(t, diskPlace) })
	t.Run("s3", func(t *testing.T) { test(t, s3Place) })
}

func diskPlace(t *testing.T) backupPlace {
	return backupPlace{backups: filepath.Join(t.TempDir(), "backups")}
}

func s3Place(t *testing.T) backupPlace {
	location, keys, _ := s3Args(t, dbtest.SharedMinIO(t))
	at := func(prefix string) string { return strings.Replace(location, "?", "/"+prefix+"?", 1) }
	with := func(prefix string) []string { return slices.Concat(keys, []string{"--storage", at(prefix)}) }
	return backupPlace{backups: at("backups"), keys: keys, storage: with("restored"), before: with("pictures")}
}

// device is an app that is logged in.
type device struct {
	*client
	refreshToken string
}

func logInDevice(t *testing.T, p *process) device {
	t.Helper()
	c := newClient(t, p)
	tokens := messageOf[struct{ RefreshToken, HomeURL string }](t, c.postJSON("/users/login", credentials))
	if page := c.get(tokens.HomeURL); page.status != http.StatusOK || page.url.Path != "/h5/home" {
		t.Fatalf("home page: status %d at %s", page.status, page.url)
	}
	return device{c, tokens.RefreshToken}
}

// check uses what the device has at a restored server.
func (d device) check(p *process) {
	d.t.Helper()
	moveCookies(d.t, d.client, p)
	if page := d.get("/h5/home"); page.status != http.StatusOK || page.url.Path != "/h5/home" {
		d.t.Errorf("home page by the cookie: status %d at %s", page.status, page.url)
	}
	answer := d.postJSON("/users/token/refresh", `{"refreshToken":"`+d.refreshToken+`"}`)
	if answer.status != http.StatusOK {
		d.t.Errorf("refresh: status %d: %s", answer.status, answer.body)
	}
}

// moveCookies lets a client go on at another port.
func moveCookies(t *testing.T, c *client, p *process) {
	t.Helper()
	cookies := c.http.Jar.Cookies(mustParse(t, c.base))
	c.base = p.url()
	c.http.Jar.SetCookies(mustParse(t, c.base), cookies)
}

// registerMany registers users until stop is called, and returns the phones that were answered.
func registerMany(t *testing.T, p *process) (stop func() []string) {
	c := newClient(t, p)
	var stopped atomic.Bool
	var phones []string
	var done sync.WaitGroup
	done.Go(func() {
		for i := 0; !stopped.Load(); i++ {
			phone := fmt.Sprintf("139%08d", i)
			answer, err := c.try(http.MethodPost, "/users/regist", strings.NewReader(`{"phone":"`+phone+`","password":"demo123456","code":"123456"}`),
				"Content-Type", "application/json")
			if err == nil && answer.status == http.StatusOK {
				phones = append(phones, phone)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return func() []string { stopped.Store(true); done.Wait(); return phones }
}

// TestBackup saves a server under load, twice, destroys everything it has, and compares all that is restored.
func TestBackup(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds; make test-all runs this")
	}
	onEveryStorage(t, func(t *testing.T, newPlace func(t *testing.T) backupPlace) {
		dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
			if databaseURL != "" {
				dbtest.NeedDump(t)
			}
			place := newPlace(t)
			base, dataDir := databaseArgs(t, databaseURL)
			secretFile := newSecret(t, strings.Repeat("s3cret-", 6))
			base = append(base, "--secret-file", secretFile, "--password-memory", "64", "--password-iterations", "1")
			args := slices.Concat(base, place.before)
			p := start(t, args...)
			a := newAlbum(t, p)
			for range 20 {
				a.upload(uniquePicture(t), uniquePicture(t))
			}
			session := a.beginUpload(uniquePicture(t), 1000)
			stopLive, stopRegistering := a.live(), registerMany(t, p)
			time.Sleep(time.Second)
			kept := maps.Clone(a.kept)
			backupCommand(t, `The secret is not in it. Keep a copy of `+secretFile, slices.Concat([]string{"backup", place.backups, "--verify"}, args)...)
			time.Sleep(500 * time.Millisecond)
			stopLive()
			phones := stopRegistering()
			checkLoadedBackup(t, place, secretFile, kept, a)

			d := logInDevice(t, p)
			copied := backupCommand(t, `(?m)^\d+ pictures copied`, slices.Concat([]string{"backup", place.backups}, args)...)
			again := backupCommand(t, `(?m)^0 pictures copied \(0 B\), \d+ were saved before`, slices.Concat([]string{"backup", place.backups}, args)...)
			t.Logf("%sand again\n%s", copied, again)
			p.stop(t)
			backupCommand(t, `\d+ pictures`, slices.Concat([]string{"backup", place.backups, "--with-secret"}, args)...)
			want := checksums(t, databaseURL, dataDir)

			destroy(t, databaseURL, dataDir)
			if err := os.Remove(secretFile); err != nil {
				t.Fatal(err)
			}
			args = slices.Concat(base, place.storage)
			backupCommand(t, `(?s)the secret of the backup is in `+secretFile+`.*next: start the server`, slices.Concat([]string{"restore", place.backups}, args)...)
			wantMode(t, secretFile, 0o600)
			got := checksums(t, databaseURL, dataDir)
			for _, table := range []string{"upload_pieces", "upload_sessions"} { // what was not finished is not restored
				delete(want, table)
				delete(got, table)
			}
			if !maps.Equal(got, want) {
				t.Errorf("restored tables %v, want %v", got, want)
			}
			p = start(t, args...)
			a.server.Store(p)
			a.check()
			d.check(p)
			checkPhonesOf(t, p, phones)
			if status, _, _ := a.request(http.MethodHead, session, nil, "Tus-Resumable", "1.0.0"); status != http.StatusNotFound {
				t.Errorf("the unfinished upload: status %d, want 404", status)
			}
			storageCommand(t, `, 0 missing, 0 damaged\nfiles without a row: 0 found`, slices.Concat([]string{"check", "--read"}, args)...)
			backupCommand(t, `4 backups with \d+ pictures`, slices.Concat([]string{"backup", "check", place.backups}, args)...)
			refusedCommand(t, "in the way", slices.Concat([]string{"restore", place.backups}, args)...)
		})
	})
}

// checkLoadedBackup restores the backup that was made under load, elsewhere: it must have what was answered
// before, unless it was deleted later.
func checkLoadedBackup(t *testing.T, place backupPlace, secretFile string, kept map[string]storedPicture, live *album) {
	t.Helper()
	dataDir := filepath.Join(t.TempDir(), "data")
	args := []string{"--data-dir", dataDir, "--secret-file", secretFile}
	args = append(args, place.keys...) // from S3, too, to this disk
	if other := databaseOf(t); other != "" {
		args = append(args, "--database", other)
	}
	backupCommand(t, `^restored `, slices.Concat([]string{"restore", place.backups}, args)...)
	storageCommand(t, `, 0 missing, 0 damaged\nfiles without a row: 0 found`, slices.Concat([]string{"check", "--read"}, args)...)
	c := newClient(t, start(t, args...))
	found := 0
	for id, picture := range kept {
		if _, ok := live.kept[id]; !ok {
			continue
		}
		found++
		if loaded := c.get(picture.path); loaded.status != http.StatusOK || loaded.body != string(picture.content) {
			t.Errorf("load %s from the backup: status %d, %d bytes", picture.path, loaded.status, len(loaded.body))
		}
	}
	if found == 0 {
		t.Error("no picture lasted: that is no test")
	}
}

// databaseOf returns the URL of another database of the kind that a test of dbtest.RunURL has.
func databaseOf(t *testing.T) string {
	t.Helper()
	if strings.HasSuffix(t.Name(), "/mysql") {
		return dbtest.MySQL(t)
	}
	return ""
}

func checkPhonesOf(t *testing.T, p *process, phones []string) {
	t.Helper()
	if len(phones) == 0 {
		t.Error("nobody registered: that is no test")
	}
	c := newClient(t, p)
	for _, phone := range phones[:min(len(phones), 20)] {
		if answer := c.postJSON("/users/login", `{"phone":"`+phone+`","password":"demo123456"}`); answer.status != http.StatusOK {
			t.Errorf("login of %s: status %d: %s", phone, answer.status, answer.body)
		}
	}
}

// TestBackupIsKilled kills a backup and a restore in the middle. The next ones do what they did not.
func TestBackupIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds; make test-all runs this")
	}
	dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
		if databaseURL != "" {
			dbtest.NeedDump(t)
		}
		args, dataDir := databaseArgs(t, databaseURL)
		a := newAlbum(t, start(t, args...))
		for range 300 {
			a.upload(uniquePicture(t), uniquePicture(t))
		}
		place := filepath.Join(t.TempDir(), "backups")
		saved := func(dir string) int {
			files, err := filepath.Glob(filepath.Join(dir, "??", "*"))
			if err != nil {
				t.Fatal(err)
			}
			return len(files)
		}
		killWhen(t, func() bool { return saved(filepath.Join(place, "pictures")) > 20 }, slices.Concat([]string{"backup", place}, args)...)
		refusedCommand(t, "there is no backup", slices.Concat([]string{"restore", place, "--data-dir", filepath.Join(t.TempDir(), "data")})...)
		refusedCommand(t, "another backup is under way: on ", slices.Concat([]string{"backup", place}, args)...)
		pool := dbtest.OpenPool(t, databaseURL, dataDir)
		if _, err := pool.ExecContext(t.Context(), "DELETE FROM leases"); err != nil { // or wait for a minute
			t.Fatal(err)
		}
		backupCommand(t, `(?m)^\d+ pictures copied \(.*\), [1-9]\d* were saved before`, slices.Concat([]string{"backup", place, "--with-secret"}, args)...)

		location, keys, s3 := s3Args(t, dbtest.SharedMinIO(t)) // from this disk
		into := append([]string{"--data-dir", filepath.Join(t.TempDir(), "data"), "--storage", location}, keys...)
		if databaseURL != "" {
			into = append(into, "--database", dbtest.MySQL(t))
		}
		killWhen(t, func() bool { return countOn(t, s3) > 20 }, slices.Concat([]string{"restore", place}, into)...)
		backupCommand(t, "^restored .* 600 pictures", slices.Concat([]string{"restore", place}, into)...)
		storageCommand(t, `files with a row: 600 \(.*\), 0 missing, 0 damaged\nfiles without a row: 0 found`, slices.Concat([]string{"check", "--read"}, into)...)
	})
}

// TestScheduledBackups lets two servers on one database make them.
func TestScheduledBackups(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
		if databaseURL != "" {
			dbtest.NeedDump(t)
		}
		args, _ := databaseArgs(t, databaseURL)
		place := filepath.Join(t.TempDir(), "backups")
		args = append(args, "--backup-to", place, "--backup-every", "24h")
		servers := []*process{start(t, args...), start(t, args...)}
		made := func() (made int) {
			for _, server := range servers {
				made += strings.Count(server.stderr.String(), "backed up")
			}
			return made
		}
		eventually(t, "a server makes a backup", func() bool { return made() > 0 })
		if list := backupCommand(t, "", slices.Concat([]string{"backup", "list"}, args)...); made() != 1 || strings.Count(list, "\n") != 2 {
			t.Errorf("%d backups, and the list is %q; want one", made(), list)
		}
	})
}
