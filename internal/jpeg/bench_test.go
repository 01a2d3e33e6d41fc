package jpeg

import (
	"bytes"
	"image"
	stdjpeg "image/jpeg"
	"io"
	"math/rand/v2"
	"testing"
)

// photo returns a picture that compresses like a photograph: smooth shapes of all sizes, and some grain.
func photo(width, height int) *image.YCbCr {
	p := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	random := rand.New(rand.NewPCG(1, 2))
	paint(p.Y, width, height, p.YStride, 18, random)
	paint(p.Cb, (width+1)/2, (height+1)/2, p.CStride, 3, random)
	paint(p.Cr, (width+1)/2, (height+1)/2, p.CStride, 3, random)
	return p
}

// paint fills a plane with noise: octaves from 512 samples down to 4, and grain of single samples.
func paint(samples []byte, width, height, stride int, grain float64, random *rand.Rand) {
	values := make([]float32, width*height)
	for cell, strength := 512, float32(40); cell >= 4; cell, strength = cell/2, strength*0.62 {
		columns := width/cell + 2
		corners := make([]float32, columns*(height/cell+2))
		for i := range corners {
			corners[i] = (random.Float32()*2 - 1) * strength
		}
		for y := range height {
			fy := float32(y%cell) / float32(cell)
			for x := range width {
				fx := float32(x%cell) / float32(cell)
				i := y/cell*columns + x/cell
				top := corners[i] + (corners[i+1]-corners[i])*fx
				bottom := corners[i+columns] + (corners[i+columns+1]-corners[i+columns])*fx
				values[y*width+x] += top + (bottom-top)*fy
			}
		}
	}
	for y := range height {
		for x := range width {
			v := 128 + float64(values[y*width+x]) + random.NormFloat64()*grain/3
			samples[y*stride+x] = byte(min(max(v, 0), 255))
		}
	}
}

func encode(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, m, &stdjpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	data := encode(b, photo(4000, 3000), 88)
	b.Logf("%d bytes", len(data))
	bench := func(name string, decode func(r io.Reader) (image.Image, error)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(bytes.NewReader(data)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, side := range map[string]int{"eighth": 0, "quarter": 750, "half": 1500, "full": 3000} {
		bench(name, func(r io.Reader) (image.Image, error) { return Decode(r, Options{side, side}) })
	}
	bench("standard library", stdjpeg.Decode)
}
