package database_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// options are for a database that is opened again, while or after another one is open.
func options(url, dir string) database.Options {
	return database.Options{URL: url, DataDir: dir, Logger: slog.New(slog.DiscardHandler)}
}

func open(t *testing.T, o database.Options) *database.Database {
	t.Helper()
	d, err := database.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func raw(t *testing.T, d *database.Database) *sql.DB {
	t.Helper()
	pool, err := d.OpenRaw()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

func newUser(phone string) db.InsertUserParams {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return db.InsertUserParams{ID: newID(), Phone: &phone, PasswordHash: "x", Nickname: "小明", CreatedAt: now, UpdatedAt: now}
}

func insertUser(ctx context.Context, d *database.Database, u db.InsertUserParams) error {
	return d.InTx(ctx, func(q *db.Queries) error { return q.InsertUser(ctx, u) })
}

func TestOpenRefusesURLs(t *testing.T) {
	tests := map[string]string{
		"no scheme":           "user:hunter2@host/name",
		"other database":      "postgres://user:hunter2@host/name",
		"no database name":    "mysql://user:hunter2@host",
		"empty name":          "mysql://user:hunter2@host/",
		"two names":           "mysql://user:hunter2@host/a/b",
		"no user":             "mysql://host/hunter2",
		"no host":             "mysql://user:hunter2@/name",
		"hash in password":    "mysql://user:hunter2#x@host/name",
		"slash in password":   "mysql://user:hunter2/x@host/name",
		"percent in password": "mysql://user:hunter2%@host/name",
		"unknown parameter":   "mysql://user:hunter2@host/name?hunter2=1",
		"unknown tls":         "mysql://user:hunter2@host/name?tls=yes",
		"driver's form":       "user:hunter2@tcp(host:3306)/name",
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := database.Open(t.Context(), options(url, ""))
			if err == nil || !strings.Contains(err.Error(), "database URL") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want one about the database URL without the password", err)
			}
		})
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	good, err := url.Parse(dbtest.MySQL(t))
	if err != nil {
		t.Fatal(err)
	}
	user, host := good.User.Username(), good.Host
	tests := []struct {
		name string
		url  url.URL
		want string
	}{
		{"wrong password", url.URL{User: url.UserPassword(user, "hunter2"), Host: host, Path: good.Path}, "check the user and the password"},
		{"wrong user", url.URL{User: url.UserPassword("nobody", "hunter2"), Host: host, Path: good.Path}, "check the user and the password"},
		{"missing database", url.URL{User: good.User, Host: host, Path: "/missing"}, "CREATE DATABASE `missing`"},
		{"no server", url.URL{User: url.UserPassword(user, "hunter2"), Host: closedPort(t), Path: good.Path}, "check that it runs"},
		{"no socket", url.URL{User: url.UserPassword(user, "hunter2"), Host: "x", Path: good.Path, RawQuery: "socket=/missing"}, "check that it runs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.url.Scheme = "mysql"
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // Open would wait longer for a server
			defer cancel()
			_, err := database.Open(ctx, options(test.url.String(), ""))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v contains the password", err)
			}
		})
	}
}

// closedPort returns an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestOpenWaitsForTheServer(t *testing.T) {
	p := newProxy(t, dbtest.MySQL(t))
	p.refuse.Store(true)
	go func() {
		for p.refused.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		p.refuse.Store(false)
	}()
	d := open(t, options(p.url, ""))
	if err := d.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "lacks migration") {
		t.Errorf("Ready: %v, want a missing migration", err)
	}
}

func TestReadySeesALostServer(t *testing.T) {
	p := newProxy(t, dbtest.MySQL(t))
	d := dbtest.Open(t, p.url)
	if err := d.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.refuse.Store(true)
	p.cut()
	if err := d.Ready(t.Context()); err == nil {
		t.Error("ready without a server")
	}
	p.refuse.Store(false)
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("Ready after the server came back: %v", err)
	}
}

func TestSQLiteFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "数据 #1?x=%41&")
	d := open(t, options("", dir))
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder %v, %v, want mode 0700", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "gatehouse.db")); err != nil {
		t.Error(err)
	}
}

func TestQueriesOnlyReadOnSQLite(t *testing.T) {
	d := dbtest.Open(t, "")
	if err := d.Queries().InsertUser(t.Context(), newUser("+8618866668888")); err == nil {
		t.Error("Queries wrote, want it left to InTx")
	}
}

func TestValuesComeBackUnchanged(t *testing.T) {
	east := time.FixedZone("east", 8*60*60)
	tests := []struct {
		name, nickname string
		at, wantAt     time.Time
	}{
		{"chinese", "小明", time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC), time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC)},
		{"four bytes", "👩‍🚀𠮷", time.Date(1969, 7, 20, 20, 17, 40, 1000, time.UTC), time.Date(1969, 7, 20, 20, 17, 40, 1000, time.UTC)},
		{"nanoseconds are cut", "a", time.Date(2026, 1, 1, 0, 0, 0, 999999999, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 999999000, time.UTC)},
		{"other zone", "'\\\"%_\x00\n", time.Date(2026, 1, 1, 0, 0, 0, 0, east), time.Date(2025, 12, 31, 16, 0, 0, 0, time.UTC)},
		{"far away", "", time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				u := newUser(newID()[20:])
				u.Nickname, u.CreatedAt, u.UpdatedAt = test.nickname, test.at, test.at
				if err := insertUser(t.Context(), d, u); err != nil {
					t.Fatal(err)
				}
				got, err := d.Queries().GetUser(t.Context(), u.ID)
				if err != nil {
					t.Fatal(err)
				}
				want := db.User{ID: u.ID, Phone: u.Phone, PasswordHash: "x", Nickname: test.nickname, CreatedAt: test.wantAt, UpdatedAt: test.wantAt}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	})
}

func TestNullTimes(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		u := newUser("+8618866668888")
		at := u.CreatedAt.Add(time.Microsecond)
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			if err := q.InsertUser(t.Context(), u); err != nil {
				return err
			}
			return q.SetUserSeen(t.Context(), db.SetUserSeenParams{LastSeenAt: &at, ID: u.ID})
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Queries().GetUser(t.Context(), u.ID)
		if err != nil || got.LastSeenAt == nil || !got.LastSeenAt.Equal(at) {
			t.Errorf("last seen %v, %v, want %v", got.LastSeenAt, err, at)
		}
	})
}

func TestCaseMatters(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		lower, upper := newImage(), newImage()
		lower.Name, upper.Name = "a.jpg", "A.jpg"
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			return errors.Join(q.InsertImage(t.Context(), lower), q.InsertImage(t.Context(), upper))
		})
		if err != nil {
			t.Fatal(err)
		}
		const query = "SELECT id FROM images WHERE name = ?"
		pool := raw(t, d)
		var id string
		if err := pool.QueryRowContext(t.Context(), query, "A.jpg").Scan(&id); err != nil || id != upper.ID {
			t.Errorf("A.jpg is %s, %v, want %s", id, err, upper.ID)
		}
		if err := pool.QueryRowContext(t.Context(), query, "a.JPG").Scan(&id); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("a.JPG: %v, want no rows", err)
		}
	})
}
