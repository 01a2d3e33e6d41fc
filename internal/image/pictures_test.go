package image

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
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
)

// picture is a valid picture and its properties.
type picture struct {
	name        string
	data        []byte
	contentType string
	width       int
	height      int
}

// pictures returns small valid pictures of every accepted format and variant.
func pictures(tb testing.TB) []picture {
	tb.Helper()
	return []picture{
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

// largePhoto returns a valid JPEG of at least size bytes, filled with comments.
func largePhoto(tb testing.TB, size int) []byte {
	tb.Helper()
	small := encodeJPEG(tb, 24, 16)
	comment := append([]byte{0xff, markerCOM, 0xff, 0xff}, make([]byte, 0xffff-2)...)
	comments := bytes.Repeat(comment, size/len(comment)+1)
	return join(small[:2], comments, small[2:])
}

func pngChunk(name string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(b, name...)
	b = append(b, data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func riffChunk(name string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(data)))
	b = append(b, data...)
	if len(data)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func webpFile(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), join(chunks...)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// patched returns a copy of data with other bytes at an offset.
func patched(data []byte, offset int, patch ...byte) []byte {
	data = bytes.Clone(data)
	copy(data[offset:], patch)
	return data
}
