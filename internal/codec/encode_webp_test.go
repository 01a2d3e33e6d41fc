//go:build !libwebp

package codec

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/webp"
)

// TestWebPIsLossless writes pictures of many kinds: the encoder is a small library, so it is tried here.
func TestWebPIsLossless(t *testing.T) {
	if WritesLossyWebP() {
		t.Error("this build has no libwebp")
	}
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		m := image.NewNRGBA(image.Rect(0, 0, 1+random.IntN(70), 1+random.IntN(70)))
		colors := 1 + random.IntN(300)
		for at := 0; at < len(m.Pix); at += 4 {
			c := random.IntN(colors) * 0x9e3779b1
			m.Pix[at], m.Pix[at+1], m.Pix[at+2], m.Pix[at+3] = byte(c), byte(c>>8), byte(c>>16), 255
			if i%3 == 0 && c&1 == 1 {
				m.Pix[at+3] = byte(c >> 11)
			}
		}
		file, err := encodeWebP(m, 80)
		if err != nil {
			t.Fatal(err)
		}
		got, err := webp.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("picture %d of %v: %v", i, m.Rect, err)
		}
		if !bytes.Equal(got.(*image.NRGBA).Pix, m.Pix) {
			t.Errorf("picture %d of %v has other pixels", i, m.Rect)
		}
	}
}
