package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// server is what a server has, and a service that backs it up into a folder.
type server struct {
	*Service
	url, dir string // of the database, and its data folder
	pool     *sql.DB
	now      time.Time
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(t *testing.T, s *server)) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		if url != "" {
			dbtest.NeedDump(t)
		}
		test(t, newServer(t, url, storage.OpenDiskFolder(t.TempDir())))
	})
}

func newServer(t *testing.T, url string, folder storage.Folder) *server {
	t.Helper()
	s := &server{url: url, dir: t.TempDir(), now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}
	log := slog.New(slog.DiscardHandler)
	d := dbtest.OpenIn(t, url, s.dir, log)
	s.pool = dbtest.OpenPool(t, url, s.dir)
	store := openStore(t, filepath.Join(s.dir, "image"))
	images, err := image.New(image.Options{
		Database: d, Store: store, Logger: log, Now: time.Now, MaxFiles: 9, MaxBytes: 1 << 20,
		Limits:  codec.Limits{Pixels: 1e6, Side: 1e4, Frames: 10},
		Decodes: 1, DecodeWait: time.Minute, DecodeMemory: 1 << 30, Sizes: []int{32}, UnownedKept: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Service = New(Options{
		Database: d, Store: store, Images: images, Folder: folder, Spool: filepath.Join(s.dir, "backup"), Program: "test",
		Now: func() time.Time { return s.now }, Logger: log, Output: io.Discard,
	})
	return s
}

func openStore(t *testing.T, dir string) *storage.Store {
	t.Helper()
	disk, err := storage.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(storage.Options{Shelf: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // some tests remove its folder
	return store
}

// add stores a picture, and returns its file. An old one has no blob, as those of older programs.
func (s *server) add(t *testing.T, content string, old bool) (file string) {
	t.Helper()
	file = strings.ReplaceAll(uuid.NewString(), "-", "") + ".png"
	if err := put(t.Context(), s.Store, file, content); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(content))
	now := database.Timestamp(time.Now())
	err := s.Database.InTx(t.Context(), func(q *db.Queries) error {
		if !old {
			err := q.InsertBlob(t.Context(), db.InsertBlobParams{
				Hash: hash[:], File: file, Bytes: int64(len(content)), ContentType: "image/png", State: "good", CreatedAt: now,
			})
			if err != nil {
				return err
			}
		}
		return q.InsertImage(t.Context(), db.InsertImageParams{
			ID: uuid.NewString(), Name: file, OriginalName: `it's; a "\name"` + "\n(1,2),", Bytes: int64(len(content)), ContentType: "image/png",
			Sha256: hash[:], CreatedAt: now, Visibility: "public",
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func put(ctx context.Context, store *storage.Store, file, content string) error {
	batch := store.NewBatch()
	f, err := batch.Create(file)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return errors.Join(batch.Place(ctx), batch.Keep())
}

func (s *server) make(t *testing.T, o MakeOptions) Made {
	t.Helper()
	made, err := s.Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (s *server) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := s.pool.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func (s *server) fileOf(name string) string { return filepath.Join(s.dir, "image", name[:2], name) }

// place is where a restore goes.
type place struct {
	RestoreOptions
	dir string
}

func (s *server) target(t *testing.T) *place {
	t.Helper()
	dir, url := t.TempDir(), ""
	if s.url != "" {
		url = dbtest.MySQL(t)
	}
	return &place{dir: dir, RestoreOptions: RestoreOptions{
		Folder: s.Folder, Store: openStore(t, filepath.Join(dir, "image")), Spool: filepath.Join(dir, "backup"), Output: io.Discard,
		Database: database.Options{URL: url, DataDir: dir, Logger: slog.New(slog.DiscardHandler)},
		Secret:   []byte("the secret"), Opens: func([]byte, string, []byte) error { return nil },
	}}
}

// images returns the names of the images in a restored database, and of all files of its storage.
func (r *place) images(t *testing.T) (rows, files []string) {
	t.Helper()
	pool := dbtest.OpenPool(t, r.Database.URL, r.dir)
	defer pool.Close()
	result, err := pool.QueryContext(t.Context(), "SELECT name FROM images ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	for result.Next() {
		var name string
		if err := result.Scan(&name); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, name)
	}
	for entry, err := range r.Store.Walk(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, entry.Name)
	}
	slices.Sort(files)
	return rows, files
}

// hooked is a folder that calls hook before each file is created and opened.
type hooked struct {
	storage.Folder
	create, open func(path string) error
}

func (h hooked) Create(ctx context.Context, path string, write func(io.Writer) error) error {
	if h.create != nil {
		if err := h.create(path); err != nil {
			return err
		}
	}
	return h.Folder.Create(ctx, path, write)
}

func (h hooked) Open(ctx context.Context, path string) (*storage.File, error) {
	if h.open != nil {
		if err := h.open(path); err != nil {
			return nil, err
		}
	}
	return h.Folder.Open(ctx, path)
}

// TestMakeNamesWhatIsWrong has a picture of each kind: good, old, damaged, missing, and deleted while the
// backup is made.
func TestMakeNamesWhatIsWrong(t *testing.T) {
	onBoth(t, func(t *testing.T, s *server) {
		good, old := s.add(t, "good", false), s.add(t, "old", true)
		cut, changed, missing, deleted := s.add(t, "cut off", false), s.add(t, "changed", false), s.add(t, "missing", false), s.add(t, "deleted", false)
		err := errors.Join(os.Truncate(s.fileOf(cut), 3), os.WriteFile(s.fileOf(changed), []byte("CHANGED"), 0o600),
			os.Remove(s.fileOf(missing)), os.Remove(s.fileOf(deleted)))
		if err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		s.Folder = hooked{Folder: s.Folder, create: func(string) error { // the database is copied already
			once.Do(func() {
				s.exec(t, "DELETE FROM images WHERE name = '"+deleted+"'")
				s.exec(t, "DELETE FROM blobs WHERE file = '"+deleted+"'")
			})
			return nil
		}}
		made := s.make(t, MakeOptions{})
		want := []Problem{{cut, "it has 3 bytes instead of 7"}, {changed, "its SHA-256 is another one"}, {missing, "it is missing"}}
		slices.SortFunc(want, func(a, b Problem) int { return strings.Compare(a.Picture, b.Picture) })
		if !slices.Equal(made.Problems, want) || made.Pictures != (Pictures{Count: 2, Bytes: 7, Gone: 1, Lost: 3}) {
			t.Errorf("problems %v and %+v, want %v, 2 pictures, 1 gone and 3 lost", made.Problems, made.Pictures, want)
		}
		r := s.target(t)
		done, err := Restore(t.Context(), r.RestoreOptions)
		if err != nil {
			t.Fatal(err)
		}
		if done.Gone != 1 || !slices.Equal(done.Problems, want) {
			t.Errorf("restored %d gone and %v, want 1 and %v", done.Gone, done.Problems, want)
		}
		rows, files := r.images(t)
		wantRows, wantFiles := []string{good, old, cut, changed, missing}, []string{good, old}
		slices.Sort(wantRows)
		slices.Sort(wantFiles)
		if !slices.Equal(rows, wantRows) || !slices.Equal(files, wantFiles) {
			t.Errorf("rows %q and files %q, want %q and %q", rows, files, wantRows, wantFiles)
		}
	})
}

// TestInterruptedBackups fails at every file, one after another. Each goes on where the one before it ended.
func TestInterruptedBackups(t *testing.T) {
	onBoth(t, func(t *testing.T, s *server) {
		for i := range 3 {
			s.add(t, fmt.Sprint("picture ", i), false)
		}
		folder, failure := s.Folder, errors.New("cut off")
		for files := 0; ; files++ {
			var left atomic.Int64
			left.Store(int64(files))
			s.Folder = hooked{Folder: folder, create: func(string) error {
				if left.Add(-1) < 0 {
					return failure
				}
				return nil
			}}
			_, err := s.Make(t.Context(), MakeOptions{})
			if err == nil {
				if files < 3 || files > 5 { // the database, the list and the manifest, and not all three pictures again
					t.Errorf("it succeeded with %d files", files)
				}
				if stats := s.Stats(); stats.Succeeded != 1 || stats.Failed != int64(files) || !stats.LastSuccess.Equal(s.now) || stats.Bytes == 0 {
					t.Errorf("stats %+v, want 1 success and %d failures", stats, files)
				}
				break
			}
			if backups, listed := List(t.Context(), folder); !errors.Is(err, failure) || len(backups) != 0 || listed != nil {
				t.Fatalf("after %d files: %v, backups %v, %v; want what failed, and no backup", files, err, backups, listed)
			}
		}
		var names []string
		for entry, err := range folder.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, entry.Name)
		}
		if len(names) != 2 { // pictures, and the backup
			t.Errorf("left in the folder: %q, want nothing of the interrupted ones", names)
		}
	})
}

// TestInterruptedRestores fails at every file that is read, one after another.
func TestInterruptedRestores(t *testing.T) {
	onBoth(t, func(t *testing.T, s *server) {
		var want []string
		for i := range 3 {
			want = append(want, s.add(t, fmt.Sprint("picture ", i), false))
		}
		slices.Sort(want)
		s.make(t, MakeOptions{})
		r, failure := s.target(t), errors.New("cut off")
		for files := 0; ; files++ {
			var left atomic.Int64
			left.Store(int64(files))
			r.Folder = hooked{Folder: s.Folder, open: func(string) error {
				if left.Add(-1) < 0 {
					return failure
				}
				return nil
			}}
			_, err := Restore(t.Context(), r.RestoreOptions)
			if err == nil {
				break
			}
			if vacant := database.CheckVacant(t.Context(), r.Database); !errors.Is(err, failure) || vacant != nil {
				t.Fatalf("after %d files: %v, and the database: %v; want what failed, and no database", files, err, vacant)
			}
		}
		if rows, files := r.images(t); !slices.Equal(rows, want) || !slices.Equal(files, want) {
			t.Errorf("rows %q and files %q, want %q", rows, files, want)
		}
	})
}

// TestRestoreDropsWhatOneLeft plays one that was killed while it loaded the dump.
func TestRestoreDropsWhatOneLeft(t *testing.T) {
	url := dbtest.MySQL(t)
	dbtest.NeedDump(t)
	s := newServer(t, url, storage.OpenDiskFolder(t.TempDir()))
	want := s.add(t, "picture", false)
	s.make(t, MakeOptions{})
	r := s.target(t)
	pool := dbtest.OpenPool(t, r.Database.URL, "")
	for _, statement := range []string{"CREATE TABLE gatehouse_restore (id INT PRIMARY KEY)", "CREATE TABLE users (half INT)"} {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	d, err := database.Open(t.Context(), r.Database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "run gatehouse restore again") {
		t.Errorf("a server that starts before the end: %v, want that the restore is not finished", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), r.RestoreOptions); err != nil {
		t.Fatal(err)
	}
	if rows, _ := r.images(t); !slices.Equal(rows, []string{want}) {
		t.Errorf("rows %q, want %q", rows, want)
	}
	if _, err := Restore(t.Context(), r.RestoreOptions); err == nil || !strings.Contains(err.Error(), "is in the way") {
		t.Errorf("once more: %v, want that a table is in the way", err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, s *server) {
		s.add(t, "picture", false)
		made := s.make(t, MakeOptions{})
		for _, test := range []struct {
			name   string
			change func(m *Manifest, r *place)
			want   string
		}{
			{"a newer format", func(m *Manifest, _ *place) { m.Format++ }, "which is newer than this program"},
			{"a newer migration", func(m *Manifest, _ *place) { m.Migrations = append(m.Migrations, 99999) }, "has migration 99999, which this program does not know"},
			{"another database", func(m *Manifest, _ *place) { m.Database = "other" }, "restore it into the same kind of database"},
			{"a time before it", func(_ *Manifest, r *place) { r.At = "2026-01-30" }, "the oldest backup was made at 2026-01-31 12:00:00"},
			{"no time", func(_ *Manifest, r *place) { r.At = "yesterday" }, "is no time"},
			{"a changed copy", func(m *Manifest, _ *place) { m.Files[0].SHA256 = "0" }, "its SHA-256 is another one"},
			{"files in the storage", func(_ *Manifest, r *place) {
				if err := put(t.Context(), r.Store, "stray.png", "stray"); err != nil {
					t.Fatal(err)
				}
			}, "the storage is not empty: it has 1 files that are not in the backup, such as stray.png"},
		} {
			t.Run(test.name, func(t *testing.T) {
				r, changed := s.target(t), made.Backup
				changed.Files = slices.Clone(made.Files)
				test.change(&changed.Manifest, r)
				if err := (archive{s.Folder}).saveManifest(t.Context(), changed); err != nil {
					t.Fatal(err)
				}
				_, err := Restore(t.Context(), r.RestoreOptions)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if err := database.CheckVacant(t.Context(), r.Database); err != nil {
					t.Errorf("the database is not as it was: %v", err)
				}
			})
		}
	})
}

// TestRestoreRefusesAnotherWAL finds what is left of a database that is gone: it would be taken for a part of
// the restored one.
func TestRestoreRefusesAnotherWAL(t *testing.T) {
	s := newServer(t, "", storage.OpenDiskFolder(t.TempDir()))
	s.make(t, MakeOptions{})
	r := s.target(t)
	if err := os.WriteFile(filepath.Join(r.dir, "gatehouse.db-wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), r.RestoreOptions); err == nil || !strings.Contains(err.Error(), "gatehouse.db-wal is in the way") {
		t.Errorf("got %v, want that the WAL is in the way", err)
	}
}

func TestSecret(t *testing.T) {
	s := newServer(t, "", storage.OpenDiskFolder(t.TempDir()))
	s.exec(t, "INSERT INTO signing_keys (id, sealed, created_at, algorithm) VALUES ('key', x'00', 0, 'EdDSA')")
	wrong := errors.New("another secret")
	for _, test := range []struct {
		name             string
		saved, there     []byte
		wantPut          bool
		wantSealed, open error
	}{
		{"saved, and none there", []byte("saved"), nil, true, nil, nil},
		{"saved, and the same there", []byte("saved"), []byte("saved"), false, nil, nil},
		{"not saved, and the right one there", nil, []byte("there"), false, nil, nil},
		{"not saved, and a wrong one there", nil, []byte("there"), false, wrong, wrong},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.make(t, MakeOptions{Secret: test.saved})
			r := s.target(t)
			var put []byte
			r.Secret = test.there
			r.PutSecret = func(secret []byte) error { put = secret; return nil }
			r.Opens = func(_ []byte, id string, _ []byte) error {
				if id != "key" {
					t.Errorf("asked for key %q", id)
				}
				return test.open
			}
			done, err := Restore(t.Context(), r.RestoreOptions)
			if err != nil || done.PutSecret != test.wantPut || test.wantPut && !bytes.Equal(put, test.saved) || !errors.Is(done.Sealed, test.wantSealed) {
				t.Errorf("put %t, %q, %v, error %v; want %t and %v", done.PutSecret, put, done.Sealed, err, test.wantPut, test.wantSealed)
			}
		})
	}
}

// TestInterruptedBackupIsCompared changes what an interrupted backup has saved.
func TestInterruptedBackupIsCompared(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, "", storage.OpenDiskFolder(dir))
	good, changed := s.add(t, "good", false), s.add(t, "changed", false)
	folder, failure := s.Folder, errors.New("cut off")
	s.Folder = hooked{Folder: folder, create: func(path string) error {
		if !strings.HasPrefix(path, picturesFolder) {
			return failure
		}
		return nil
	}}
	if _, err := s.Make(t.Context(), MakeOptions{}); !errors.Is(err, failure) {
		t.Fatalf("got %v, want what failed", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pictures", changed[:2], changed), []byte("CHANGED"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Folder = folder
	if made := s.make(t, MakeOptions{}); made.Copied != 1 || made.Pictures.Count != 2 {
		t.Errorf("copied %d of %d pictures, want the changed one of 2", made.Copied, made.Pictures.Count)
	}
	wantFound(t, folder)
	if _, err := os.Stat(filepath.Join(dir, "pictures", good[:2], good)); err != nil {
		t.Error(err)
	}
}

// TestChoose has a backup whose clock was wrong.
func TestChoose(t *testing.T) {
	backup := func(number int64, at string) Backup {
		created, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		return Backup{Name: created.Format(nameForm), Manifest: Manifest{Number: number, CreatedAt: created.Add(time.Second / 2)}}
	}
	backups := []Backup{backup(1, "2030-01-01T00:00:00Z"), backup(2, "2026-01-30T12:00:00Z"), backup(3, "2026-01-31T12:00:00Z")}
	for at, want := range map[string]int64{
		"": 3, "20300101T000000Z": 1, "20260131t120000z": 3, "2026-01-31": 3, "2026-01-30": 2, "2026-01-31T11:59:59Z": 2, "2031-01-01": 3,
	} {
		chosen, err := Choose(backups, at)
		if err != nil || chosen.Number != want {
			t.Errorf("%q: backup %d, %v; want %d", at, chosen.Number, err, want)
		}
	}
}

// TestOldBackupsGo makes backups while the clock goes backwards: the order is that in which they were made. What is
// somebody else's stays.
func TestOldBackupsGo(t *testing.T) {
	onBoth(t, func(t *testing.T, s *server) {
		s.Keep = 2
		dir := t.TempDir()
		s.Folder = storage.OpenDiskFolder(dir)
		others := []string{filepath.Join(dir, "pictures", "us", "a"), filepath.Join(dir, "pictures", "us", "usa", "beach.jpg"), filepath.Join(dir, "pictures", "holidays", "sea.jpg")}
		for _, file := range others {
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		kept := s.add(t, "kept", false)
		gone := s.add(t, "deleted after the first", false)
		first := s.make(t, MakeOptions{Prune: true})
		s.exec(t, "DELETE FROM images WHERE name = '"+gone+"'")
		s.exec(t, "DELETE FROM blobs WHERE file = '"+gone+"'")
		s.now = s.now.Add(-time.Hour)
		second := s.make(t, MakeOptions{Prune: true})
		third := s.make(t, MakeOptions{Prune: true}) // in the same second
		if second.Copied != 0 || third.Copied != 0 {
			t.Errorf("copied %d and %d pictures again", second.Copied, third.Copied)
		}
		if !slices.Equal(third.Removed, []string{first.Name}) {
			t.Errorf("removed %q, want the first, %s", third.Removed, first.Name)
		}
		backups, err := List(t.Context(), s.Folder)
		if err != nil || len(backups) != 2 || backups[0].Name != second.Name || backups[1].Name != third.Name {
			t.Errorf("backups %v, %v; want the second and the third", backups, err)
		}
		var saved []string
		for entry, err := range (archive{s.Folder}).pictures(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			saved = append(saved, entry.Name)
		}
		if !slices.Equal(saved, []string{kept}) {
			t.Errorf("saved pictures %q, want only %s", saved, kept)
		}
		for _, file := range others {
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
		}
		if _, err := Restore(t.Context(), s.target(t).RestoreOptions); err != nil {
			t.Error(err)
		}
	})
}

func TestOneBackupAtATime(t *testing.T) {
	onBoth(t, func(t *testing.T, s *server) {
		other := New(s.Options)
		other.Spool = t.TempDir()
		other.Folder = storage.OpenDiskFolder(t.TempDir())
		entered := false
		s.Folder = hooked{Folder: s.Folder, create: func(string) error {
			if !entered {
				entered = true
				if _, err := other.Make(t.Context(), MakeOptions{}); !errors.Is(err, ErrHeld) {
					t.Errorf("a second backup at the same time: %v, want %v", err, ErrHeld)
				}
			}
			return nil
		}}
		s.make(t, MakeOptions{})
		if !entered {
			t.Fatal("no file was created")
		}
		for name, expires := range map[string]time.Time{"killed": s.now.Add(-time.Second), "of a wrong clock": s.now.Add(24 * time.Hour)} {
			err := s.Database.Exec(t.Context(), func(ctx context.Context, q *db.Queries) error {
				return q.InsertLease(ctx, db.InsertLeaseParams{Name: leaseName, Holder: "another", ExpiresAt: expires})
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Make(t.Context(), MakeOptions{}); err != nil {
				t.Errorf("after a backup that was %s: %v", name, err)
			}
		}
	})
}

// TestLostLease takes the lease away: what was made must not count.
func TestLostLease(t *testing.T) {
	onBoth(t, func(t *testing.T, s *server) {
		folder := s.Folder
		s.Folder = hooked{Folder: folder, create: func(path string) error {
			if strings.HasSuffix(path, listFile) {
				s.exec(t, "UPDATE leases SET holder = 'another'")
			}
			return nil
		}}
		if _, err := s.Make(t.Context(), MakeOptions{}); !errors.Is(err, errLost) {
			t.Errorf("got %v, want %v", err, errLost)
		}
		if backups, err := List(t.Context(), folder); len(backups) != 0 || err != nil {
			t.Errorf("backups %v, %v; want none", backups, err)
		}
	})
}

func TestCheckFindsDamage(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, "", storage.OpenDiskFolder(dir))
	good, changed, missing := s.add(t, "good", false), s.add(t, "changed", false), s.add(t, "missing", false)
	made := s.make(t, MakeOptions{})
	saved := func(name string) string { return filepath.Join(dir, "pictures", name[:2], name) }
	err := errors.Join(os.WriteFile(saved(changed), []byte("CHANGED"), 0o600), os.Remove(saved(missing)),
		os.Truncate(filepath.Join(dir, made.Name, databaseFile), 10))
	if err != nil {
		t.Fatal(err)
	}
	wantFound(t, s.Folder, made.Name+"/"+databaseFile, "pictures/"+changed[:2]+"/"+changed, "pictures/"+missing[:2]+"/"+missing)

	if again := s.make(t, MakeOptions{Verify: true}); again.Copied != 2 {
		t.Errorf("copied %d pictures again, want the two that were damaged", again.Copied)
	}
	wantFound(t, s.Folder, made.Name+"/"+databaseFile)
	if _, err := os.Stat(saved(good)); err != nil {
		t.Error(err)
	}
}

// TestDamagedBackupStopsNoOther destroys the manifest of one backup, and the list of the next.
func TestDamagedBackupStopsNoOther(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, "", storage.OpenDiskFolder(dir))
	want := s.add(t, "picture", false)
	first := s.make(t, MakeOptions{})
	var damaged []string
	for _, file := range []string{manifestFile, listFile} {
		file = s.make(t, MakeOptions{}).Name + "/" + file
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		clear(content[len(content)/2:]) // as a power failure leaves it
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
		damaged = append(damaged, file)
	}
	if again := s.make(t, MakeOptions{}); again.Pictures.Count != 1 || again.Copied != 0 {
		t.Errorf("the next backup copied %d of %d pictures, want none of 1", again.Copied, again.Pictures.Count)
	}
	wantFound(t, s.Folder, damaged...)
	s.Keep = 3 // of which one has the damaged list
	if _, err := s.Make(t.Context(), MakeOptions{Prune: true}); err == nil || !strings.Contains(err.Error(), "is complete, but not every old one could be removed") {
		t.Errorf("old backups: %v, want that they stay", err)
	}
	r := s.target(t)
	if _, err := Restore(t.Context(), r.RestoreOptions); err == nil || !strings.Contains(err.Error(), "name another one with --at") {
		t.Errorf("restore of none by name: %v, want that one must be named", err)
	}
	r.At = first.Name
	if _, err := Restore(t.Context(), r.RestoreOptions); err != nil {
		t.Fatal(err)
	}
	if rows, _ := r.images(t); !slices.Equal(rows, []string{want}) {
		t.Errorf("rows %q, want %q", rows, want)
	}
}

func wantFound(t *testing.T, folder storage.Folder, want ...string) {
	t.Helper()
	var got []string
	if _, err := Check(t.Context(), folder, io.Discard, func(file, _ string) { got = append(got, file) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestSchedule(t *testing.T) {
	onBoth(t, func(t *testing.T, s *server) {
		s.Every, s.Keep = time.Hour, 1
		other := New(s.Options)
		count := func(want int) {
			t.Helper()
			if backups, err := List(t.Context(), s.Folder); len(backups) != want || err != nil {
				t.Fatalf("%d backups, %v; want %d", len(backups), err, want)
			}
		}
		due := func(service *Service, want time.Duration) {
			t.Helper()
			if wait, err := service.makeIfDue(t.Context()); wait != want || err != nil {
				t.Errorf("look again in %s, %v; want %s", wait, err, want)
			}
		}
		due(s.Service, lookInterval)
		count(1)
		made := s.Stats().Succeeded
		due(other, lookInterval) // the first one has made it
		if other.Stats().Succeeded != 0 || made != 1 {
			t.Errorf("both made a backup: %+v", other.Stats())
		}
		s.now = s.now.Add(time.Hour - 10*time.Second)
		due(s.Service, 10*time.Second)
		s.now = s.now.Add(10 * time.Second)
		due(other, lookInterval)
		count(1) // one is kept
		if other.Stats().Succeeded != 1 {
			t.Error("the other one did not make the next one")
		}
		s.now = s.now.Add(-48 * time.Hour) // the clock was wrong
		due(s.Service, lookInterval)
		if s.Stats().Succeeded != 2 {
			t.Error("no backup after the clock was set right")
		}
		folder := s.Folder
		s.Folder, s.now = hooked{Folder: folder, create: func(string) error { return fs.ErrPermission }}, s.now.Add(2*time.Hour)
		if wait, err := s.makeIfDue(t.Context()); err == nil || wait != retryInterval {
			t.Errorf("a failed one: look again in %s, %v; want an error and %s", wait, err, retryInterval)
		}
	})
}
