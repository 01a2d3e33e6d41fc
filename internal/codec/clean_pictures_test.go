package codec

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is a valid picture and what Clean makes of it.
type sample struct {
	name   string
	data   []byte
	format Format
	want   Info
	clean  []byte // nil if it is data itself
}

// samples returns small pictures of every format and variant that Clean accepts.
func samples(tb testing.TB) []sample {
	tb.Helper()
	info := func(width, height, frames int, alpha bool) Info {
		return Info{Width: width, Height: height, Orientation: 1, Frames: frames, Alpha: alpha}
	}
	still, alpha := info(24, 16, 1, false), info(24, 16, 1, true)
	translucent := image.NewNRGBA(image.Rect(0, 0, 24, 16))
	return []sample{
		{"baseline.jpg", encodeJPEG(tb, 24, 16), JPEG, still, nil},
		{"gray.jpg", encodeGrayJPEG(tb), JPEG, info(9, 7, 1, false), nil},
		{"progressive.jpg", fixture(tb, "progressive.jpg"), JPEG, still, nil},
		{"cmyk.jpg", fixture(tb, "cmyk.jpg"), JPEG, still, nil},
		{"rgb.png", encodePNG(tb, paint(24, 16)), PNG, still, nil},
		{"rgba.png", encodePNG(tb, translucent), PNG, alpha, nil},
		{"palette.png", encodePNG(tb, paintPaletted(24, 16)), PNG, still, nil},
		{"interlaced.png", fixture(tb, "interlaced.png"), PNG, alpha, nil},
		{"animated.png", animatedPNG(tb, 3), PNG, info(24, 16, 3, false), nil},
		{"still.gif", encodeGIF(tb, 24, 16, 1), GIF, still, nil},
		{"animated.gif", encodeGIF(tb, 24, 16, 3), GIF, info(24, 16, 3, false), nil},
		{"transparent.gif", transparentGIF(tb), GIF, alpha, nil},
		{"lossy.webp", fixture(tb, "lossy.webp"), WebP, still, nil},
		{"lossless.webp", fixture(tb, "lossless.webp"), WebP, alpha, nil},
		{"alpha.webp", fixture(tb, "alpha.webp"), WebP, alpha, nil},
		{"animated.webp", fixture(tb, "animated.webp"), WebP, info(24, 16, 3, false), nil},
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
func paint(width, height int) *image.RGBA {
	random := rand.New(rand.NewPCG(1, 2))
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = byte(random.Uint32())
		if i%4 == 3 {
			m.Pix[i] = 0xff
		}
	}
	return m
}

func paintPaletted(width, height int) *image.Paletted {
	random := rand.New(rand.NewPCG(3, 4))
	m := image.NewPaletted(image.Rect(0, 0, width, height), palette.WebSafe)
	for i := range m.Pix {
		m.Pix[i] = byte(random.IntN(len(palette.WebSafe)))
	}
	return m
}

// encodeJPEG returns a JPEG with a JFIF segment, as most have.
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
	m := image.NewGray(image.Rect(0, 0, 9, 7))
	m.SetGray(4, 4, color.Gray{Y: 200})
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func encodePNG(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// animatedPNG shows the same picture several times; the first is the default image.
func animatedPNG(tb testing.TB, frames uint32) []byte {
	tb.Helper()
	still := encodePNG(tb, paint(24, 16))
	header, data := still[:8+25], still[8+25:len(still)-12]
	length := binary.BigEndian.Uint32(data)
	pixels := string(data[8 : 8+length])
	b := join(header, pngChunk("acTL", string(bigEndian(frames, 0))), frameControl(0, 24, 16, 0, 0), data)
	for i := range frames - 1 {
		b = join(b, frameControl(1+2*i, 24, 16, 0, 0), pngChunk("fdAT", string(bigEndian(2+2*i))+pixels))
	}
	return join(b, pngChunk("IEND", ""))
}

func frameControl(sequence, width, height, left, top uint32) []byte {
	return pngChunk("fcTL", string(bigEndian(sequence, width, height, left, top))+"\x00\x01\x00\x0a\x00\x00")
}

func bigEndian(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func encodeGIF(tb testing.TB, width, height, frames int) []byte {
	tb.Helper()
	var g gif.GIF
	for range frames {
		g.Image = append(g.Image, paintPaletted(width, height))
		g.Delay = append(g.Delay, 10)
	}
	return encodeAllGIF(tb, &g)
}

func transparentGIF(tb testing.TB) []byte {
	tb.Helper()
	m := paintPaletted(24, 16)
	m.Palette = append(color.Palette{color.Transparent}, m.Palette[1:]...)
	return encodeAllGIF(tb, &gif.GIF{Image: []*image.Paletted{m}, Delay: []int{0}})
}

func encodeAllGIF(tb testing.TB, g *gif.GIF) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// gifBlocks returns an extension or the data of a frame: a header, then the content in blocks.
func gifBlocks(header string, content ...string) []byte {
	b := []byte(header)
	for _, c := range content {
		for len(c) > 0 {
			n := min(len(c), 255)
			b = append(append(b, byte(n)), c[:n]...)
			c = c[n:]
		}
	}
	return append(b, 0)
}

func riff(name, content string) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(content)))
	return append(append(b, content...), make([]byte, len(content)%2)...)
}

// riffFile returns a WebP of chunks.
func riffFile(chunks ...[]byte) []byte {
	return riff("RIFF", "WEBP"+string(join(chunks...)))
}

// extended returns the extended header of a WebP.
func extended(flags, width, height byte) []byte {
	return riff("VP8X", string([]byte{flags, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0}))
}

// asExtended returns a simple WebP with an extended header and more chunks before and after its picture.
func asExtended(simple []byte, before, after []byte) []byte {
	return riffFile(extended(0, 24, 16), before, simple[12:], after)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// insert returns data with more at an offset.
func insert(data []byte, offset int, more ...[]byte) []byte {
	return join(data[:offset], join(more...), data[offset:])
}

// patched returns a copy of data with other bytes at an offset.
func patched(data []byte, offset int, patch ...byte) []byte {
	data = bytes.Clone(data)
	copy(data[offset:], patch)
	return data
}

// repeated returns s as often as it takes to have n bytes.
func repeated(s string, n int) string { return strings.Repeat(s, n/len(s)+1)[:n] }
