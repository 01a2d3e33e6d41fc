package codec

import (
	"fmt"
	"image"

	"github.com/buckket/go-blurhash"
)

// placeholder makes the placeholder of a small picture. It changes the picture.
func placeholder(picture *image.RGBA) (Placeholder, error) {
	pixels := rgbaPlane(picture)
	color := dominantColor(pixels)
	pixels.flatten()
	const across, down = 4, 3 // waves; more say more and make the hash longer
	hash, err := blurhash.Encode(across, down, picture)
	if err != nil {
		return Placeholder{}, fmt.Errorf("make placeholder: %w", err)
	}
	return Placeholder{BlurHash: hash, Color: color}, nil
}

// colorSum adds up similar colours.
type colorSum struct{ r, g, b, count int }

// dominantColor sorts the pixels by the upper bits of their colours and returns the mean of the largest group.
// A picture that is transparent all over is white.
func dominantColor(p plane) string {
	const bits = 3 // of each of the three
	var groups [1 << (3 * bits)]colorSum
	best := &colorSum{r: white, g: white, b: white, count: 1}
	for pixel := p.pix; len(pixel) > 0; pixel = pixel[4:] {
		a := int(pixel[3])
		if a < 128 {
			continue
		}
		r, g, b := int(pixel[0])*255/a, int(pixel[1])*255/a, int(pixel[2])*255/a
		const drop = 8 - bits
		group := &groups[r>>drop<<(2*bits)|g>>drop<<bits|b>>drop]
		group.r, group.g, group.b, group.count = group.r+r, group.g+g, group.b+b, group.count+1
		if best.count <= group.count {
			best = group
		}
	}
	mean := func(sum int) int { return (sum + best.count/2) / best.count }
	return fmt.Sprintf("#%02x%02x%02x", mean(best.r), mean(best.g), mean(best.b))
}
