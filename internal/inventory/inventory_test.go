package inventory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	stdimage "image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	"gatehouse/internal/upload"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// process is a process with its services, on a database and on storages that others may share.
type process struct {
	*Inventory
	database *database.Database
	pool     *sql.DB
	found    []Finding
}

// newProcess opens the services. The fallback may be nil.
func newProcess(t *testing.T, d *database.Database, pool *sql.DB, shelf, fallback storage.Shelf) *process {
	t.Helper()
	store, err := storage.Open(storage.Options{Shelf: shelf, Fallback: fallback, Spool: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.DiscardHandler)
	images, err := image.New(image.Options{
		Database: d, Store: store, Logger: log, Now: time.Now, MaxFiles: 9, MaxBytes: 1 << 20,
		Limits:  codec.Limits{Pixels: 1e6, Side: 1e4, Frames: 10},
		Decodes: 1, DecodeWait: time.Minute, DecodeMemory: 1 << 30, Sizes: []int{32}, UnownedKept: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{database: d, pool: pool}
	uploads := upload.New(upload.Options{
		Database: d, Store: store, Images: images, Logger: log, Now: time.Now, MaxBytes: 1 << 20, Lifetime: time.Hour, MaxSessions: 9,
	})
	p.Inventory = New(Options{
		Store: store, Shelf: shelf, Fallback: fallback, Images: images, Uploads: uploads, Now: time.Now, Output: io.Discard,
		Found: func(f Finding) { p.found = append(p.found, f) },
		Stored: func(ctx context.Context, file string) (bool, error) {
			if strings.HasSuffix(file, upload.PieceSuffix) {
				return uploads.Stored(ctx, file)
			}
			return images.Stored(ctx, file)
		},
	})
	return p
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(t *testing.T, d *database.Database, pool *sql.DB)) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		test(t, dbtest.OpenIn(t, url, dir, slog.New(slog.DiscardHandler)), dbtest.OpenPool(t, url, dir))
	})
}

func openDisk(t *testing.T, dir string) *storage.Disk {
	t.Helper()
	disk, err := storage.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

func openS3(t *testing.T) storage.Shelf {
	t.Helper()
	m := dbtest.SharedMinIO(t)
	s3, err := storage.OpenS3(storage.S3Options{Endpoint: m.Endpoint, Region: m.Region, Bucket: m.Bucket, KeyID: m.KeyID, KeySecret: m.KeySecret})
	if err != nil {
		t.Fatal(err)
	}
	return s3
}

// pathOn is where a disk has a file.
func pathOn(dir, name string) string { return filepath.Join(dir, name[:2], name) }

var painted atomic.Uint32

// picture is a PNG like no other.
func picture(t *testing.T) []byte {
	t.Helper()
	n := painted.Add(1)
	m := stdimage.NewRGBA(stdimage.Rect(0, 0, 4, 4))
	m.Set(0, 0, color.RGBA{byte(n), byte(n >> 8), byte(n >> 16), 255})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const owner = "0198c5e1-0000-7000-8000-00000000aaaa"

// upload stores a picture and returns it. Its file has the same name.
func (p *process) upload(t *testing.T) image.Image {
	t.Helper()
	left := []*image.Upload{{Name: "a.png", Content: bytes.NewReader(picture(t))}}
	images, err := p.Images.Upload(t.Context(), image.UploadOptions{OwnerID: owner}, func() (*image.Upload, error) {
		if len(left) == 0 {
			return nil, io.EOF
		}
		next := left[0]
		left = nil
		return next, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return images[0]
}

// uploadOld stores a picture as an older program did: without a blob.
func (p *process) uploadOld(t *testing.T) image.Image {
	t.Helper()
	data := picture(t)
	old := image.Image{
		ID: uuid.NewString(), Name: "old" + strings.ReplaceAll(uuid.NewString(), "-", "") + ".png", Bytes: int64(len(data)), SHA256: sha256.Sum256(data),
	}
	p.place(t, old.Name, data)
	err := p.database.InTx(t.Context(), func(q *db.Queries) error {
		return q.InsertImage(t.Context(), db.InsertImageParams{
			ID: old.ID, Name: old.Name, Bytes: old.Bytes, ContentType: "image/png", Sha256: old.SHA256[:],
			CreatedAt: database.Timestamp(time.Now()), Visibility: "public",
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return old
}

// uploadPiece begins an upload in pieces, and returns the file of its first piece.
func (p *process) uploadPiece(t *testing.T) string {
	t.Helper()
	session, err := p.Uploads.Create(t.Context(), owner, upload.Announcement{Bytes: 100, Name: "a.png"})
	if err == nil {
		_, err = p.Uploads.Append(t.Context(), owner, session.ID, 0, nil, strings.NewReader("the first piece"))
	}
	if err != nil {
		t.Fatal(err)
	}
	var file string
	query := fmt.Sprintf("SELECT file FROM upload_pieces WHERE session_id = '%s'", session.ID)
	if err := p.pool.QueryRowContext(t.Context(), query).Scan(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

// place puts a file on the shelf, without a row.
func (p *process) place(t *testing.T, name string, data []byte) {
	t.Helper()
	batch := p.Store.NewBatch()
	f, err := batch.Create(name)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = batch.Place(t.Context())
	}
	if err == nil {
		err = batch.Keep()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *process) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := p.pool.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func (p *process) check(t *testing.T, o CheckOptions) Checked {
	t.Helper()
	p.found = nil
	checked, err := p.Check(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return checked
}

// wantFound compares what was found with lines that begin so, in any order.
func (p *process) wantFound(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, f := range p.found {
		got = append(got, f.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// wantFiles compares the files of a shelf.
func wantFiles(t *testing.T, shelf storage.Shelf, want ...string) {
	t.Helper()
	var got []string
	for entry, err := range shelf.Walk(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the shelf has %q, want %q", got, want)
	}
}

// age makes a file on a disk older than any upload under way.
func age(t *testing.T, path string) {
	t.Helper()
	before := time.Now().Add(-2 * strayAge)
	if err := os.Chtimes(path, before, before); err != nil {
		t.Fatal(err)
	}
}
