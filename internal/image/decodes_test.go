package image

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

// holding runs f while some work holds its turn so many times.
func holding(tb testing.TB, d *decodes, times int, w work, f func()) {
	tb.Helper()
	if times == 0 {
		f()
		return
	}
	if err := d.do(tb.Context(), 0, w, func() error {
		holding(tb, d, times-1, w, f)
		return nil
	}); err != nil {
		tb.Errorf("%d more turns: %v", times, err)
	}
}

// TestHeavyWorkLeavesATurn fills the lane of heavy work, and has more of it wait.
func TestHeavyWorkLeavesATurn(t *testing.T) {
	tests := []struct {
		name         string
		turns, holds int
		heavy        work
	}{
		{"a turn", 1, 1, work{}.asHeavy()},
		{"one of two turns", 2, 1, work{}.asHeavy()},
		{"seven of eight turns", 8, 7, work{}.asHeavy()},
		{"a turn and the memory", 1, 1, work{memory: 1e6}},
		{"the memory", 8, 1, work{memory: 1e6}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, light := newDecodes(test.turns, 1000), work{memory: 100}
			nothing := func() error { return nil }
			holding(t, d, test.holds, test.heavy, func() {
				ctx, stop := context.WithCancel(t.Context())
				waited := make(chan error)
				go func() { waited <- d.do(ctx, time.Hour, test.heavy, nothing) }()
				for range 10 {
					if err := d.do(t.Context(), 0, light, nothing); err != nil {
						t.Errorf("light work: %v", err)
					}
				}
				if err := d.do(t.Context(), 0, test.heavy, nothing); !apperr.Is(err, apperr.ServerBusy) {
					t.Errorf("more heavy work: %v, want ServerBusy", err)
				}
				stop()
				if err := <-waited; err == nil {
					t.Error("heavy work that waited came in")
				}
			})
			holding(t, d, test.turns, light, func() {}) // nothing is lost
		})
	}
}

func TestWhatIsHeavy(t *testing.T) {
	d := newDecodes(2, 256<<20)
	thumbnail := codec.Variant{Width: 320, Height: 320, Fit: codec.Cover, Format: codec.JPEG, Quality: 80}
	tests := []struct {
		name      string
		of        work
		wantHeavy bool
	}{
		{"a photograph", workOf(blob{contentType: "image/jpeg", width: 4000, height: 3000}, thumbnail), false},
		{"a check of a photograph", workOf(blob{contentType: "image/jpeg", width: 4000, height: 3000}, codec.Variant{}), false},
		{"a screenshot", workOf(blob{contentType: "image/png", width: 1170, height: 2532}, thumbnail), false},
		{"a sticker", workOf(blob{contentType: "image/webp", width: 512, height: 512}, thumbnail), false},
		{"a large WebP", workOf(blob{contentType: "image/webp", width: 8192, height: 6400}, thumbnail), true},
		{"a large PNG", workOf(blob{contentType: "image/png", width: 8192, height: 6400}, thumbnail), true},
		{"a large GIF", workOf(blob{contentType: "image/gif", width: 8192, height: 6400}, thumbnail), true},
		{"a large JPEG", workOf(blob{contentType: "image/jpeg", width: 8192, height: 6400}, thumbnail), true},
		{"much memory", work{memory: 65 << 20}, true},
		{"in the background", work{}.asHeavy(), true},
	}
	for _, test := range tests {
		if lane, _ := d.laneOf(test.of); (lane == d.heavy) != test.wantHeavy {
			t.Errorf("%s takes %+v, want it heavy: %t", test.name, test.of, test.wantHeavy)
		}
	}
}

// TestThumbnailsPassHeavyWork makes one while all that heavy work may have is taken.
func TestThumbnailsPassHeavyWork(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		for _, turns := range []int{1, 2} {
			s, _ := openService(t, d, Options{Decodes: turns, DecodeWait: time.Millisecond})
			image := uploadOne(t, s, "", encodeJPEG(t, 600, 300+turns))
			holding(t, s.decodes, 1, work{memory: 1 << 40}, func() {
				wantVariant(t, s, image, Resize{Width: 64}, 64, 32, "jpeg")
			})
		}
	})
}

// TestConversionsTakeWhatTheyNeed converts a small picture while there is little memory, but enough for it.
func TestConversionsTakeWhatTheyNeed(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		const most = 300 << 20 // of heavy work
		s, _ := openService(t, d, Options{Decodes: 3, DecodeMemory: 400 << 20, DecodeWait: time.Millisecond})
		holding(t, s.decodes, 1, work{memory: most - 50<<20}, func() {
			_, err := s.Upload(t.Context(), UploadOptions{}, each(upload("a.heic", heic(t))))
			if !apperr.Is(err, apperr.ServerBusy) {
				t.Errorf("with too little memory: %v, want ServerBusy", err)
			}
		})
		holding(t, s.decodes, 1, work{memory: most - 80<<20}, func() { uploadOne(t, s, "", heic(t)) })
	})
}

func TestDecodeStats(t *testing.T) {
	s, _ := openService(t, dbtest.Open(t, ""), Options{Decodes: 1, DecodeWait: time.Millisecond})
	observed := 0
	s.decodes.observe = func(time.Duration, time.Duration) { observed++ }
	broken := errors.New("broken")
	during := DecodeStats{}
	holding(t, s.decodes, 1, work{}.asHeavy(), func() {
		if err := s.decodes.do(t.Context(), 0, work{}.asHeavy(), func() error { return nil }); !apperr.Is(err, apperr.ServerBusy) {
			t.Errorf("error is %v, want ServerBusy", err)
		}
		during = s.Stats().Decodes
	})
	if err := s.decodes.do(t.Context(), 0, work{}, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	if want := (DecodeStats{Turns: 1, Running: 1, Refused: 1}); during != want {
		t.Errorf("under way: %+v, want %+v", during, want)
	}
	if got, want := s.Stats().Decodes, (DecodeStats{Turns: 1, Done: 1, Failed: 1, Refused: 1}); got != want || observed != 2 {
		t.Errorf("afterwards: %+v and %d observed, want %+v and 2", got, observed, want)
	}
}

func TestStatsOfPictures(t *testing.T) {
	s, _ := openService(t, dbtest.Open(t, ""), Options{CacheBytes: 1 << 20})
	image := uploadOne(t, s, "", encodeJPEG(t, 60, 30))
	for range 2 {
		file, err := s.Open(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		file.Content.Close()
	}
	got := s.Stats()
	if got.Stored != 1 || got.StoredBytes != image.Bytes || got.ChecksWaiting != 1 {
		t.Errorf("%d pictures of %d bytes are stored, %d wait to be checked; want one of %d", got.Stored, got.StoredBytes, got.ChecksWaiting, image.Bytes)
	}
	if got.Files.Hits != 1 || got.Files.Misses != 1 || got.Files.Entries != 1 {
		t.Errorf("files in memory: %+v", got.Files)
	}
	for deadline := time.Now().Add(time.Minute); s.Stats().FileBytes < uint64(image.Bytes); time.Sleep(time.Millisecond) { // weighed later
		if time.Now().After(deadline) {
			t.Fatalf("files in memory have %d bytes, want %d", s.Stats().FileBytes, image.Bytes)
		}
	}
}
