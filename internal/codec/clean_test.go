package codec

import (
	"bufio"
	"bytes"
	"errors"
	"image"
	"image/gif"
	"io"
	"reflect"
	"runtime"
	"strconv"
	"testing"
	"testing/iotest"

	_ "golang.org/x/image/webp"

	"gatehouse/internal/apperr"
)

// wide are limits that no test picture reaches.
var wide = Limits{Pixels: 50 << 20, Side: 1<<16 - 1, Frames: 1000}

// clean cleans what the reader gives and returns the result, its patches applied, and what was left in the reader.
func clean(r io.Reader, f Format, l Limits) (out []byte, info Info, rest []byte, err error) {
	buffered := bufio.NewReaderSize(r, BufferSize)
	var w bytes.Buffer
	info, patches, err := Clean(&w, buffered, f, l)
	if err != nil {
		return nil, info, nil, err
	}
	out = w.Bytes()
	for _, p := range patches {
		copy(out[p.Offset:p.Offset+int64(len(p.Bytes))], p.Bytes)
	}
	rest, err = io.ReadAll(buffered)
	return out, info, rest, err
}

// mustClean cleans a picture that must be accepted.
func mustClean(tb testing.TB, data []byte) ([]byte, Info) {
	tb.Helper()
	f, ok := Recognise(data)
	if !ok {
		tb.Fatal("not recognised")
	}
	out, info, _, err := clean(bytes.NewReader(data), f, wide)
	if err != nil {
		tb.Fatal(err)
	}
	return out, info
}

func TestCleanKeepsWhatIsClean(t *testing.T) {
	for _, s := range samples(t) {
		for _, trailer := range []string{"", "\x00", "<script>", "PK\x03\x04", "\xff\xd8\xff\xe0another picture"} {
			t.Run(s.name+"/"+strconv.Quote(trailer), func(t *testing.T) {
				data := append(bytes.Clone(s.data), trailer...)
				out, info, rest, err := clean(bytes.NewReader(data), s.format, wide)
				if err != nil {
					t.Fatal(err)
				}
				if info != s.want {
					t.Errorf("%+v, want %+v", info, s.want)
				}
				if !bytes.Equal(out, s.data) || string(rest) != trailer {
					t.Errorf("%d of %d bytes kept, %q left", len(out), len(s.data), rest)
				}
			})
		}
	}
}

func TestCleanRefusesEveryTruncation(t *testing.T) {
	for _, s := range append(samples(t), dirtySamples(t)...) {
		t.Run(s.name, func(t *testing.T) {
			for cut := range len(s.data) {
				if _, _, _, err := clean(bytes.NewReader(s.data[:cut]), s.format, wide); !apperr.Is(err, apperr.ImageDamaged) {
					t.Errorf("cut at %d of %d: %v", cut, len(s.data), err)
				}
			}
		})
	}
}

// TestCleanOfSlowReaders checks that nothing depends on how the bytes arrive.
func TestCleanOfSlowReaders(t *testing.T) {
	for _, s := range append(samples(t), dirtySamples(t)...) {
		t.Run(s.name, func(t *testing.T) {
			want, wantInfo := mustClean(t, s.data)
			for name, r := range map[string]io.Reader{
				"byte by byte": iotest.OneByteReader(bytes.NewReader(s.data)),
				"in halves":    iotest.HalfReader(bytes.NewReader(s.data)),
				"end at once":  iotest.DataErrReader(bytes.NewReader(s.data)),
			} {
				got, info, _, err := clean(r, s.format, wide)
				if err != nil || !bytes.Equal(got, want) || info != wantInfo {
					t.Errorf("%s: %d bytes, %+v, %v, want %d, %+v", name, len(got), info, err, len(want), wantInfo)
				}
			}
		})
	}
}

func TestCleanReturnsErrorsOfItsStreams(t *testing.T) {
	broken := errors.New("broken")
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			for cut := range len(s.data) {
				r := io.MultiReader(bytes.NewReader(s.data[:cut]), iotest.ErrReader(broken))
				if _, _, _, err := clean(r, s.format, wide); !errors.Is(err, broken) {
					t.Fatalf("reader fails at %d: %v", cut, err)
				}
			}
			for size := range len(s.data) {
				_, _, err := Clean(&fullWriter{size, broken}, bufio.NewReaderSize(bytes.NewReader(s.data), BufferSize), s.format, wide)
				if !errors.Is(err, broken) {
					t.Fatalf("writer fails at %d: %v", size, err)
				}
			}
		})
	}
}

// fullWriter has room for a few bytes.
type fullWriter struct {
	room int
	err  error
}

func (w *fullWriter) Write(p []byte) (int, error) {
	if n := min(len(p), w.room); n < len(p) {
		w.room = 0
		return n, w.err
	}
	w.room -= len(p)
	return len(p), nil
}

func TestCleanNeedsItsBuffer(t *testing.T) {
	r := bufio.NewReaderSize(bytes.NewReader(encodeJPEG(t, 8, 8)), BufferSize-1)
	if _, _, err := Clean(io.Discard, r, JPEG, wide); err == nil || apperr.Is(err, apperr.ImageDamaged) {
		t.Errorf("error is %v", err)
	}
}

func TestCleanRefusesAnotherFormat(t *testing.T) {
	for _, s := range samples(t) {
		for _, f := range []Format{JPEG, PNG, GIF, WebP, HEIC, AVIF, ""} {
			want := apperr.ImageDamaged
			if f.IsConverted() {
				want = apperr.NotAnImage
			}
			if _, _, _, err := clean(bytes.NewReader(s.data), f, wide); f != s.format && !apperr.Is(err, want) {
				t.Errorf("%s as %q: %v, want code %d", s.name, f, err, want)
			}
		}
	}
}

func TestCleanLimits(t *testing.T) {
	const pixels = 24 * 16
	tests := []struct {
		name   string
		data   []byte
		limits Limits
		wantOK bool
	}{
		{"exactly", encodeJPEG(t, 24, 16), Limits{pixels, 24, 1}, true},
		{"a pixel too many", encodeJPEG(t, 24, 16), Limits{pixels - 1, 24, 1}, false},
		{"a side too long", encodeJPEG(t, 24, 16), Limits{pixels, 23, 1}, false},
		{"the other side too long", encodeJPEG(t, 16, 24), Limits{pixels, 23, 1}, false},
		{"png", encodePNG(t, paint(24, 16)), Limits{pixels - 1, 24, 1}, false},
		{"gif", encodeGIF(t, 24, 16, 1), Limits{pixels - 1, 24, 1}, false},
		{"webp", fixture(t, "lossy.webp"), Limits{pixels - 1, 24, 1}, false},
		{"lossless webp", fixture(t, "lossless.webp"), Limits{pixels, 23, 1}, false},
		{"extended webp", fixture(t, "alpha.webp"), Limits{pixels, 23, 1}, false},
		{"png frames", animatedPNG(t, 3), Limits{pixels, 24, 3}, true},
		{"a png frame too many", animatedPNG(t, 3), Limits{pixels, 24, 2}, false},
		{"gif frames", encodeGIF(t, 24, 16, 3), Limits{pixels, 24, 3}, true},
		{"a gif frame too many", encodeGIF(t, 24, 16, 3), Limits{pixels, 24, 2}, false},
		{"webp frames", fixture(t, "animated.webp"), Limits{3 * pixels, 24, 3}, true},
		{"a webp frame too many", fixture(t, "animated.webp"), Limits{3 * pixels, 24, 2}, false},
		{"more webp frames than pixels", fixture(t, "animated.webp"), Limits{pixels, 24, 3}, false},
		{"ten times the pixels", encodeGIF(t, 24, 16, 10), Limits{pixels, 24, 99}, true},
		{"eleven times the pixels", encodeGIF(t, 24, 16, 11), Limits{pixels, 24, 99}, false},
		{"eleven times the pixels of png", animatedPNG(t, 11), Limits{pixels, 24, 99}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, _ := Recognise(test.data)
			_, _, _, err := clean(bytes.NewReader(test.data), f, test.limits)
			if test.wantOK != (err == nil) || err != nil && !apperr.Is(err, apperr.TooManyPixels) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestCleanWritesInPieces counts writes: each may be a call of the operating system.
func TestCleanWritesInPieces(t *testing.T) {
	for _, s := range []sample{
		{name: "jpeg", data: encodeJPEG(t, 1200, 900), format: JPEG},
		{name: "png", data: encodePNG(t, paint(600, 400)), format: PNG},
		{name: "gif", data: encodeGIF(t, 300, 200, 10), format: GIF},
		{name: "webp", data: fixture(t, "animated.webp"), format: WebP},
	} {
		t.Run(s.name, func(t *testing.T) {
			var w countingWriter
			if _, _, err := Clean(&w, bufio.NewReaderSize(bytes.NewReader(s.data), BufferSize), s.format, wide); err != nil {
				t.Fatal(err)
			}
			if most := 3 + len(s.data)/(BufferSize/2); w.writes > most || w.bytes != len(s.data) {
				t.Errorf("%d bytes in %d writes, want %d in at most %d", w.bytes, w.writes, len(s.data), most)
			}
		})
	}
}

type countingWriter struct{ writes, bytes int }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes++
	w.bytes += len(p)
	return len(p), nil
}

// TestCleanMemoryIsBounded checks that memory does not grow with the picture.
func TestCleanMemoryIsBounded(t *testing.T) {
	const size = 20 << 20
	jpg, simple := encodeJPEG(t, 24, 16), fixture(t, "lossy.webp")
	gifData := encodeGIF(t, 24, 16, 1)
	pngData := encodePNG(t, paint(24, 16))
	filler := repeated("filler ", size)
	for _, s := range []sample{
		{name: "jpeg", data: insert(jpg, 2, bytes.Repeat(jpegSegment(markerCOM, filler[:65533]), size>>16)), format: JPEG},
		{name: "png", data: insert(pngData, 33, pngChunk("eXIf", "MM\x00*"+filler)), format: PNG},
		{name: "gif", data: insert(gifData, len(gifData)-1, gifBlocks("!\xfe", filler)), format: GIF},
		{name: "webp", data: asExtended(simple, nil, riff("EXIF", "MM\x00*"+filler)), format: WebP},
	} {
		t.Run(s.name, func(t *testing.T) {
			var before, after runtime.MemStats
			r := bufio.NewReaderSize(bytes.NewReader(s.data), BufferSize)
			runtime.ReadMemStats(&before)
			if _, _, err := Clean(io.Discard, r, s.format, wide); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > BufferSize {
				t.Errorf("%d bytes allocated for a picture of %d", allocated, len(s.data))
			}
		})
	}
}

// wantSamePixels compares what the decoders make of two pictures. They know no animations but those of GIF.
func wantSamePixels(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.HasPrefix(want, []byte("GIF")) {
		gotAll, gotErr := gif.DecodeAll(bytes.NewReader(got))
		wantAll, wantErr := gif.DecodeAll(bytes.NewReader(want))
		if gotErr != nil || wantErr != nil || !reflect.DeepEqual(gotAll, wantAll) {
			t.Errorf("other frames, or %v, %v", gotErr, wantErr)
		}
		return
	}
	gotImage, _, gotErr := image.Decode(bytes.NewReader(got))
	wantImage, _, wantErr := image.Decode(bytes.NewReader(want))
	if gotErr != nil || wantErr != nil || !reflect.DeepEqual(gotImage, wantImage) {
		t.Errorf("other pixels, or %v, %v", gotErr, wantErr)
	}
}

func BenchmarkClean(b *testing.B) {
	for _, s := range []sample{
		{name: "jpeg", data: encodeJPEG(b, 274, 274), format: JPEG},
		{name: "large jpeg", data: encodeJPEG(b, 1200, 900), format: JPEG},
		{name: "png", data: encodePNG(b, paint(126, 126)), format: PNG},
		{name: "gif", data: encodeGIF(b, 100, 80, 6), format: GIF},
		{name: "webp", data: riffFile(fixture(b, "lossy.webp")[12:], riff("EXIF", repeated("x", 47_000))), format: WebP},
	} {
		b.Run(s.name, func(b *testing.B) {
			b.SetBytes(int64(len(s.data)))
			b.ReportAllocs()
			r := bytes.NewReader(nil)
			buffered := bufio.NewReaderSize(nil, BufferSize)
			for b.Loop() {
				r.Reset(s.data)
				buffered.Reset(r)
				if _, _, err := Clean(io.Discard, buffered, s.format, wide); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
