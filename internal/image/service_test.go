package image

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// fixedNow has more digits than the databases store.
var fixedNow = time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("CST", 8*3600))

var testLimits = codec.Limits{Pixels: 50_000_000, Side: 16_000, Frames: 100}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: fixedNow} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// place is where a service keeps its files.
type place struct {
	shelf storage.Shelf
	spool string
}

func diskIn(tb testing.TB, dir string) place {
	tb.Helper()
	disk, err := storage.OpenDisk(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return place{disk, filepath.Join(dir, "incoming")}
}

func onS3(tb testing.TB, m *dbtest.MinIO, patience time.Duration) place {
	tb.Helper()
	shelf, err := storage.OpenS3(storage.S3Options{
		Endpoint: m.Endpoint, Region: m.Region, Bucket: m.Bucket, KeyID: m.KeyID, KeySecret: m.KeySecret, Patience: patience,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return place{shelf, tb.TempDir()}
}

// open opens a store, as another process does.
func (p place) open(tb testing.TB) *storage.Store {
	tb.Helper()
	store, err := storage.Open(storage.Options{Shelf: p.shelf, Spool: p.spool})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { store.Close() })
	return store
}

// openService returns a service on a new disk. Options that are zero get a usual value.
func openService(tb testing.TB, d *database.Database, o Options) (*Service, place) {
	tb.Helper()
	p := diskIn(tb, tb.TempDir())
	return openServiceIn(tb, p, d, o), p
}

func openServiceIn(tb testing.TB, p place, d *database.Database, o Options) *Service {
	tb.Helper()
	o.Database, o.Logger = d, slog.New(slog.DiscardHandler)
	if o.Store == nil {
		o.Store = p.open(tb)
	}
	if o.Now == nil {
		o.Now = func() time.Time { return fixedNow }
	}
	o.MaxFiles, o.MaxBytes, o.Limits = cmp.Or(o.MaxFiles, 9), cmp.Or(o.MaxBytes, 50<<20), cmp.Or(o.Limits, testLimits)
	o.Decodes, o.DecodeWait = cmp.Or(o.Decodes, 2), cmp.Or(o.DecodeWait, time.Minute)
	o.DecodeMemory, o.UnownedKept = cmp.Or(o.DecodeMemory, 400<<20), cmp.Or(o.UnownedKept, time.Hour)
	if o.Sizes == nil {
		o.Sizes = []int{64, 128, 320, 640}
	}
	o.LinkKey = []byte("key of links")
	s, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// anotherProcess returns the service of another process with the same files.
func anotherProcess(tb testing.TB, s *Service, p place) *Service {
	tb.Helper()
	return changed(tb, s, func(o *Options) { o.Store = p.open(tb) })
}

// changed returns a service with other options.
func changed(tb testing.TB, s *Service, change func(o *Options)) *Service {
	tb.Helper()
	o := s.Options
	change(&o)
	other, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return other
}

// kill unlocks what the process of a service has locked, as its death does.
func kill(tb testing.TB, s *Service) {
	tb.Helper()
	if err := s.Store.Close(); err != nil {
		tb.Fatal(err)
	}
}

// sweepAfter kills a service, and sweeps as the next process does.
func sweepAfter(tb testing.TB, killed *Service, p place) {
	tb.Helper()
	kill(tb, killed)
	sweep(tb, anotherProcess(tb, killed, p))
}

func sweep(tb testing.TB, s *Service) {
	tb.Helper()
	if err := s.Store.Sweep(tb.Context(), s.Stored); err != nil {
		tb.Fatal(err)
	}
}

// each returns the uploads one by one, as a reader of multipart bodies does.
func each(uploads ...*Upload) func() (*Upload, error) {
	return func() (*Upload, error) {
		if len(uploads) == 0 {
			return nil, io.EOF
		}
		u := uploads[0]
		uploads = uploads[1:]
		return u, nil
	}
}

// cutAfter returns the uploads, then the error of package mime/multipart for a truncated body.
func cutAfter(uploads ...*Upload) func() (*Upload, error) {
	next := each(uploads...)
	return func() (*Upload, error) {
		u, err := next()
		if err != nil {
			err = fmt.Errorf("multipart: NextPart: %w", err)
		}
		return u, err
	}
}

func upload(name string, data []byte) *Upload {
	return &Upload{Name: name, Content: bytes.NewReader(data)}
}

// uploadOne stores a picture for an owner.
func uploadOne(tb testing.TB, s *Service, owner string, data []byte) Image {
	tb.Helper()
	images, err := s.Upload(tb.Context(), UploadOptions{OwnerID: owner}, each(upload("a.jpg", data)))
	if err != nil {
		tb.Fatal(err)
	}
	return images[0]
}

// uploadFor stores different pictures for an owner, and returns them with the newest first.
func uploadFor(tb testing.TB, s *Service, owner string, count int) []Image {
	tb.Helper()
	var uploads []*Upload
	for i, data := range distinct(tb, count) {
		uploads = append(uploads, upload(fmt.Sprintf("照片 %d.jpg", i), data))
	}
	images, err := s.Upload(tb.Context(), UploadOptions{OwnerID: owner}, each(uploads...))
	if err != nil {
		tb.Fatal(err)
	}
	slices.Reverse(images)
	return images
}

func namesOf(images []Image) []string {
	names := make([]string, len(images))
	for i, image := range images {
		names[i] = image.Name
	}
	return names
}

func filesOf(images ...Image) []string {
	files := make([]string, len(images))
	for i, image := range images {
		files[i] = image.file
	}
	return files
}

// openDatabase opens a new database, and a pool of its own for the test.
func openDatabase(tb testing.TB, url string) (*database.Database, *sql.DB) {
	tb.Helper()
	dir := tb.TempDir()
	return dbtest.OpenIn(tb, url, dir, slog.New(slog.DiscardHandler)), dbtest.OpenPool(tb, url, dir)
}

// files lists the names of the visible files, and of those that are still undecided.
func (p place) files(tb testing.TB) (visible, incoming []string) {
	tb.Helper()
	for entry, err := range p.shelf.Walk(context.WithoutCancel(tb.Context())) {
		if err != nil {
			tb.Fatal(err)
		}
		visible = append(visible, entry.Name)
	}
	err := filepath.WalkDir(p.spool, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			incoming = append(incoming, entry.Name())
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	return visible, incoming
}

func wantFiles(tb testing.TB, p place, want ...string) {
	tb.Helper()
	visible, incoming := p.files(tb)
	slices.Sort(visible)
	want = slices.Compact(slices.Sorted(slices.Values(want)))
	if !slices.Equal(visible, want) || len(incoming) > 0 {
		tb.Errorf("files are %q and incoming %q, want %q and none", visible, incoming, want)
	}
}

// wantConsistent checks that no file lacks its row, no row its file, and nothing is undecided.
func wantConsistent(tb testing.TB, pool *sql.DB, p place) {
	tb.Helper()
	wantFiles(tb, p, queryStrings(tb, pool, `SELECT file FROM blobs UNION SELECT images.name FROM images
		LEFT JOIN blobs ON blobs.hash = images.sha256 WHERE blobs.hash IS NULL`)...)
}

// wantAllOwned checks that no blob lacks an image without being marked for the sweep.
func wantAllOwned(tb testing.TB, pool *sql.DB) {
	tb.Helper()
	lost := queryStrings(tb, pool, `SELECT file FROM blobs LEFT JOIN images ON images.sha256 = blobs.hash
		WHERE images.id IS NULL AND blobs.unowned_at IS NULL`)
	if len(lost) > 0 {
		tb.Errorf("the blobs %q have no image, and no sweep would delete them", lost)
	}
}

func queryStrings(tb testing.TB, pool *sql.DB, query string) []string {
	tb.Helper()
	rows, err := pool.QueryContext(tb.Context(), query)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			tb.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return all
}

func countRows(tb testing.TB, pool *sql.DB, table string) int {
	tb.Helper()
	var rows int
	if err := pool.QueryRowContext(tb.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil {
		tb.Fatal(err)
	}
	return rows
}

func wantCount(tb testing.TB, pool *sql.DB, table string, want int) {
	tb.Helper()
	if got := countRows(tb, pool, table); got != want {
		tb.Errorf("%d %s, want %d", got, table, want)
	}
}

// wantServed checks that an image opens as so many bytes.
func wantServed(tb testing.TB, s *Service, image Image, data []byte) {
	tb.Helper()
	f, err := s.Open(tb.Context(), image)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Content.Close()
	got, err := io.ReadAll(f.Content)
	if err != nil || !bytes.Equal(got, data) {
		tb.Errorf("%s: %d bytes, %v, want the %d cleaned", image.OriginalName, len(got), err, len(data))
	}
	wantETag := `"` + strings.Split(image.Name, ".")[0] + `"`
	if f.ContentType != image.ContentType || f.Size != int64(len(data)) || f.ETag != wantETag || f.ModTime.IsZero() {
		tb.Errorf("%s is opened as %+v", image.OriginalName, f)
	}
}

// together runs f several times at once.
func together(times int, f func(i int)) {
	var group sync.WaitGroup
	for i := range times {
		group.Go(func() { f(i) })
	}
	group.Wait()
}
