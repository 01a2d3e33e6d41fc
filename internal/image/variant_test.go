package image

import (
	"bytes"
	"fmt"
	stdimage "image"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

var testPresets = map[string]Resize{
	"avatar": {Width: 100, Height: 100, Fit: codec.Cover},
	"tiny":   {Width: 60, Format: codec.PNG, Quality: 10},
}

func TestVariantOf(t *testing.T) {
	s := &Service{Options: Options{Sizes: []int{64, 128, 320, 640}, Presets: testPresets}}
	photo, logo := Image{ContentType: "image/jpeg"}, Image{ContentType: "image/png", alpha: true}
	lossless := 0 // the quality of WebP, where the build writes none that is smaller
	if codec.WritesLossyWebP() {
		lossless = 80
	}
	tests := []struct {
		name         string
		image        Image
		resize       Resize
		takesWebP    bool
		want         codec.Variant
		wantByAccept bool
	}{
		{"width", photo, Resize{Width: 65}, false, codec.Variant{Width: 128, Fit: codec.Inside, Format: codec.JPEG, Quality: 80}, true},
		{"exactly a step", photo, Resize{Height: 320}, false, codec.Variant{Height: 320, Fit: codec.Inside, Format: codec.JPEG, Quality: 80}, true},
		{"beyond the ladder", photo, Resize{Width: 5000, Height: 1}, false,
			codec.Variant{Width: 640, Height: 64, Fit: codec.Inside, Format: codec.JPEG, Quality: 80}, true},
		{"cover", photo, Resize{Width: 100, Height: 200, Fit: codec.Cover}, false,
			codec.Variant{Width: 128, Height: 320, Fit: codec.Cover, Format: codec.JPEG, Quality: 80}, true},
		{"cover of one side", photo, Resize{Width: 100, Fit: codec.Cover}, false,
			codec.Variant{Width: 128, Fit: codec.Inside, Format: codec.JPEG, Quality: 80}, true},
		{"quality", photo, Resize{Width: 64, Quality: 51, Format: codec.JPEG}, true,
			codec.Variant{Width: 64, Fit: codec.Inside, Format: codec.JPEG, Quality: 65}, false},
		{"best quality", photo, Resize{Width: 64, Quality: 100}, false,
			codec.Variant{Width: 64, Fit: codec.Inside, Format: codec.JPEG, Quality: 95}, true},
		{"quality of PNG", photo, Resize{Width: 64, Quality: 51, Format: codec.PNG}, true,
			codec.Variant{Width: 64, Fit: codec.Inside, Format: codec.PNG}, false},
		{"only the best format", photo, Resize{Format: AutoFormat}, false,
			codec.Variant{Width: 640, Height: 640, Fit: codec.Inside, Format: codec.JPEG, Quality: 80}, true},
		{"only a format", logo, Resize{Format: codec.JPEG}, true,
			codec.Variant{Width: 640, Height: 640, Fit: codec.Inside, Format: codec.JPEG, Quality: 80}, false},
		{"alpha", logo, Resize{Width: 64}, false, codec.Variant{Width: 64, Fit: codec.Inside, Format: codec.PNG}, true},
		{"alpha for who takes WebP", logo, Resize{Width: 64}, true,
			codec.Variant{Width: 64, Fit: codec.Inside, Format: codec.WebP, Quality: lossless}, true},
		{"preset", photo, Resize{Preset: "avatar"}, false,
			codec.Variant{Width: 128, Height: 128, Fit: codec.Cover, Format: codec.JPEG, Quality: 80}, true},
		{"preset with its format", photo, Resize{Preset: "tiny"}, false, codec.Variant{Width: 64, Fit: codec.Inside, Format: codec.PNG}, false},
		{"preset with another format", photo, Resize{Preset: "tiny", Format: codec.JPEG}, false,
			codec.Variant{Width: 64, Fit: codec.Inside, Format: codec.JPEG, Quality: 50}, false},
		{"preset with another width", photo, Resize{Preset: "avatar", Width: 300}, false,
			codec.Variant{Width: 320, Fit: codec.Inside, Format: codec.JPEG, Quality: 80}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, byAccept, err := s.variantOf(test.image, test.resize, test.takesWebP)
			if err != nil || got != test.want || byAccept != test.wantByAccept {
				t.Errorf("%+v, %v, %v, want %+v, %v", got, byAccept, err, test.want, test.wantByAccept)
			}
		})
	}
}

func TestVariantsThatAreNotMade(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{Presets: testPresets})
		image := uploadOne(t, s, "", encodeJPEG(t, 24, 16))
		for name, resize := range map[string]Resize{
			"preset": {Preset: "none"}, "GIF": {Format: codec.GIF}, "HEIC": {Format: codec.HEIC}, "nonsense": {Format: "exe"},
		} {
			if _, err := s.OpenResized(t.Context(), image, resize, true); !apperr.Is(err, apperr.InvalidInput) {
				t.Errorf("%s: %v, want InvalidInput", name, err)
			}
		}
		wantStatus(t, s, image, StatusNew)
	})
}

// wantVariant opens a variant and checks its size and type.
func wantVariant(t *testing.T, s *Service, image Image, r Resize, width, height int, format string) *File {
	t.Helper()
	f, err := s.OpenResized(t.Context(), image, r, false)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer f.Content.Close()
	data, err := io.ReadAll(f.Content)
	if err != nil || int64(len(data)) != f.Size {
		t.Errorf("%d bytes, %v, want %d", len(data), err, f.Size)
	}
	config, got, err := stdimage.DecodeConfig(bytes.NewReader(data))
	if err != nil || config.Width != width || config.Height != height || got != format || f.ContentType != "image/"+format {
		t.Errorf("%+v is a %s of %d x %d, %v, want a %s of %d x %d", r, got, config.Width, config.Height, err, format, width, height)
	}
	return f
}

// TestVariantsAreStored opens variants twice, the second time in a process whose decoders have no place.
func TestVariantsAreStored(t *testing.T) {
	eachPlace(t, func(t *testing.T, url string, p place) {
		d, _ := openDatabase(t, url)
		s := openServiceIn(t, p, d, Options{Presets: testPresets})
		image := uploadOne(t, s, "", encodeJPEG(t, 600, 300))
		next := changed(t, s, func(o *Options) { o.Store, o.Decodes, o.DecodeWait = p.open(t), 0, time.Millisecond })
		etags := map[string]bool{}
		for _, s := range []*Service{s, next} {
			for _, f := range []*File{
				wantVariant(t, s, image, Resize{Width: 100}, 128, 64, "jpeg"),
				wantVariant(t, s, image, Resize{Preset: "avatar"}, 128, 128, "jpeg"),
				wantVariant(t, s, image, Resize{Height: 64, Format: codec.PNG}, 128, 64, "png"),
				wantVariant(t, s, image, Resize{}, 600, 300, "jpeg"),
			} {
				if f != nil {
					etags[f.ETag] = true
				}
			}
		}
		if len(etags) != 4 {
			t.Errorf("ETags are %v, want 4", etags)
		}
		if stored, err := p.shelf.Variants(t.Context(), image.file); err != nil || len(stored) != 3 {
			t.Errorf("%d variants stored, %v, want 3", len(stored), err)
		}
		if _, err := next.OpenResized(t.Context(), image, Resize{Width: 640}, false); !apperr.Is(err, apperr.ServerBusy) {
			t.Errorf("a new variant without decoders: %v, want ServerBusy", err)
		}
	})
}

// TestColdVariantIsMadeOnce has many readers ask for variants of one picture at the same time.
func TestColdVariantIsMadeOnce(t *testing.T) {
	for _, cache := range []int64{0, 1 << 20} {
		t.Run(fmt.Sprintf("cache of %d", cache), func(t *testing.T) {
			dbtest.Run(t, func(t *testing.T, d *database.Database) {
				shelf := &troubled{Shelf: diskIn(t, t.TempDir()).shelf}
				s := openServiceIn(t, place{shelf, t.TempDir()}, d, Options{CacheBytes: cache})
				image := uploadOne(t, s, "", encodeJPEG(t, 1200, 900))
				together(64, func(int) { wantVariant(t, s, image, Resize{Width: 320}, 320, 240, "jpeg") })
				if opened := shelf.opened.Load(); opened != 1 {
					t.Errorf("the picture was read %d times, want once", opened)
				}
				together(64, func(i int) {
					width := []int{64, 128, 640}[i%3]
					wantVariant(t, s, image, Resize{Width: width}, width, width*3/4, "jpeg")
				})
				if opened := shelf.opened.Load(); opened != 4 {
					t.Errorf("the picture was read %d times, want once more for each of 3 variants", opened)
				}
			})
		})
	}
}

// TestBusyDecoders waits for a turn in vain: nobody gets the picture itself instead.
func TestBusyDecoders(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		shelf := &troubled{Shelf: diskIn(t, t.TempDir()).shelf}
		s := openServiceIn(t, place{shelf, t.TempDir()}, d, Options{Decodes: 1, DecodeWait: 20 * time.Millisecond})
		slow, other := uploadOne(t, s, "", encodeJPEG(t, 100, 80)), uploadOne(t, s, "", encodeJPEG(t, 90, 80))
		shelf.entered, shelf.gate = make(chan struct{}, 1), make(chan struct{})
		made := make(chan struct{})
		go func() {
			defer close(made)
			wantVariant(t, s, slow, Resize{Width: 64}, 64, 51, "jpeg")
		}()
		<-shelf.entered
		var busy atomic.Int64
		together(16, func(int) {
			f, err := s.OpenResized(t.Context(), other, Resize{Width: 64}, false)
			if !apperr.Is(err, apperr.ServerBusy) || apperr.From(err).RetryAfter == 0 || f != nil {
				t.Errorf("opened %v, %v, want ServerBusy with the time to come back", f, err)
				return
			}
			busy.Add(1)
		})
		close(shelf.gate)
		<-made
		shelf.entered, shelf.gate = nil, nil
		if busy.Load() == 16 {
			wantVariant(t, s, other, Resize{Width: 64}, 64, 57, "jpeg")
		}
	})
}

func TestNoTimeToWait(t *testing.T) {
	d := newDecodes(1, 100)
	err := d.do(t.Context(), 0, work{memory: 20}, func() error {
		err := d.do(t.Context(), 0, work{memory: 1}, func() error { return nil })
		if !apperr.Is(err, apperr.ServerBusy) {
			t.Errorf("the second at the same time got %v, want ServerBusy", err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("the first got %v, though nobody was before it", err)
	}
}

// TestVariantsOfTurnedPictures are upright.
func TestVariantsOfTurnedPictures(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		data := encodeJPEG(t, 400, 200)
		exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
		turned := uploadOne(t, s, "", join(data[:2], []byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif, data[2:]))
		if turned.Width != 200 || turned.Height != 400 {
			t.Errorf("it is seen as %d x %d, want 200 x 400", turned.Width, turned.Height)
		}
		wantVariant(t, s, turned, Resize{Height: 128}, 64, 128, "jpeg")
	})
}

// TestSweptBlobTakesItsVariants checks that nothing is left of a picture.
func TestSweptBlobTakesItsVariants(t *testing.T) {
	eachPlace(t, func(t *testing.T, url string, p place) {
		d, _ := openDatabase(t, url)
		now := newClock()
		s := openServiceIn(t, p, d, Options{Now: now.Now})
		owner := "6f2f4b34-0000-7000-8000-000000000001"
		image := uploadOne(t, s, owner, encodeJPEG(t, 200, 100))
		wantVariant(t, s, image, Resize{Width: 64}, 64, 32, "jpeg")
		if err := s.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		sweepBlobsAfter(t, s, now, 1)
		wantFiles(t, p)
		if stored, err := p.shelf.Variants(t.Context(), image.file); err != nil || len(stored) != 0 {
			t.Errorf("%d variants left, %v", len(stored), err)
		}
		for name := range p.shelf.WalkVariants(t.Context()) {
			t.Errorf("variants of %s are left", name)
		}
	})
}

// TestVariantsAreBounded stores no more variants of a picture than it may have, and makes them nevertheless.
func TestVariantsAreBounded(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		p := diskIn(t, t.TempDir())
		store, err := storage.Open(storage.Options{Shelf: p.shelf, MaxVariants: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		s := openServiceIn(t, p, d, Options{Store: store})
		image := uploadOne(t, s, "", encodeJPEG(t, 700, 700))
		for range 2 {
			for _, size := range s.Sizes {
				wantVariant(t, s, image, Resize{Width: size}, size, size, "jpeg")
			}
		}
		if stored, err := p.shelf.Variants(t.Context(), image.file); err != nil || len(stored) != 2 {
			t.Errorf("%d variants stored, %v, want 2", len(stored), err)
		}
	})
}
