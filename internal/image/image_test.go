package image

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

func TestUploadKeepsPictures(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{MaxFiles: 20})
		owner := uuid.NewString()
		all := samples(t)
		var uploads []*Upload
		for _, sample := range all {
			uploads = append(uploads, upload("我的/照片 "+sample.name+".txt", sample.data))
		}
		images, err := s.Upload(t.Context(), UploadOptions{OwnerID: owner}, each(uploads...))
		if err != nil {
			t.Fatal(err)
		}
		for i, sample := range all {
			data := cleaned(t, sample.data)
			want := images[i]
			want.OwnerID, want.OriginalName, want.Bytes = owner, "照片 "+sample.name+".txt", int64(len(data))
			want.Width, want.Height, want.ContentType, want.SHA256 = sample.width, sample.height, sample.contentType, sha256.Sum256(data)
			want.Visibility, want.Status, want.CreatedAt = Public, StatusNew, fixedNow.UTC().Truncate(time.Microsecond)
			if !reflect.DeepEqual(images[i], want) {
				t.Errorf("%s: image %+v, want %+v", sample.name, images[i], want)
			}
			if id, err := uuid.Parse(want.ID); err != nil || id.Version() != 7 {
				t.Errorf("%s: id %s, want a UUIDv7", sample.name, want.ID)
			}
			if got, err := s.Get(t.Context(), owner, want.ID); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: row %+v, %v, want %+v", sample.name, got, err, want)
			}
			wantServed(t, s, want, data)
		}
		wantFiles(t, p, filesOf(images...)...)
		wantConsistent(t, pool, p)
	})
}

func TestUploadOptions(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		data := encodeJPEG(t, 8, 8)
		images, err := s.Upload(t.Context(), UploadOptions{Visibility: Private}, each(
			&Upload{Title: "一", Content: bytes.NewReader(data)},
			&Upload{Visibility: Public, Content: bytes.NewReader(data)},
		))
		if err != nil {
			t.Fatal(err)
		}
		if images[0].Title != "一" || images[0].Visibility != Private || images[1].Visibility != Public || images[0].OwnerID != "" {
			t.Errorf("stored %+v", images)
		}
		if got, err := s.get(t.Context(), images[0].ID); err != nil || !reflect.DeepEqual(got, images[0]) {
			t.Errorf("row %+v, %v, want %+v", got, err, images[0])
		}
	})
}

// TestKeepDetails keeps when and with what a photograph was taken only where that is wanted.
func TestKeepDetails(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for _, keep := range []bool{false, true} {
			s, _ := openService(t, d, Options{KeepDetails: keep})
			image := uploadOne(t, s, "", withCamera(t))
			if got, err := s.get(t.Context(), image.ID); err != nil || !reflect.DeepEqual(got, image) {
				t.Errorf("row %+v, %v, want %+v", got, err, image)
			}
			if (image.Camera == "Pear Phone 3") != keep {
				t.Errorf("kept %v: the camera is %q", keep, image.Camera)
			}
		}
	})
}

// withCamera returns a JPEG whose Exif names a camera.
func withCamera(tb testing.TB) []byte {
	tb.Helper()
	model := "Pear Phone 3\x00"
	exif := join([]byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08"), // big endian, the directory follows
		[]byte{0, 1, 0x01, 0x10, 0, 2, 0, 0, 0, byte(len(model)), 0, 0, 0, 26, 0, 0, 0, 0}, []byte(model))
	data := encodeJPEG(tb, 24, 16)
	return join(data[:2], []byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif, data[2:])
}

func TestUploadConvertsHEIC(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		image := uploadOne(t, s, "", heic(t))
		if image.ContentType != "image/jpeg" || image.orientation != 1 || image.Width == 0 {
			t.Errorf("stored %+v", image)
		}
		wantConsistent(t, pool, p)
		f, err := s.Open(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Content.Close()
		head := make([]byte, 3)
		if _, err := io.ReadFull(f.Content, head); err != nil || !bytes.Equal(head, []byte{0xff, 0xd8, 0xff}) {
			t.Errorf("it begins with %x, %v", head, err)
		}
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
		{"HEIC cut off", each(a(heic(t)[:500])), apperr.ImageDamaged, nil},
		{"too many pixels", each(a(hugeGIF)), apperr.TooManyPixels, nil},
		{"one too large", each(a(largePhoto(t, 100_001))), apperr.UploadTooLarge, nil},
		{"too large by what is not stored", each(a(withComments(t, 200_000))), apperr.UploadTooLarge, nil},
		{"too large by its trailer", each(a(join(good, trailer))), apperr.UploadTooLarge, nil},
		{"together too large", each(a(withComments(t, 50_000)), a(withComments(t, 50_000))), apperr.UploadTooLarge, nil},
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
				s, p := openService(t, d, Options{MaxFiles: 3, MaxBytes: 100_000})
				_, err := s.Upload(t.Context(), UploadOptions{}, test.uploads)
				if apperr.From(err).Code != test.wantCode || !errors.Is(err, test.wantCause) && test.wantCause != nil {
					t.Errorf("error is %v, want code %d and cause %v", err, test.wantCode, test.wantCause)
				}
				wantFiles(t, p)
				wantCount(t, pool, "images", 0)
				wantCount(t, pool, "blobs", 0)
			})
		}
	})
}

func TestRefusalNamesThePicture(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		good := encodeJPEG(t, 8, 8)
		tests := []struct {
			name string
			wait bool
			data []byte
			want apperr.Code
		}{
			{"not a picture", false, []byte("no picture"), apperr.NotAnImage},
			{"not to be decoded", true, undecodable(t), apperr.ImageDamaged},
		}
		for _, test := range tests {
			_, err := s.Upload(t.Context(), UploadOptions{Wait: test.wait}, each(upload("a.jpg", good), upload("b.jpg", test.data)))
			want := []apperr.Detail{{Field: "/image/1", Reason: test.want.Text()}}
			if got := apperr.From(err).Details; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: details %v, want %v", test.name, got, want)
			}
		}
	})
}

func TestUploadTakesExactlyTheLimits(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		data := encodeJPEG(t, 24, 16)
		s, _ := openService(t, d, Options{MaxFiles: 2, MaxBytes: 2 * int64(len(data))})
		images, err := s.Upload(t.Context(), UploadOptions{}, each(upload("", data), upload("", data)))
		if err != nil || len(images) != 2 {
			t.Errorf("%d images, %v", len(images), err)
		}
	})
}

// TestUploadMemoryIsBounded checks that memory does not grow with the picture.
func TestUploadMemoryIsBounded(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		for name, data := range map[string][]byte{"stored": largePhoto(t, 5<<20), "dropped": withComments(t, 20<<20)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := s.Upload(t.Context(), UploadOptions{}, each(upload("a.jpg", data))); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
				t.Errorf("%s: %d bytes allocated for a picture of %d", name, allocated, len(data))
			}
		}
	})
}

// TestReceivedPicturesHoldNoMemory checks that an upload that takes its time holds none of its pictures.
func TestReceivedPicturesHoldNoMemory(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		known := encodeJPEG(t, 9, 9)
		uploadOne(t, s, "", known)
		batch := s.Store.NewBatch()
		defer batch.Discard(t.Context())
		pictures, err := s.receiveAll(t.Context(), batch, UploadOptions{},
			each(upload("new", photo(t)), upload("known", known), upload("twice", photo(t))))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pictures {
			if p.memory != nil || p.isNew() != (p.spooled != nil) {
				t.Errorf("%s has %d bytes in memory; new %v, spooled %v", p.image.OriginalName, len(p.memory), p.isNew(), p.spooled != nil)
			}
		}
		if pictures[2].twin != pictures[0] || pictures[1].known == nil {
			t.Error("the second is not known, or the third is not the first again")
		}
	})
}

func TestFindRefusesNames(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, p := openService(t, d, Options{})
		secret := filepath.Join(filepath.Dir(filepath.Dir(p.spool)), "secret.jpg")
		if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			"", ".", "..", "/", "incoming", "../secret.jpg", "aa/../../secret.jpg", "..%2fsecret.jpg",
			strings.Repeat("a", 26), strings.Repeat("a", 26) + ".", strings.Repeat("a", 26) + ".jpg",
			strings.Repeat("a", 26) + ".svg", strings.Repeat("A", 26) + ".jpg", strings.Repeat("1", 26) + ".jpg",
			strings.Repeat("a", 25) + ".jpg", strings.Repeat("a", 27) + ".jpg", strings.Repeat("a", 26) + ".jpg.jpg",
			strings.Repeat("a", 25) + "\x00.jpg", strings.Repeat("../", 8) + "ab.jpg", strings.Repeat("图", 26) + ".jpg",
		} {
			if image, err := s.Find(t.Context(), name, Reader{}); !apperr.Is(err, apperr.ImageNotFound) {
				t.Errorf("%q: %v, %v, want ImageNotFound", name, image, err)
			}
		}
	})
}

func TestStorageErrorsAreSaidSo(t *testing.T) {
	tests := []struct {
		cause error
		want  apperr.Code
	}{
		{syscall.ENOSPC, apperr.StorageFull},
		{syscall.EDQUOT, apperr.StorageFull},
		{syscall.EROFS, apperr.StorageUnavailable},
		{syscall.EIO, apperr.StorageUnavailable},
		{fs.ErrClosed, apperr.Internal},
	}
	for _, test := range tests {
		err := StorageError(&fs.PathError{Op: "write", Path: "x", Err: test.cause})
		if apperr.From(err).Code != test.want || !errors.Is(err, test.cause) {
			t.Errorf("%v is said to be %v", test.cause, err)
		}
		if later := apperr.From(err).RetryAfter > 0; later != (test.want == apperr.StorageUnavailable) {
			t.Errorf("%v: it is %v that a client may try again", test.cause, later)
		}
	}
}
