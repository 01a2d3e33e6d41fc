//go:build !libwebp

package codec

import (
	"image"
	"image/draw"
	"math/bits"
)

// plainWebP writes a lossless picture in which each sample takes eight bits, RFC 9649 section 3. It makes nothing
// smaller, and there is nothing that it can't write.
func plainWebP(picture image.Image) []byte {
	size := picture.Bounds().Size()
	straight := image.NewNRGBA(image.Rectangle{Max: size})
	draw.Draw(straight, straight.Rect, picture, picture.Bounds().Min, draw.Src)
	b := &webpBits{data: make([]byte, 0, len(straight.Pix)+64)}
	b.write(0x2f, 8)
	b.write(size.X-1, 14)
	b.write(size.Y-1, 14)
	b.write(1, 1) // there may be transparency
	b.write(0, 3) // the version
	b.write(0, 3) // no transform, no cache of colours, one set of codes
	for range 4 {
		b.writeEvenCode()
	}
	b.write(0b0001, 4) // the code of distances: one symbol, which never occurs
	for p := straight.Pix; len(p) > 0; p = p[4:] {
		for _, sample := range []byte{p[1], p[0], p[2], p[3]} {
			b.write(int(bits.Reverse8(sample)), 8)
		}
	}
	b.write(0, 7) // fills the last byte
	return webpFile(riffChunk{"VP8L", b.data}.appendTo(nil))
}

// webpBits collects bits, the least significant first.
type webpBits struct {
	data    []byte
	waiting uint64
	count   int // of those that wait
}

func (b *webpBits) write(value, count int) {
	b.waiting |= uint64(value) << b.count
	for b.count += count; b.count >= 8; b.count -= 8 {
		b.data = append(b.data, byte(b.waiting))
		b.waiting >>= 8
	}
}

// writeEvenCode writes a code in which the first 256 symbols take eight bits each, and others do not occur.
func (b *webpBits) writeEvenCode() {
	b.write(0, 1) // not one of the simple codes
	const lengths = 12
	b.write(lengths-4, 4)
	b.write(0, 3*(lengths-1))
	b.write(1, 3) // the twelfth length is that of eight bits, the only one: it takes no bits itself
	b.write(1, 1) // not all symbols occur
	b.write(3, 3) // their number has eight bits
	b.write(256-2, 8)
}
