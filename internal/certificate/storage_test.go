package certificate

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/lease"
	"gatehouse/internal/seal"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// clock is set by the tests.
type clock struct {
	mu   sync.Mutex
	time time.Time
}

func newClock() *clock { return &clock{time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// newStorage returns the storage of a node, whose locks are kept so often.
func newStorage(t *testing.T, d *database.Database, c *clock, keep time.Duration) *storage {
	t.Helper()
	sealer, err := seal.New(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return &storage{
		database: d, seal: sealer, log: slog.New(slog.DiscardHandler), now: c.now,
		keep: keep, held: map[string]heldLock{},
	}
}

func store(t *testing.T, s *storage, path, value string) {
	t.Helper()
	if err := s.Store(t.Context(), path, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func TestNodesShareFiles(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		one, two := newStorage(t, d, c, time.Hour), newStorage(t, d, c, time.Hour)
		store(t, one, "certificates/ca/a.example.com/a.key", "old")
		c.pass(time.Minute)
		store(t, two, "certificates/ca/a.example.com/a.key", "key")
		value, err := one.Load(t.Context(), "certificates/ca/a.example.com/a.key")
		if err != nil || string(value) != "key" {
			t.Errorf("loaded %q, %v, want what the other node stored", value, err)
		}
		info, err := one.Stat(t.Context(), "certificates/ca/a.example.com/a.key")
		if err != nil || info.Size != 3 || !info.IsTerminal || !info.Modified.Equal(c.now()) {
			t.Errorf("a file is %+v, %v", info, err)
		}
		info, err = one.Stat(t.Context(), "certificates/ca")
		if err != nil || info.IsTerminal {
			t.Errorf("a folder is %+v, %v", info, err)
		}
		for _, path := range []string{"certificates/ca/a.example.com/A.key", "certificates/c", "cert"} {
			if _, err := one.Load(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("load %s: %v, want that it does not exist", path, err)
			}
			if one.Exists(t.Context(), path) {
				t.Errorf("%s exists", path)
			}
		}
	})
}

func TestFilesAreListedAndDeletedByFolder(t *testing.T) {
	files := []string{"a.txt", "a/b/1", "a/b/2", "a/c", "a0", "ab/c"}
	lists := []struct {
		path      string
		recursive bool
		want      []string
	}{
		{"a", true, []string{"a/b/1", "a/b/2", "a/c"}},
		{"a", false, []string{"a/b", "a/c"}},
		{"a/b", false, []string{"a/b/1", "a/b/2"}},
		{"", false, []string{"a.txt", "a", "a0", "ab"}},
		{"", true, files},
	}
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newStorage(t, d, newClock(), time.Hour)
		for _, file := range files {
			store(t, s, file, "value")
		}
		for _, list := range lists {
			got, err := s.List(t.Context(), list.path, list.recursive)
			if err != nil || !slices.Equal(got, list.want) {
				t.Errorf("list %q, recursive %v: %v, %v, want %v", list.path, list.recursive, got, err, list.want)
			}
		}
		for _, path := range []string{"a", "a0", "never stored"} {
			if err := s.Delete(t.Context(), path); err != nil {
				t.Errorf("delete %s: %v", path, err)
			}
		}
		if got, err := s.List(t.Context(), "", true); err != nil || !slices.Equal(got, []string{"a.txt", "ab/c"}) {
			t.Errorf("left %v, %v", got, err)
		}
		if _, err := s.List(t.Context(), "a", true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("list what was deleted: %v, want that it does not exist", err)
		}
	})
}

func TestFilesLieSealed(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newStorage(t, d, newClock(), time.Hour)
		store(t, s, "key", "-----BEGIN PRIVATE KEY-----")
		row, err := d.Queries().GetCertificateFile(t.Context(), "key")
		if err != nil || bytes.Contains(row.Sealed, []byte("PRIVATE")) {
			t.Errorf("the database has %q, %v", row.Sealed, err)
		}
		other, err := seal.New(bytes.Repeat([]byte{2}, 32))
		if err != nil {
			t.Fatal(err)
		}
		s.seal = other
		_, err = s.Load(t.Context(), "key")
		if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "another secret") {
			t.Errorf("error %v, want that the secret is another one", err)
		}
	})
}

// TestFilesAreWrittenAtOnce has several nodes make the same file.
func TestFilesAreWrittenAtOnce(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s := newStorage(t, d, newClock(), time.Hour)
		var storing sync.WaitGroup
		for range 8 {
			storing.Go(func() {
				if err := s.Store(t.Context(), "path", []byte("value")); err != nil {
					t.Error(err)
				}
			})
		}
		storing.Wait()
		if value, err := s.Load(t.Context(), "path"); err != nil || string(value) != "value" {
			t.Errorf("loaded %q, %v", value, err)
		}
	})
}

func TestLockExcludesOtherNodes(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		one, two := newStorage(t, d, c, time.Hour), newStorage(t, d, c, time.Hour)
		if err := one.Lock(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if taken, err := two.lease("name").Take(t.Context()); taken || err != nil {
			t.Errorf("the second node: %v, %v, want that it has to wait", taken, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := two.Lock(ended, "name"); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting: %v, want an end with the context", err)
		}
		if err := two.Lock(t.Context(), "other"); err != nil {
			t.Errorf("another lock: %v", err)
		}
		locked := make(chan error)
		go func() { locked <- two.Lock(t.Context(), "name") }()
		if err := one.Unlock(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if err := <-locked; err != nil {
			t.Errorf("the second node, after the first: %v", err)
		}
		if err := one.Unlock(t.Context(), "name"); err == nil {
			t.Error("the first node freed the lock of the second")
		}
	})
}

func TestLockOfADeadNodeIsTakenOver(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		dead, two := newStorage(t, d, c, time.Hour), newStorage(t, d, c, time.Hour)
		if err := dead.Lock(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		c.pass(lockTerm + time.Second)
		if err := two.Lock(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if err := dead.held["name"].Renew(t.Context()); !errors.Is(err, lease.ErrLost) {
			t.Errorf("the node that was taken for dead: %v, want ErrLost", err)
		}
		if err := dead.Unlock(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if taken, err := newStorage(t, d, c, time.Hour).lease("name").Take(t.Context()); taken || err != nil {
			t.Errorf("a third node: %v, %v, want that the second still has the lock", taken, err)
		}
	})
}

// TestLockIsKept lets ten times the lease pass while the holder lives.
func TestLockIsKept(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		c := newClock()
		one, two := newStorage(t, d, c, 10*time.Millisecond), newStorage(t, d, c, time.Hour)
		if err := one.Lock(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			c.pass(lockTerm / 2)
			waitUntilKept(t, d, one.lease("name").Name, c.now().Add(lockTerm))
			if taken, err := two.lease("name").Take(t.Context()); taken || err != nil {
				t.Fatalf("a second node: %v, %v, want that the lock is kept", taken, err)
			}
		}
		if err := one.Unlock(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if taken, err := two.lease("name").Take(t.Context()); !taken || err != nil {
			t.Errorf("after the end: %v, %v, want the lock", taken, err)
		}
	})
}

func waitUntilKept(t *testing.T, d *database.Database, name string, until time.Time) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		held, err := d.Queries().GetLease(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if !held.ExpiresAt.Before(until) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lock is kept until %s only, want %s", held.ExpiresAt, until)
		}
	}
}
