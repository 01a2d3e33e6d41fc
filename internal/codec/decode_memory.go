package codec

import "image"

// DecodeMemory estimates how many bytes it takes to make a variant of a picture, so that not too many are made at
// once. Width and height are those of the stored pixels. The zero Variant stands for Check. The estimate is high rather than low: the depth of a PNG and whether a JPEG is progressive
// are not known here. It leaves out what the garbage collector has not yet taken away.
func DecodeMemory(f Format, width, height int, v Variant) int64 {
	const buffers = 256 << 10
	size := image.Pt(max(1, width), max(1, height))
	if v == (Variant{}) {
		v = placeholderBox
	}
	plan := layOut(size, v)
	decoded := area(size) * decodedPixel[f]
	if f == JPEG {
		decoded = jpegMemory(size, plan.decoded(size))
	}
	const mostRest = 4 // times as many rows as in the end are there when they are narrowed
	narrow := int64(plan.canvas.X) * int64(min(size.Y, mostRest*plan.canvas.Y)) * 4
	const upright = 2 * 4 // the pixels of the variant before and after they are turned
	return buffers + decoded + narrow + area(plan.canvas)*(upright+encodedPixel(v.Format))
}

// decodedPixel is how many bytes the decoders take for a pixel, at most.
var decodedPixel = map[Format]int64{
	PNG:  12, // 16 bits a sample, interlaced: the passes and the whole
	GIF:  5,  // the frame and its canvas
	WebP: 9,  // lossless; lossy with transparency is less
}

// encodedPixel is how many bytes an encoder takes for a pixel.
func encodedPixel(f Format) int64 {
	switch {
	case f == WebP && !WritesLossyWebP():
		return 64 // lists of matches
	case f == WebP:
		return 12
	}
	return 0
}

// jpegMemory is that of a JPEG of the reduced size that its decoder chooses: all three planes as large as each other,
// and the coefficients of a progressive one, with eight bytes of notes for each block.
func jpegMemory(size, least image.Point) int64 {
	eighths, coefficients := 1, int64(1)
	for _, most := range []int64{5, 25, 64} {
		if eighths*size.X >= 8*least.X && eighths*size.Y >= 8*least.Y {
			break
		}
		eighths, coefficients = 2*eighths, most
	}
	blocks := area(image.Pt((size.X+7)/8, (size.Y+7)/8))
	return 3 * blocks * (int64(eighths*eighths) + 8 + 2*coefficients)
}

func area(size image.Point) int64 { return int64(size.X) * int64(size.Y) }
