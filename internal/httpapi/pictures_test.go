package httpapi

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
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

// jpegOf returns a JPEG of so many bytes: what fills it follows the picture's end.
func jpegOf(t testing.TB, bytes int) []byte {
	t.Helper()
	picture := tinyJPEG(t)
	return append(picture, make([]byte, bytes-len(picture))...)
}
