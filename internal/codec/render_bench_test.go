package codec

import (
	"bytes"
	"image"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// photograph is a JPEG about as large as one of a phone: waves with the noise of a sensor.
func photograph(tb testing.TB, width, height int) []byte {
	tb.Helper()
	noise := rand.New(rand.NewPCG(1, 2))
	picture := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for i := range picture.Y {
		x, y := float64(i%width), float64(i/width)
		wave := math.Sin(x/37)*math.Cos(y/53) + math.Sin((x+y)/411)
		picture.Y[i] = byte(128 + 40*wave + 9*noise.NormFloat64())
	}
	for i := range picture.Cb {
		picture.Cb[i], picture.Cr[i] = byte(i/997), byte(i/(31*width))
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: 85}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// size12MP are the sides of a picture of 12 megapixels.
var size12MP = image.Pt(4000, 3000)

func BenchmarkRender12MP(b *testing.B) {
	data := photograph(b, size12MP.X, size12MP.Y)
	for _, v := range []Variant{
		{Width: 320, Height: 320, Fit: Inside, Format: JPEG, Quality: 80},
		{Width: 320, Height: 320, Fit: Cover, Format: JPEG, Quality: 80},
		{Width: 1080, Fit: Inside, Format: JPEG, Quality: 80},
		{Width: 2048, Fit: Inside, Format: JPEG, Quality: 80},
		{Width: 320, Height: 320, Fit: Inside, Format: WebP, Quality: 80},
	} {
		b.Run(string(v.Fit)+"-"+string(v.Format)+"-"+image.Pt(v.Width, v.Height).String(), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Render(io.Discard, bytes.NewReader(data), JPEG, 1, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, size := range []image.Point{{1080, 720}, size12MP} {
		data := photograph(b, size.X, size.Y)
		b.Run(size.String(), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Check(bytes.NewReader(data), JPEG, 1, roomy); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkConvert12MP converts a file named by GATEHOUSE_BENCH_HEIC: one of 12 megapixels is too large to keep here.
// heif-enc makes one of any photograph.
func BenchmarkConvert12MP(b *testing.B) {
	name := os.Getenv("GATEHOUSE_BENCH_HEIC")
	if name == "" {
		b.Skip("SKIP: GATEHOUSE_BENCH_HEIC does not name a file")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Convert(b.Context(), io.Discard, data, HEIC, roomy); err != nil {
			b.Fatal(err)
		}
	}
}

// roomy are limits that no picture of these tests exceeds by chance.
var roomy = Limits{Pixels: 50 << 20, Side: 1<<16 - 1, Frames: 1000}
