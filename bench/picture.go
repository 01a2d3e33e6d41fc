package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	pictureName  = "picture.jpg"
	pictureBytes = 48 << 10
)

// writePicture makes the JPEG that all scenarios use, for nginx as a file.
func (b *bench) writePicture() error {
	var buffer bytes.Buffer
	for grain := 0; buffer.Len() < pictureBytes; grain++ { // the more grain, the more bytes
		buffer.Reset()
		if err := jpeg.Encode(&buffer, sky(grain), &jpeg.Options{Quality: 85}); err != nil {
			return err
		}
	}
	b.picture = buffer.Bytes()
	return os.WriteFile(filepath.Join(b.dir, pictureName), b.picture, 0o644)
}

// sky is a gradient with the grain of a photograph, the same each time.
func sky(grain int) image.Image {
	random := rand.New(rand.NewPCG(1, 2))
	picture := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			noise := random.IntN(grain + 1)
			picture.SetRGBA(x, y, color.RGBA{uint8(40 + y/8 + noise), uint8(60 + x/8 + noise), uint8(120 + noise), 255})
		}
	}
	return picture
}
