package image

import (
	"bufio"
	"bytes"
	stdimage "image"
	_ "image/gif"
	"io"
	"slices"
	"strconv"
	"testing"
	"testing/iotest"

	_ "golang.org/x/image/webp"

	"gatehouse/internal/apperr"
)

// inspectAll inspects what the reader gives and returns how many bytes belong to the picture.
func inspectAll(r io.Reader) (size dimensions, length int, err error) {
	counted := &countingReader{r: r}
	buffered := bufio.NewReaderSize(counted, bufferSize)
	head, _ := buffered.Peek(12)
	t, ok := typeOfHead(head)
	if !ok {
		return size, 0, apperr.New(apperr.NotAnImage)
	}
	size, err = t.inspect(&scanner{buffered})
	return size, counted.n - buffered.Buffered(), err
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestInspectAcceptsEveryFormat(t *testing.T) {
	for _, p := range pictures(t) {
		for _, trailer := range []string{"", "\x00", "<script>", "\xff\xd8\xff\xe0another picture"} {
			t.Run(p.name+"/"+strconv.Quote(trailer), func(t *testing.T) {
				data := append(bytes.Clone(p.data), trailer...)
				size, length, err := inspectAll(bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				if want := (dimensions{p.width, p.height}); size != want || length != len(p.data) {
					t.Errorf("%v in %d bytes, want %v in %d", size, length, want, len(p.data))
				}
			})
		}
	}
}

func TestInspectRefusesEveryTruncation(t *testing.T) {
	for _, p := range pictures(t) {
		t.Run(p.name, func(t *testing.T) {
			for cut := range len(p.data) {
				_, _, err := inspectAll(bytes.NewReader(p.data[:cut]))
				if !apperr.Is(err, apperr.ImageDamaged, apperr.NotAnImage) || cut >= 12 && !apperr.Is(err, apperr.ImageDamaged) {
					t.Errorf("cut at %d of %d: %v", cut, len(p.data), err)
				}
			}
		})
	}
}

func TestInspectRefuses(t *testing.T) {
	jpg, pngData, gifData := encodeJPEG(t, 24, 16), encodePNG(t, paint(24, 16)), encodeGIF(t, 24, 16, 1)
	lossy, animated := fixture(t, "lossy.webp"), fixture(t, "animated.webp")
	frame := bytes.Index(jpg, []byte{0xff, markerSOF0})
	scan := bytes.Index(jpg, []byte{0xff, markerSOS})
	signature, header := pngData[:8], pngData[8:33]
	data, end := pngChunk("IDAT", []byte("x")), pngChunk("IEND", nil)
	paletted := pngChunk("IHDR", []byte("\x00\x00\x00\x01\x00\x00\x00\x01\x01\x03\x00\x00\x00"))
	still := lossy[12:]
	extended := func(flags byte, width, height byte) []byte {
		return riffChunk("VP8X", []byte{flags, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0})
	}
	tests := []struct {
		name     string
		data     []byte
		wantCode apperr.Code
	}{
		{"nothing known", []byte("hello, world"), apperr.NotAnImage},
		{"svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), apperr.NotAnImage},
		{"html", []byte(`<!doctype html><script>alert(1)</script>`), apperr.NotAnImage},
		{"bmp", []byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), apperr.NotAnImage},
		{"another riff", []byte("RIFF\x24\x00\x00\x00WAVEfmt "), apperr.NotAnImage},
		{"a picture after something else", append([]byte("x"), jpg...), apperr.NotAnImage},

		{"jpeg: start and end only", []byte("\xff\xd8\xff\xd9"), apperr.ImageDamaged},
		{"jpeg: no scan", join(jpg[:scan], []byte("\xff\xd9")), apperr.ImageDamaged},
		{"jpeg: empty scan", join(jpg[:scan+14], []byte("\xff\xd9")), apperr.ImageDamaged},
		{"jpeg: a scan before the frame", join(jpg[:frame], jpg[scan:]), apperr.ImageDamaged},
		{"jpeg: two frames", join(jpg[:scan], jpg[frame:]), apperr.ImageDamaged},
		{"jpeg: bad scan header", patched(jpg, scan+4, 7), apperr.ImageDamaged},
		{"jpeg: segment of length 1", patched(jpg, frame+2, 0, 1), apperr.ImageDamaged},
		{"jpeg: no pixels", patched(jpg, frame+5, 0, 0), apperr.ImageDamaged},
		{"jpeg: unknown marker", patched(jpg, frame+1, 0x02), apperr.ImageDamaged},
		{"jpeg: lossless", patched(jpg, frame+1, 0xc3), apperr.NotAnImage},
		{"jpeg: arithmetic", patched(jpg, frame+1, 0xc9), apperr.NotAnImage},
		{"jpeg: 12 bits", patched(jpg, frame+4, 12), apperr.NotAnImage},
		{"jpeg: too many pixels", patched(jpg, frame+5, 0xff, 0xff, 0xff, 0xff), apperr.TooManyPixels},

		{"png: no header", join(signature, pngData[33:]), apperr.ImageDamaged},
		{"png: two headers", join(signature, header, header, data, end), apperr.ImageDamaged},
		{"png: wrong sum", patched(pngData, 29, 1, 2, 3, 4), apperr.ImageDamaged},
		{"png: a changed byte", patched(pngData, 60, ^pngData[60]), apperr.ImageDamaged},
		{"png: no pixels", join(signature, pngChunk("IHDR", make([]byte, 13))), apperr.ImageDamaged},
		{"png: bad depth", join(signature, pngChunk("IHDR", []byte("\x00\x00\x00\x01\x00\x00\x00\x01\x03\x02\x00\x00\x00"))), apperr.ImageDamaged},
		{"png: no data", join(signature, header, end), apperr.ImageDamaged},
		{"png: empty data", join(signature, header, pngChunk("IDAT", nil), end), apperr.ImageDamaged},
		{"png: end with content", join(signature, header, data, pngChunk("IEND", []byte("x"))), apperr.ImageDamaged},
		{"png: no palette", join(signature, paletted, data, end), apperr.ImageDamaged},
		{"png: palette too large", join(signature, paletted, pngChunk("PLTE", make([]byte, 9)), data, end), apperr.ImageDamaged},
		{"png: transparency without palette", join(signature, paletted, pngChunk("tRNS", nil), data, end), apperr.ImageDamaged},
		{"png: huge chunk", join(signature, header, []byte("\xff\xff\xff\xffIDAT")), apperr.ImageDamaged},
		{"png: too many pixels", join(signature, pngChunk("IHDR", []byte("\x00\x00\xea\x60\x00\x00\xea\x60\x08\x02\x00\x00\x00"))), apperr.TooManyPixels},
		{"png: one long line", join(signature, pngChunk("IHDR", []byte("\x00\x01\x00\x00\x00\x00\x00\x01\x08\x02\x00\x00\x00"))), apperr.TooManyPixels},

		{"gif: 60,000 × 60,000", patched(gifData, 6, 0x60, 0xea, 0x60, 0xea), apperr.TooManyPixels},
		{"gif: no pixels", patched(gifData, 6, 0, 0), apperr.ImageDamaged},
		{"gif: a frame outside", patched(gifData, 6, 23, 0), apperr.ImageDamaged},
		{"gif: no frame", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), apperr.ImageDamaged},
		{"gif: an empty frame", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;"), apperr.ImageDamaged},
		{"gif: bad code size", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x0d\x01\x00\x00;"), apperr.ImageDamaged},
		{"gif: unknown block", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00?"), apperr.ImageDamaged},

		{"webp: empty", webpFile(), apperr.ImageDamaged},
		{"webp: no picture", webpFile(extended(0, 24, 16)), apperr.ImageDamaged},
		{"webp: unknown first chunk", webpFile(riffChunk("ABCD", nil), still), apperr.ImageDamaged},
		{"webp: container ends in a chunk header", webpFile(still, []byte("EXIF")), apperr.ImageDamaged},
		{"webp: chunk longer than the container", webpFile(still, []byte("EXIF\xff\x00\x00\x00")), apperr.ImageDamaged},
		{"webp: two pictures", webpFile(still, still), apperr.ImageDamaged},
		{"webp: two headers", webpFile(extended(0, 24, 16), extended(0, 24, 16), still), apperr.ImageDamaged},
		{"webp: canvas of another size", webpFile(extended(0, 25, 16), still), apperr.ImageDamaged},
		{"webp: frames in a still picture", patched(animated, 20, 0), apperr.ImageDamaged},
		{"webp: still picture in an animation", webpFile(extended(2, 24, 16), still), apperr.ImageDamaged},
		{"webp: a frame outside", patched(animated, 24, 22), apperr.ImageDamaged},
		{"webp: an empty frame", webpFile(extended(2, 24, 16), riffChunk("ANMF", make([]byte, 16))), apperr.ImageDamaged},
		{"webp: no key frame", patched(lossy, 20, lossy[20]|1), apperr.ImageDamaged},
		{"webp: short picture", webpFile(riffChunk("VP8 ", make([]byte, 9))), apperr.ImageDamaged},
		{"webp: lossless of a later version", webpFile(riffChunk("VP8L", []byte("\x2f\x00\x00\x00\x20\x00"))), apperr.ImageDamaged},
		{"webp: too many pixels, lossy", patched(lossy, 26, 0xff, 0x3f, 0xff, 0x3f), apperr.TooManyPixels},
		{"webp: too many pixels, lossless", webpFile(riffChunk("VP8L", []byte("\x2f\xff\xff\xff\x0f\x00"))), apperr.TooManyPixels},
		{"webp: too many pixels, extended", webpFile(riffChunk("VP8X", []byte("\x00\x00\x00\x00\x60\xea\x00\x60\xea\x00"))), apperr.TooManyPixels},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := inspectAll(bytes.NewReader(test.data))
			if !apperr.Is(err, test.wantCode) {
				t.Errorf("error is %v, want code %d", err, test.wantCode)
			}
		})
	}
}

func TestInspectAcceptsOddities(t *testing.T) {
	jpg, lossy := encodeJPEG(t, 24, 16), fixture(t, "lossy.webp")
	tests := []struct {
		name string
		data []byte
	}{
		{"jpeg: fill bytes before a marker", join(jpg[:2], []byte{0xff, 0xff, 0xff}, jpg[2:])},
		{"jpeg: a thumbnail in APP1", join(jpg[:2], []byte{0xff, 0xe1, byte((len(jpg) + 2) >> 8), byte(len(jpg) + 2)}, jpg, jpg[2:])},
		{"jpeg: restart marker before the end", join(jpg[:len(jpg)-2], []byte("\xff\xd0\xff\xd9"))},
		{"webp: odd chunk without padding at the end", webpFile(lossy[12:], []byte("EXIF\x01\x00\x00\x00x"))},
		{"webp: unknown chunk", webpFile(lossy[12:], riffChunk("ABCD", []byte("abc")))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			size, length, err := inspectAll(bytes.NewReader(test.data))
			if want := (dimensions{24, 16}); err != nil || size != want || length != len(test.data) {
				t.Errorf("%v in %d of %d bytes, %v", size, length, len(test.data), err)
			}
		})
	}
}

func TestPixelLimits(t *testing.T) {
	tests := []struct {
		size     dimensions
		wantCode apperr.Code // OK if it is accepted
	}{
		{dimensions{1, 1}, apperr.OK},
		{dimensions{8192, 6400}, apperr.OK},
		{dimensions{8192, 6401}, apperr.TooManyPixels},
		{dimensions{65535, 1}, apperr.OK},
		{dimensions{65536, 1}, apperr.TooManyPixels},
		{dimensions{1, 65536}, apperr.TooManyPixels},
		{dimensions{0, 1}, apperr.ImageDamaged},
		{dimensions{1, 0}, apperr.ImageDamaged},
	}
	for _, test := range tests {
		err := test.size.check()
		if test.wantCode == apperr.OK && err != nil || test.wantCode != apperr.OK && !apperr.Is(err, test.wantCode) {
			t.Errorf("%v: %v, want code %d", test.size, err, test.wantCode)
		}
	}
}

// FuzzInspect checks that the decoders read the same size from every accepted picture, that the
// picture is complete, and that the result does not depend on how the bytes arrive.
func FuzzInspect(f *testing.F) {
	for _, p := range pictures(f) {
		f.Add(p.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		size, length, err := inspectAll(bytes.NewReader(data))
		slowSize, slowLength, slowErr := inspectAll(iotest.OneByteReader(bytes.NewReader(data)))
		if size != slowSize || length != slowLength || (err == nil) != (slowErr == nil) {
			t.Fatalf("at once %v %d %v, byte by byte %v %d %v", size, length, err, slowSize, slowLength, slowErr)
		}
		if err != nil {
			if !apperr.Is(err, apperr.NotAnImage, apperr.ImageDamaged, apperr.TooManyPixels) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		config, _, err := stdimage.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("accepted, but a decoder cannot read its header: %v", err)
		}
		if want := (dimensions{config.Width, config.Height}); size != want {
			t.Fatalf("size %v, want %v", size, want)
		}
		if _, _, err := inspectAll(bytes.NewReader(data[:length-1])); err == nil {
			t.Fatal("accepted without its last byte")
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	animation := encodeGIF(b, 100, 80, 6)
	webp := webpFile(fixture(b, "lossy.webp")[12:], riffChunk("EXIF", make([]byte, 47_000)))
	for _, p := range []picture{
		{name: "jpeg", data: photo(b)},
		{name: "png", data: encodePNG(b, paint(126, 126))},
		{name: "gif", data: animation},
		{name: "webp", data: webp},
	} {
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(int64(len(p.data)))
			b.ReportAllocs()
			r := bytes.NewReader(nil)
			buffered := bufio.NewReaderSize(nil, bufferSize)
			i := slices.IndexFunc(fileTypes, func(t fileType) bool { return t.matches(p.data) })
			for b.Loop() {
				r.Reset(p.data)
				buffered.Reset(r)
				if _, err := fileTypes[i].inspect(&scanner{buffered}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
