package corpus

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"sync"
)

// deflated is data in the format of zlib.
func deflated(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(data) // a buffer takes all
	w.Close()
	return b.Bytes()
}

// deflatedZeros is as many zero bytes in the format of zlib, a thousandth of their size. Only two megabytes are
// compressed, and the second of them repeated: what it refers to is always zeros.
func deflatedZeros(length int) []byte {
	first, next := zeroPieces()
	pieces := length / zeroPiece
	data := []byte{0x78, 0x9c}
	if pieces > 0 {
		data = join(data, first, bytes.Repeat(next, pieces-1))
	}
	data = append(data, zeroRest(length%zeroPiece)...)
	const adlerModulus = 65521
	return binary.BigEndian.AppendUint32(data, uint32(length%adlerModulus)<<16|1)
}

// zeroPiece is the size in bytes of the pieces of zeros that are repeated.
const zeroPiece = 1 << 20

// zeroPieces compresses a piece of zeros, and another behind it. Each ends with a whole byte.
var zeroPieces = sync.OnceValues(func() (first, next []byte) {
	var b bytes.Buffer
	w := newDeflater(&b)
	zeros := make([]byte, zeroPiece)
	for _, piece := range []*[]byte{&first, &next} {
		b.Reset()
		w.Write(zeros) // a buffer takes all
		w.Flush()
		*piece = bytes.Clone(b.Bytes())
	}
	return first, next
})

// zeroRest compresses less than a piece, with the end of the data.
func zeroRest(length int) []byte {
	var b bytes.Buffer
	w := newDeflater(&b)
	w.Write(make([]byte, length)) // a buffer takes all
	w.Close()
	return b.Bytes()
}

func newDeflater(b *bytes.Buffer) *flate.Writer {
	w, err := flate.NewWriter(b, flate.DefaultCompression)
	if err != nil {
		panic(err) // there is such a level
	}
	return w
}
