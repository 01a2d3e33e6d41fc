package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
)

const (
	pictureName  = "picture.jpg"
	pictureBytes = 48 << 10
)

// writePicture makes the small JPEG. Its file is the one that wrk numbers.
func (b *bench) writePicture() error {
	for grain := 0; len(b.picture) < pictureBytes; grain++ { // the more grain, the more bytes
		var err error
		if b.picture, err = encode(sky(640, 480, grain), 85); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(b.dir, pictureName), numbered(b.picture, 0), 0o644)
}

// photograph is what a phone takes: 12 megapixels, about 4 MB.
var photograph = sync.OnceValues(func() ([]byte, error) { return encode(sky(4000, 3000, 40), 85) })

const heicName = "photograph.heic"

// heic returns the photograph as an iPhone sends it.
func (b *bench) heic(ctx context.Context) ([]byte, error) {
	file := filepath.Join(b.dir, heicName)
	if content, err := os.ReadFile(file); err == nil {
		return content, nil
	}
	photo, err := photograph()
	if err != nil {
		return nil, err
	}
	source := filepath.Join(b.dir, "photograph.jpg")
	if err := os.WriteFile(source, photo, 0o600); err != nil {
		return nil, err
	}
	output, err := exec.CommandContext(ctx, "heif-enc", "-q", "40", "-p", "preset=ultrafast", "-o", file, source).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("heif-enc: %w\n%s", err, output)
	}
	return os.ReadFile(file)
}

// bigPicture is noise, which has the most bytes for its pixels.
func bigPicture() ([]byte, error) {
	const side = 4624
	noise := image.NewYCbCr(image.Rect(0, 0, side, side), image.YCbCrSubsampleRatio420)
	random := rand.NewChaCha8([32]byte{})
	for _, plane := range [][]byte{noise.Y, noise.Cb, noise.Cr} {
		_, _ = random.Read(plane) // it never fails
	}
	return encode(noise, 100)
}

func encode(picture image.Image, quality int) ([]byte, error) {
	var buffer bytes.Buffer
	err := jpeg.Encode(&buffer, picture, &jpeg.Options{Quality: quality})
	return buffer.Bytes(), err
}

// sky is a gradient with soft blotches and the grain of a photograph, the same each time.
func sky(width, height, grain int) image.Image {
	random := rand.New(rand.NewPCG(1, 2))
	blotches := make([]int, 200*150)
	for i := range blotches {
		blotches[i] = random.IntN(grain + 1)
	}
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			light := random.IntN(grain+1) + blotches[y*150/height*200+x*200/width]
			picture.SetRGBA(x, y, color.RGBA{
				uint8(40 + 60*y/height + light), uint8(60 + 80*x/width + light), uint8(120 + light), 255,
			})
		}
	}
	return picture
}

// numberFormat makes the 64 entries of a quantisation table.
const numberFormat = "%064d"

// numbered makes another picture of a JPEG, since the server stores the same one only once. It looks
// and costs the same: the number is a quantisation table that no component uses, which the server
// keeps, and decoders read. wrk, too, puts numbers in the place of 0.
func numbered(picture []byte, n int) []byte {
	table := fmt.Appendf([]byte{0xff, 0xdb, 0, 2 + 1 + 64, 3}, numberFormat, n)
	return slices.Concat(picture[:2], table, picture[2:])
}
