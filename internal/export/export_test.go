package export_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	stdimage "image"
	"image/jpeg"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/export"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var (
	uploadedAt = time.Date(2026, 3, 4, 5, 6, 8, 123456000, time.UTC)
	exportedAt = time.Date(2026, 11, 20, 8, 0, 2, 0, time.UTC)
)

// album is the pictures of a user.
type album struct {
	*image.Service
	owner string
	dir   string
	data  map[string][]byte // by id
}

// newAlbum uploads a picture for each name, each with so many bytes besides its pixels.
func newAlbum(t *testing.T, d *database.Database, extra int, names ...string) album {
	t.Helper()
	dir := t.TempDir()
	disk, err := storage.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(storage.Options{Shelf: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	service, err := image.New(image.Options{
		Database: d, Store: store, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return uploadedAt }, MaxFiles: 1000, MaxBytes: 1 << 30,
		Limits: codec.Limits{Pixels: 1 << 20, Side: 1 << 10, Frames: 1}, Decodes: 1, Sizes: []int{32},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := album{service, uuid.NewString(), dir, map[string][]byte{}}
	for i, name := range names {
		data := withProfile(encodeJPEG(t, i+1), extra)
		images, err := a.Upload(t.Context(), image.UploadOptions{OwnerID: a.owner}, oneUpload(name, data))
		if err != nil {
			t.Fatal(err)
		}
		a.data[images[0].ID] = data
	}
	return a
}

func oneUpload(name string, data []byte) func() (*image.Upload, error) {
	sent := false
	return func() (*image.Upload, error) {
		if sent {
			return nil, io.EOF
		}
		sent = true
		return &image.Upload{Name: name, Content: bytes.NewReader(data)}, nil
	}
}

func encodeJPEG(t *testing.T, width int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, stdimage.NewGray(stdimage.Rect(0, 0, width, 1)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withProfile adds so many bytes to a JPEG as segments of a colour profile, which are kept.
func withProfile(jpeg []byte, size int) []byte {
	const start = 2 // the marker of a JPEG's start
	profiled := slices.Clone(jpeg[:start])
	for ; size > 0; size -= 10_000 {
		segment := make([]byte, 10_000)
		copy(segment, "\xff\xe2")
		binary.BigEndian.PutUint16(segment[2:], uint16(len(segment)-2))
		copy(segment[4:], "ICC_PROFILE\x00")
		profiled = append(profiled, segment...)
	}
	return append(profiled, jpeg[start:]...)
}

// all lists the album page by page.
func (a album) all(ctx context.Context) iter.Seq2[image.Image, error] {
	return func(yield func(image.Image, error) bool) {
		for before, more := "", true; more; {
			var images []image.Image
			var err error
			if images, more, err = a.List(ctx, a.owner, image.Filter{Before: before}, 7); err != nil {
				yield(image.Image{}, err)
				return
			}
			for _, found := range images {
				if before = found.ID; !yield(found, nil) {
					return
				}
			}
		}
	}
}

func (a album) contents(ctx context.Context) export.Contents {
	return export.Contents{
		Profile:  map[string]string{"nickname": "小明 <3"},
		Sessions: []string{"a", "b"}, Activity: events(2),
		Images: a.all(ctx), Open: a.Open, At: exportedAt,
	}
}

// events is a record of so many.
func events(count int) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for i := range count {
			if !yield(map[string]int{"event": i}, nil) {
				return
			}
		}
	}
}

func write(t *testing.T, c export.Contents) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := export.Write(t.Context(), &b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// entry is what images.json says of a picture.
type entry struct {
	ID, File, Name, ContentType, SHA256 string
	Title, Visibility                   string
	Bytes                               int64
	Width, Height                       int
	CreatedAt                           time.Time
	Missing                             bool
}

func readList(t *testing.T, folder fs.FS) []entry {
	t.Helper()
	list := []entry{}
	data, err := fs.ReadFile(folder, "images.json")
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wantAlbum checks an unpacked export: every picture, and nothing else but the documents.
func (a album) wantAlbum(t *testing.T, folder fs.FS) {
	t.Helper()
	want := []string{"activity.json", "images.json", "profile.json", "sessions.json"}
	for _, e := range readList(t, folder) {
		data, err := fs.ReadFile(folder, e.File)
		if err != nil || !bytes.Equal(data, a.data[e.ID]) {
			t.Errorf("%s has %d bytes, %v, want %d", e.File, len(data), err, len(a.data[e.ID]))
		}
		want = append(want, e.File)
	}
	if len(want) != 4+len(a.data) {
		t.Errorf("%d pictures are listed, want %d", len(want)-4, len(a.data))
	}
	slices.Sort(want)
	if got := allFiles(t, folder); !slices.Equal(got, want) {
		t.Errorf("files are %q, want %q", got, want)
	}
}

func allFiles(t *testing.T, folder fs.FS) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

var hardNames = []string{
	"demo.jpg", "我的照片 (1).jpg", "我的照片 (1).jpg", "", "👨‍👩‍👧.jpg", "a b&c<d>.jpeg", "..", "con.jpg", "virus.exe",
	"../../evil.jpg", `C:\Users\evil.jpg`, strings.Repeat("图", 300) + ".jpg", "-rf.jpg", "a\x00b\nc.jpg",
}

func TestWrite(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		a := newAlbum(t, d, 0, hardNames...)
		data := write(t, a.contents(t.Context()))
		unpacked, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		a.wantAlbum(t, unpacked)
		profile, err := fs.ReadFile(unpacked, "profile.json")
		if want := "{\n  \"nickname\": \"小明 <3\"\n}\n"; err != nil || string(profile) != want {
			t.Errorf("profile.json is %q, %v, want %q", profile, err, want)
		}
		for _, file := range unpacked.File {
			wantMethod, wantTime := zip.Store, uploadedAt.Truncate(time.Second)
			if !strings.HasPrefix(file.Name, "images/") {
				wantMethod, wantTime = zip.Deflate, exportedAt
			}
			if file.Method != wantMethod || !file.Modified.Equal(wantTime) || file.NonUTF8 {
				t.Errorf("%s: method %d, time %v, NonUTF8 %v", file.Name, file.Method, file.Modified, file.NonUTF8)
			}
			const utf8Flag = 0x800
			if isASCII := !strings.ContainsFunc(file.Name, func(r rune) bool { return r > 127 }); !isASCII && file.Flags&utf8Flag == 0 {
				t.Errorf("%s is not marked as UTF-8", file.Name)
			}
		}
	})
}

func TestList(t *testing.T) {
	a := newAlbum(t, dbtest.Open(t, ""), 0, "我的照片.jpg")
	images, _, err := a.List(t.Context(), a.owner, image.Filter{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	changes := image.Changes{Title: new("黄山日出"), Visibility: new(image.Private)}
	stored, err := a.Update(t.Context(), a.owner, images[0].ID, changes)
	if err != nil {
		t.Fatal(err)
	}
	data := write(t, a.contents(t.Context()))
	unpacked, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	want := entry{
		ID: stored.ID, File: "images/" + stored.ID + "-我的照片.jpg", Name: "我的照片.jpg", Bytes: stored.Bytes,
		Title: "黄山日出", Visibility: "private",
		Width: 1, Height: 1, ContentType: "image/jpeg", SHA256: fmt.Sprintf("%x", stored.SHA256), CreatedAt: uploadedAt,
	}
	if got := readList(t, unpacked); len(got) != 1 || got[0] != want {
		t.Errorf("list %+v, want %+v", got, want)
	}
}

func TestExportWithoutPictures(t *testing.T) {
	a := newAlbum(t, dbtest.Open(t, ""), 0)
	data := write(t, a.contents(t.Context()))
	unpacked, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	a.wantAlbum(t, unpacked)
}

// TestUnpackers unpacks with the programs that users have.
func TestUnpackers(t *testing.T) {
	a := newAlbum(t, dbtest.Open(t, ""), 0, hardNames...)
	file := filepath.Join(t.TempDir(), "export.zip")
	if err := os.WriteFile(file, write(t, a.contents(t.Context())), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		program string
		args    func(folder string) []string
	}{
		{"unzip", func(folder string) []string { return []string{"-q", file, "-d", folder} }},
		{"python3", func(folder string) []string { return []string{"-m", "zipfile", "-e", file, folder} }},
	}
	for _, test := range tests {
		t.Run(test.program, func(t *testing.T) {
			path, err := exec.LookPath(test.program)
			if err != nil {
				t.Skipf("SKIP: %s is not installed", test.program)
			}
			folder := t.TempDir()
			unpack := exec.CommandContext(t.Context(), path, test.args(folder)...)
			unpack.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
			if output, err := unpack.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			a.wantAlbum(t, os.DirFS(folder))
		})
	}
}

// TestVanishedPictures are left out, and the list says so.
func TestVanishedPictures(t *testing.T) {
	a := newAlbum(t, dbtest.Open(t, ""), 0, "a.jpg", "b.jpg", "c.jpg")
	images, _, err := a.List(t.Context(), a.owner, image.Filter{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	gone := images[1]
	if err := os.Remove(filepath.Join(a.dir, gone.Name[:2], gone.Name)); err != nil {
		t.Fatal(err)
	}
	data := write(t, a.contents(t.Context()))
	unpacked, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range readList(t, unpacked) {
		if wantMissing := e.ID == gone.ID; e.Missing != wantMissing || (e.File == "") != wantMissing {
			t.Errorf("%s: file %q, missing %v, want %v", e.Name, e.File, e.Missing, wantMissing)
		}
	}
	if got := len(unpacked.File); got != 6 {
		t.Errorf("%d files, want 6", got)
	}
}

// TestFailedExportHasNoEnd breaks exports, and checks that nobody can take them for whole ones.
func TestFailedExportHasNoEnd(t *testing.T) {
	failed := errors.New("failed")
	tests := []struct {
		name    string
		change  func(c *export.Contents, cancel func())
		wantErr error
	}{
		{"client goes away", func(c *export.Contents, cancel func()) {
			open := c.Open
			c.Open = func(ctx context.Context, stored image.Image) (*image.File, error) { cancel(); return open(ctx, stored) }
		}, context.Canceled},
		{"list fails", func(c *export.Contents, _ func()) {
			all := c.Images
			c.Images = func(yield func(image.Image, error) bool) {
				for found, err := range all {
					if !yield(found, err) {
						return
					}
				}
				yield(image.Image{}, failed)
			}
		}, failed},
		{"record fails", func(c *export.Contents, _ func()) {
			c.Activity = func(yield func(any, error) bool) { yield(nil, failed) }
		}, failed},
		{"picture cannot be opened", func(c *export.Contents, _ func()) {
			c.Open = func(context.Context, image.Image) (*image.File, error) {
				return nil, apperr.Wrap(apperr.Internal, failed)
			}
		}, failed},
		{"picture cannot be read", func(c *export.Contents, _ func()) {
			open := c.Open
			c.Open = func(ctx context.Context, stored image.Image) (*image.File, error) {
				file, err := open(ctx, stored)
				return file, errors.Join(err, file.Content.Close())
			}
		}, fs.ErrClosed},
	}
	a := newAlbum(t, dbtest.Open(t, ""), 10_000, "a.jpg", "b.jpg")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := a.contents(t.Context())
			test.change(&c, cancel)
			var b bytes.Buffer
			if err := export.Write(ctx, &b, c); !errors.Is(err, test.wantErr) {
				t.Errorf("error is %v, want %v", err, test.wantErr)
			}
			if _, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil {
				t.Error("it can be unpacked")
			}
		})
	}
}

// full takes so many bytes.
type full struct{ left int }

var errFull = errors.New("full")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestExportStopsWhereItCannotWrite(t *testing.T) {
	a := newAlbum(t, dbtest.Open(t, ""), 10_000, "a.jpg", "b.jpg", "c.jpg")
	whole := len(write(t, a.contents(t.Context())))
	for left := 0; left < whole; left += 1000 {
		if err := export.Write(t.Context(), &full{left}, a.contents(t.Context())); !errors.Is(err, errFull) {
			t.Errorf("after %d bytes: %v, want %v", left, err, errFull)
		}
	}
}

// TestMemoryIsBounded checks that an export of many pictures holds none of them.
func TestMemoryIsBounded(t *testing.T) {
	const count, extra = 300, 200_000
	a := newAlbum(t, dbtest.Open(t, ""), extra, slices.Repeat([]string{"照片.jpg"}, count)...)
	c := a.contents(t.Context())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := export.Write(t.Context(), io.Discard, c); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > count*extra/10 {
		t.Errorf("%d bytes allocated for %d bytes of pictures", allocated, count*extra)
	}
}

// TestLongRecordIsNotHeld checks that an export holds no more of a record than it is writing.
func TestLongRecordIsNotHeld(t *testing.T) {
	const count = 100_000
	a := newAlbum(t, dbtest.Open(t, ""), 0)
	c := a.contents(t.Context())
	var before, last runtime.MemStats
	c.Activity = func(yield func(any, error) bool) {
		runtime.GC()
		runtime.ReadMemStats(&before)
		for event, err := range events(count) {
			if !yield(event, err) {
				return
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&last)
	}
	var b bytes.Buffer
	if err := export.Write(t.Context(), &b, c); err != nil {
		t.Fatal(err)
	}
	if held := int64(last.HeapAlloc) - int64(before.HeapAlloc); held > 10*count {
		t.Errorf("%d bytes are held for %d events", held, count)
	}
	unpacked, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	data, err := fs.ReadFile(unpacked, "activity.json")
	var record []map[string]int
	if err := errors.Join(err, json.Unmarshal(data, &record)); err != nil || len(record) != count || record[count-1]["event"] != count-1 {
		t.Errorf("%d events, %v; want %d", len(record), err, count)
	}
}
