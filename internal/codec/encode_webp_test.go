//go:build !libwebp

package codec

import (
	"bytes"
	"image"
	"image/draw"
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

// wantLossless writes a picture and compares what is read of it.
func wantLossless(t *testing.T, m *image.NRGBA) {
	t.Helper()
	file, err := encodeWebP(m, 80)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{file, plainWebP(m)} {
		got, err := webp.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("%v: %v", m.Rect, err)
		}
		if !bytes.Equal(got.(*image.NRGBA).Pix, m.Pix) {
			t.Errorf("%v of %v has other pixels", m.Rect, m.Pix[:4])
		}
	}
}

// TestTinyWebP writes flat pictures and random ones: over some of them the encoder panics.
func TestTinyWebP(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for width := 1; width <= 4; width++ {
		for height := 1; height <= 4; height++ {
			for i := range 27 * 3 {
				m := image.NewNRGBA(image.Rect(0, 0, width, height))
				c := []byte{byte(i % 3 * 127), byte(i / 3 % 3 * 127), byte(i / 9 % 3 * 127), byte(i / 27 * 127)}
				for at := range m.Pix {
					m.Pix[at] = c[at%4]
				}
				wantLossless(t, m)
				for at := range m.Pix {
					m.Pix[at] = byte(random.IntN(2) * random.IntN(256))
				}
				wantLossless(t, m)
			}
			black := image.NewNRGBA(image.Rect(0, 0, width, height))
			draw.Draw(black, black.Rect, image.Black, image.Point{}, draw.Src)
			wantLossless(t, black)
		}
	}
}

// TestLargeNoiseAsWebP is beyond the codes that the encoder can write.
func TestLargeNoiseAsWebP(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: takes seconds")
	}
	random := rand.NewChaCha8([32]byte{})
	m := image.NewNRGBA(image.Rect(0, 0, 2000, 2000))
	random.Read(m.Pix)
	wantLossless(t, m)
}
