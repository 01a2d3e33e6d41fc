package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"slices"
	"testing"

	_ "golang.org/x/image/webp" // variants may have this format
)

func tinyJPEG(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 6)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tinyPNG(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 6))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tinyGIF(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gif.Encode(&b, image.NewPaletted(image.Rect(0, 0, 8, 6), palette.WebSafe), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tinyWebP is of one pixel.
func tinyWebP(t testing.TB) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// hugeGIF claims to have 60,000 × 60,000 pixels.
func hugeGIF(t testing.TB) []byte {
	t.Helper()
	data := tinyGIF(t)
	copy(data[6:], []byte{0x60, 0xea, 0x60, 0xea})
	return data
}

// jpegOf returns a JPEG of so many bytes, which all belong to it.
func jpegOf(t testing.TB, bytes int) []byte {
	t.Helper()
	return filledUp(tinyJPEG(t), bytes)
}

// filledUp makes a JPEG as large as it should be, by a colour profile that says nothing: of all that is not pixels,
// profiles stay.
func filledUp(jpeg []byte, bytes int) []byte {
	const start = 2 // the marker of a JPEG's start
	filled := slices.Clone(jpeg[:start])
	for missing := bytes - len(jpeg); missing > 0; {
		size := missing
		if missing > 60_000 { // more than a segment may have
			size = 30_000
		}
		segment := make([]byte, size)
		copy(segment, "\xff\xe2")
		binary.BigEndian.PutUint16(segment[2:], uint16(size-2))
		copy(segment[4:], "ICC_PROFILE\x00")
		filled = append(filled, segment...)
		missing -= size
	}
	return append(filled, jpeg[start:]...)
}

// photograph is a JPEG of many colours.
func photograph(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, gradient(width, height, 0xff), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drawing is a PNG that is half transparent.
func drawing(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, gradient(width, height, 0x80)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gradient(width, height int, alpha uint8) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, color.NRGBA{R: uint8(x), G: uint8(y), B: uint8(x + y), A: alpha})
		}
	}
	return m
}

// brokenPixels is a PNG whose structure is right, and whose pixels cannot be decoded.
func brokenPixels(t testing.TB) []byte {
	t.Helper()
	whole := drawing(t, 8, 6)
	data := bytes.Index(whole, []byte("IDAT"))
	size := int(binary.BigEndian.Uint32(whole[data-4:]))
	chunk := whole[data : data+4+size]
	for i := range chunk[6:] { // what follows the header of the stream
		chunk[6+i] ^= 0x55
	}
	binary.BigEndian.PutUint32(whole[data+4+size:], crc32.ChecksumIEEE(chunk))
	return whole
}

// withPosition is a JPEG that tells where and with what it was taken, in Exif and in a comment.
func withPosition(t testing.TB) []byte {
	t.Helper()
	exif := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x02" +
		"\x01\x10\x00\x02\x00\x00\x00\x04Cam\x00" + // model
		"\x88\x25\x00\x04\x00\x00\x00\x01\x00\x00\x00\x26" + // to the position, 38 bytes from MM
		"\x00\x00\x00\x00" +
		"\x00\x01\x00\x01\x00\x02\x00\x00\x00\x02N\x00\x00\x00" + // north
		"\x00\x00\x00\x00"
	picture := tinyJPEG(t)
	return slices.Concat(picture[:2], segment("\xff\xe1", exif), segment("\xff\xfe", "at home: "+marker), picture[2:])
}

func segment(head, content string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte(head), uint16(2+len(content))), content...)
}

// phonePicture is a HEIC.
func phonePicture(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("../codec/testdata/rotated.heic")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sizeOf decodes the head of a picture.
func sizeOf(t testing.TB, a answer) (width, height int) {
	t.Helper()
	config, _, err := image.DecodeConfig(bytes.NewReader(a.body))
	if err != nil {
		t.Fatalf("decode %s: %v", a.header.Get("Content-Type"), err)
	}
	return config.Width, config.Height
}
