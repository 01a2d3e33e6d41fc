package codec

import (
	"image"
	"time"
)

// DecodeTime estimates how long one core takes to make a variant of a picture. Width and height are those of the stored
// pixels. The zero Variant stands for Check, of a picture that does not move. What decides is what the worst picture
// of its format costs, not the usual one: strangers choose them.
func DecodeTime(f Format, width, height int, v Variant) time.Duration {
	if v == (Variant{}) {
		v = placeholderBox
	}
	size := image.Pt(max(1, width), max(1, height))
	return time.Duration(area(size)*decodedNanos[f] + area(layOut(size, v).canvas)*encodedNanos[v.Format])
}

// decodedNanos is how long the decoders take for a pixel of a cheap file, in nanoseconds, as measured. A lossless WebP
// of one colour takes no bits, and each pixel walks through all of its codes nevertheless.
var decodedNanos = map[Format]int64{JPEG: 10, PNG: 20, GIF: 25, WebP: 60}

// encodedNanos is how long the encoders take for a pixel of a variant.
var encodedNanos = map[Format]int64{JPEG: 50, PNG: 200, WebP: 200}
