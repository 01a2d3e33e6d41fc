package corpus

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"math/rand/v2"
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// be16, be32 and le32 are numbers as bytes, the most or the least significant first.
func be16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func be32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
func le16(n int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }
func le32(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }

// le24 is a number as three bytes, the least significant first.
func le24(n int) []byte { return le32(n)[:3] }

// patched returns a copy of data with other bytes at an offset.
func patched(data []byte, offset int, patch ...byte) []byte {
	data = bytes.Clone(data)
	copy(data[offset:], patch)
	return data
}

// replaced returns a copy of data with other bytes in the place of the first that are like old.
func replaced(data []byte, old, new string) []byte {
	return bytes.Replace(data, []byte(old), []byte(new), 1)
}

// noise returns the same random bytes each time.
func noise(length int) []byte {
	b := make([]byte, length)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(b) // never fails
	return b
}

// fixture returns a picture that cannot be made in a few lines. README.md in its folder says how they were made.
func fixture(name string) []byte {
	data, err := fixtures.ReadFile("fixtures/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return data
}

// paint returns a picture without symmetry, so that turning it shows.
func paint(width, height int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, color.NRGBA{R: byte(x * 10), G: byte(y * 14), B: byte(x * y), A: 0xff})
		}
	}
	return m
}

// bitWriter packs bits, the least significant first.
type bitWriter struct {
	bytes []byte
	free  int // bits in the last byte
}

func (w *bitWriter) write(value uint32, count int) {
	for i := range count {
		if w.free == 0 {
			w.bytes, w.free = append(w.bytes, 0), 8
		}
		w.bytes[len(w.bytes)-1] |= byte(value>>i&1) << (8 - w.free)
		w.free--
	}
}
