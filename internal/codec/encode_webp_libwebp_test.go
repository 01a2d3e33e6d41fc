//go:build libwebp

package codec

import (
	"image"
	"image/color"
	"testing"
)

func TestWebPIsLossy(t *testing.T) {
	if !WritesLossyWebP() {
		t.Error("this build has libwebp")
	}
	m := paint(200, 150)
	good, err := encodeWebP(m, 95)
	if err != nil {
		t.Fatal(err)
	}
	small, err := encodeWebP(m, 30)
	if err != nil || len(small) >= len(good) {
		t.Errorf("quality 30 has %d bytes, 95 has %d: %v", len(small), len(good), err)
	}
}

// TestLibwebpKeepsTransparentColors: libwebp wants colours that are not multiplied with their alpha.
func TestLibwebpKeepsTransparentColors(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 32, 32))
	for at := 0; at < len(m.Pix); at += 4 {
		copy(m.Pix[at:], []byte{100, 0, 0, 128})
	}
	data, err := encodeWebP(m, 95)
	if err != nil {
		t.Fatal(err)
	}
	wantColor(t, decoded(t, data, WebP), 16, 16, color.NRGBA{199, 0, 0, 128}, 6)
}
