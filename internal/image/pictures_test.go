package image

import (
	"bufio"
	"bytes"
	stdimage "image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/internal/codec"
)

// sample is a valid picture and its properties.
type sample struct {
	name        string
	data        []byte
	contentType string
	width       int
	height      int
}

// samples returns small valid pictures of every stored format and variant.
func samples(tb testing.TB) []sample {
	tb.Helper()
	return []sample{
		{"baseline.jpg", encodeJPEG(tb, 24, 16), "image/jpeg", 24, 16},
		{"gray.jpg", encodeGrayJPEG(tb), "image/jpeg", 9, 7},
		{"progressive.jpg", fixture(tb, "progressive.jpg"), "image/jpeg", 24, 16},
		{"cmyk.jpg", fixture(tb, "cmyk.jpg"), "image/jpeg", 24, 16},
		{"rgb.png", encodePNG(tb, paint(24, 16)), "image/png", 24, 16},
		{"palette.png", encodePNG(tb, paintPaletted(24, 16)), "image/png", 24, 16},
		{"interlaced.png", fixture(tb, "interlaced.png"), "image/png", 24, 16},
		{"still.gif", encodeGIF(tb, 24, 16, 1), "image/gif", 24, 16},
		{"animated.gif", encodeGIF(tb, 24, 16, 3), "image/gif", 24, 16},
		{"lossy.webp", fixture(tb, "lossy.webp"), "image/webp", 24, 16},
		{"lossless.webp", fixture(tb, "lossless.webp"), "image/webp", 24, 16},
		{"alpha.webp", fixture(tb, "alpha.webp"), "image/webp", 24, 16},
		{"animated.webp", fixture(tb, "animated.webp"), "image/webp", 24, 16},
	}
}

func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// paint returns the same noisy picture each time. It compresses badly, as photographs do.
func paint(width, height int) *stdimage.RGBA {
	random := rand.New(rand.NewPCG(1, 2))
	m := stdimage.NewRGBA(stdimage.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = byte(random.Uint32())
		if i%4 == 3 {
			m.Pix[i] = 0xff
		}
	}
	return m
}

func paintPaletted(width, height int) *stdimage.Paletted {
	random := rand.New(rand.NewPCG(3, 4))
	m := stdimage.NewPaletted(stdimage.Rect(0, 0, width, height), palette.WebSafe)
	for i := range m.Pix {
		m.Pix[i] = byte(random.IntN(len(palette.WebSafe)))
	}
	return m
}

func encodeJPEG(tb testing.TB, width, height int) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, paint(width, height), nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func encodeGrayJPEG(tb testing.TB) []byte {
	tb.Helper()
	m := stdimage.NewGray(stdimage.Rect(0, 0, 9, 7))
	m.SetGray(4, 4, color.Gray{Y: 200})
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func encodePNG(tb testing.TB, m stdimage.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func encodeGIF(tb testing.TB, width, height, frames int) []byte {
	tb.Helper()
	var g gif.GIF
	for range frames {
		g.Image = append(g.Image, paintPaletted(width, height))
		g.Delay = append(g.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// photo returns a JPEG of about 48 KB.
func photo(tb testing.TB) []byte { return encodeJPEG(tb, 274, 274) }

// distinct returns small JPEGs that differ.
func distinct(tb testing.TB, count int) [][]byte {
	tb.Helper()
	all := make([][]byte, count)
	for i := range all {
		all[i] = encodeJPEG(tb, 8+i%50, 8+i/50)
	}
	return all
}

// largePhoto returns a valid JPEG of at least size bytes, all of which are stored: they are in its scan.
func largePhoto(tb testing.TB, size int) []byte {
	tb.Helper()
	for side := 256; ; side *= 2 {
		if data := encodeJPEG(tb, side, side); len(data) >= size {
			return data
		}
	}
}

// withComments returns a small JPEG that is made larger by at least size bytes of comments.
func withComments(tb testing.TB, size int) []byte {
	tb.Helper()
	small := encodeJPEG(tb, 24, 16)
	comment := append([]byte{0xff, 0xfe, 0xff, 0xff}, make([]byte, 0xffff-2)...)
	return join(small[:2], bytes.Repeat(comment, size/len(comment)+1), small[2:])
}

// undecodable returns a JPEG whose structure is whole, and whose pixels are not: its scan ends early.
func undecodable(tb testing.TB) []byte {
	tb.Helper()
	data := encodeJPEG(tb, 64, 64)
	scan := bytes.Index(data, []byte{0xff, 0xda})
	return join(data[:scan+14+20], []byte{0xff, 0xd9})
}

// cleaned returns what is stored of a picture.
func cleaned(tb testing.TB, data []byte) []byte {
	tb.Helper()
	format, _ := codec.Recognise(data[:min(len(data), codec.HeadSize)])
	var b bytes.Buffer
	_, patches, err := codec.Clean(&b, bufio.NewReaderSize(bytes.NewReader(data), codec.BufferSize), format, testLimits)
	if err != nil {
		tb.Fatal(err)
	}
	for _, patch := range patches {
		copy(b.Bytes()[patch.Offset:], patch.Bytes)
	}
	return b.Bytes()
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// patched returns a copy of data with other bytes at an offset.
func patched(data []byte, offset int, patch ...byte) []byte {
	data = bytes.Clone(data)
	copy(data[offset:], patch)
	return data
}

// heic returns a picture that is converted.
func heic(tb testing.TB) []byte {
	tb.Helper()
	return fixture(tb, filepath.Join("..", "..", "codec", "testdata", "rotated.heic"))
}
