package image

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// fixedNow has more digits than the databases store.
var fixedNow = time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("CST", 8*3600))

// openService returns a service on a new disk, and the folder of the disk. Limits that are 0 get a usual value.
func openService(tb testing.TB, d *database.Database, o Options) (*Service, string) {
	tb.Helper()
	dir := tb.TempDir()
	o.Database, o.Disk, o.Logger = d, openDisk(tb, dir), slog.New(slog.DiscardHandler)
	o.Now = func() time.Time { return fixedNow }
	o.MaxFiles, o.MaxBytes = cmp.Or(o.MaxFiles, 9), cmp.Or(o.MaxBytes, 50<<20)
	return New(o), dir
}

// anotherProcess returns the service of another process on the same folder.
func anotherProcess(tb testing.TB, s *Service, dir string) *Service {
	tb.Helper()
	other := *s
	other.disk = openDisk(tb, dir)
	return &other
}

func openDisk(tb testing.TB, dir string) *storage.Disk {
	tb.Helper()
	disk, err := storage.OpenDisk(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { disk.Close() })
	return disk
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

func TestUploadKeepsPictures(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, dir := openService(t, d, Options{MaxFiles: 20})
		owner := uuid.NewString()
		all := pictures(t)
		var uploads []*Upload
		for _, p := range all {
			uploads = append(uploads, upload("我的/照片 "+p.name+".txt", p.data))
		}
		images, err := s.Upload(t.Context(), owner, each(uploads...), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for i, p := range all {
			names = append(names, images[i].Name)
			want := Image{
				ID:           images[i].ID,
				OwnerID:      owner,
				Name:         images[i].Name,
				OriginalName: "照片 " + p.name + ".txt",
				Bytes:        int64(len(p.data)),
				Width:        p.width,
				Height:       p.height,
				ContentType:  p.contentType,
				SHA256:       sha256.Sum256(p.data),
				CreatedAt:    fixedNow.UTC().Truncate(time.Microsecond),
			}
			if !reflect.DeepEqual(images[i], want) {
				t.Errorf("%s: image %+v, want %+v", p.name, images[i], want)
			}
			if id, err := uuid.Parse(want.ID); err != nil || id.Version() != 7 {
				t.Errorf("%s: id %s, want a UUIDv7", p.name, want.ID)
			}
			wantRow(t, pool, want)
			wantServed(t, s, want, p.data)
		}
		wantFiles(t, dir, names...)
	})
}

func wantServed(t *testing.T, s *Service, image Image, data []byte) {
	t.Helper()
	f, err := s.Open(image.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%s: %d bytes, %v, want the %d sent", image.OriginalName, len(got), err, len(data))
	}
	wantETag := `"` + strings.Split(image.Name, ".")[0] + `"`
	if f.ContentType != image.ContentType || f.Size != image.Bytes || f.ETag != wantETag || f.ModTime.IsZero() {
		t.Errorf("%s is opened as %+v", image.OriginalName, f)
	}
}

func TestUploadWithoutOwner(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, _ := openService(t, d, Options{})
		images, err := s.Upload(t.Context(), "", each(upload("a.jpg", encodeJPEG(t, 8, 8))), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantRow(t, pool, images[0])
	})
}

// refusal is an upload that must leave nothing behind.
type refusal struct {
	name      string
	uploads   func() (*Upload, error)
	wantCode  apperr.Code
	wantCause error
}

// refusals must be refused if 3 pictures and 100,000 bytes are allowed.
func refusals(t *testing.T) []refusal {
	good := encodeJPEG(t, 24, 16)
	hugeGIF := patched(encodeGIF(t, 8, 8, 1), 6, 0x60, 0xea, 0x60, 0xea)
	trailer := make([]byte, 200_000)
	gone := errors.New("the client is gone")
	broken := func(data []byte, err error) *Upload {
		return &Upload{Content: io.MultiReader(bytes.NewReader(data), iotest.ErrReader(err))}
	}
	a := func(data []byte) *Upload { return upload("a.jpg", data) }
	return []refusal{
		{"no picture", each(), apperr.InvalidInput, nil},
		{"empty", each(a(nil)), apperr.EmptyUpload, nil},
		{"second empty", each(a(good), a(nil)), apperr.EmptyUpload, nil},
		{"svg called jpg", each(a([]byte("<svg/>"))), apperr.NotAnImage, nil},
		{"second no picture", each(a(good), a([]byte("<html>"))), apperr.NotAnImage, nil},
		{"cut off", each(a(good[:len(good)-1])), apperr.ImageDamaged, nil},
		{"second cut off", each(a(good), a(good[:200])), apperr.ImageDamaged, nil},
		{"too many pixels", each(a(hugeGIF)), apperr.TooManyPixels, nil},
		{"one too large", each(a(largePhoto(t, 200_000))), apperr.UploadTooLarge, nil},
		{"too large by its trailer", each(a(join(good, trailer))), apperr.UploadTooLarge, nil},
		{"together too large", each(a(largePhoto(t, 50_000)), a(largePhoto(t, 50_000))), apperr.UploadTooLarge, nil},
		{"too many", each(a(good), a(good), a(good), a(good)), apperr.TooManyImages, nil},
		{"reader fails at once", each(broken(nil, gone)), apperr.Internal, gone},
		{"reader fails inside", each(broken(good[:300], gone)), apperr.Internal, gone},
		{"reader fails after the picture", each(broken(good, gone)), apperr.Internal, gone},
		{"second reader fails", each(a(good), broken(good, gone)), apperr.Internal, gone},
		{"body cut off", each(broken(good[:300], io.ErrUnexpectedEOF)), apperr.Internal, io.ErrUnexpectedEOF},
		{"body cut off between pictures", cutAfter(a(good)), apperr.Internal, io.EOF},
		{"next fails", func() (*Upload, error) { return nil, gone }, apperr.Internal, gone},
	}
}

func TestUploadRefusesAllOrNone(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		for _, test := range refusals(t) {
			t.Run(test.name, func(t *testing.T) {
				s, dir := openService(t, d, Options{MaxFiles: 3, MaxBytes: 100_000})
				_, err := s.Upload(t.Context(), "", test.uploads, nil)
				if apperr.From(err).Code != test.wantCode || !errors.Is(err, test.wantCause) && test.wantCause != nil {
					t.Errorf("error is %v, want code %d and cause %v", err, test.wantCode, test.wantCause)
				}
				wantFiles(t, dir)
				wantNoRows(t, pool)
			})
		}
	})
}

func TestRefusalNamesThePicture(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		_, err := s.Upload(t.Context(), "", each(upload("a.jpg", encodeJPEG(t, 8, 8)), upload("b.jpg", []byte("no picture"))), nil)
		want := []apperr.Detail{{Field: "/image/1", Reason: apperr.NotAnImage.Text()}}
		if got := apperr.From(err).Details; !reflect.DeepEqual(got, want) {
			t.Errorf("details %v, want %v", got, want)
		}
	})
}

func TestUploadTakesExactlyTheLimits(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		data := encodeJPEG(t, 24, 16)
		s, _ := openService(t, d, Options{MaxFiles: 2, MaxBytes: 2 * int64(len(data))})
		images, err := s.Upload(t.Context(), "", each(upload("", data), upload("", data)), nil)
		if err != nil || len(images) != 2 {
			t.Errorf("%d images, %v", len(images), err)
		}
	})
}

func TestUploadConcurrently(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		one, dir := openService(t, d, Options{})
		two := anotherProcess(t, one, dir)
		data := photo(t)
		var mu sync.Mutex
		var names []string
		var group sync.WaitGroup
		for i := range 32 {
			group.Go(func() {
				s := []*Service{one, two}[i%2]
				images, err := s.Upload(t.Context(), "", each(upload("a.jpg", data), upload("b.jpg", data)), nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				names = append(names, images[0].Name, images[1].Name)
			})
		}
		group.Wait()
		wantFiles(t, dir, names...)
		for _, name := range names {
			f, err := two.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
			f.Close()
		}
	})
}

// TestUploadMemoryIsBounded checks that memory does not grow with the picture.
func TestUploadMemoryIsBounded(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		data := largePhoto(t, 20<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := s.Upload(t.Context(), "", each(upload("a.jpg", data)), nil); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
			t.Errorf("%d bytes allocated for a picture of %d", allocated, len(data))
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, dir := openService(t, d, Options{})
		if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "secret.jpg"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			"", ".", "..", "/", "incoming", "../secret.jpg", "aa/../../secret.jpg", "..%2fsecret.jpg",
			strings.Repeat("a", 26), strings.Repeat("a", 26) + ".", strings.Repeat("a", 26) + ".jpg",
			strings.Repeat("a", 26) + ".svg", strings.Repeat("A", 26) + ".jpg", strings.Repeat("1", 26) + ".jpg",
			strings.Repeat("a", 25) + ".jpg", strings.Repeat("a", 27) + ".jpg", strings.Repeat("a", 26) + ".jpg.jpg",
			strings.Repeat("a", 25) + "\x00.jpg", strings.Repeat("../", 8) + "ab.jpg", strings.Repeat("图", 26) + ".jpg",
		} {
			if f, err := s.Open(name); !apperr.Is(err, apperr.ImageNotFound) {
				t.Errorf("%q: %v, %v, want ImageNotFound", name, f, err)
			}
		}
	})
}

func TestFullDiskIsSaidSo(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		err := diskError(&fs.PathError{Op: "write", Path: "x", Err: cause})
		if !apperr.Is(err, apperr.StorageFull) || !errors.Is(err, cause) {
			t.Errorf("%v is said to be %v", cause, err)
		}
	}
	if err := diskError(fs.ErrClosed); apperr.Is(err, apperr.StorageFull) {
		t.Errorf("said to be %v", err)
	}
}

// openDatabase opens a new database, and a pool of its own for the test.
func openDatabase(tb testing.TB, url string) (*database.Database, *sql.DB) {
	tb.Helper()
	dir := tb.TempDir()
	return dbtest.OpenIn(tb, url, dir, slog.New(slog.DiscardHandler)), dbtest.OpenPool(tb, url, dir)
}

func wantNoRows(tb testing.TB, pool *sql.DB) {
	tb.Helper()
	var rows int
	if err := pool.QueryRowContext(tb.Context(), "SELECT COUNT(*) FROM images").Scan(&rows); err != nil {
		tb.Fatal(err)
	}
	if rows > 0 {
		tb.Errorf("%d rows, want none", rows)
	}
}

func wantRow(tb testing.TB, pool *sql.DB, image Image) {
	tb.Helper()
	const query = "SELECT id, owner_id, name, original_name, bytes, width, height, content_type, sha256, created_at FROM images WHERE name = ?"
	var row db.Image
	err := pool.QueryRowContext(tb.Context(), query, image.Name).Scan(&row.ID, &row.OwnerID, &row.Name, &row.OriginalName,
		&row.Bytes, &row.Width, &row.Height, &row.ContentType, &row.Sha256, &row.CreatedAt)
	if err != nil {
		tb.Fatal(err)
	}
	if want := db.Image(paramsFromImage(image)); !reflect.DeepEqual(row, want) {
		tb.Errorf("row %+v, want %+v", row, want)
	}
}
