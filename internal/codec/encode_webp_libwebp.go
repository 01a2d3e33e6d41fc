//go:build libwebp

package codec

import (
	"image"
	"image/draw"

	"github.com/chai2010/webp"
)

// WritesLossyWebP reports whether WebP pictures are small. This build has libwebp.
func WritesLossyWebP() bool { return true }

// encodeWebP hands libwebp what it wants: colours that are not multiplied with their alpha.
func encodeWebP(picture image.Image, quality int) ([]byte, error) {
	straight := image.NewNRGBA(picture.Bounds())
	draw.Draw(straight, straight.Rect, picture, straight.Rect.Min, draw.Src)
	return webp.EncodeRGBA(&image.RGBA{Pix: straight.Pix, Stride: straight.Stride, Rect: straight.Rect}, float32(quality))
}
