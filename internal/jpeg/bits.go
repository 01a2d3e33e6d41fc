package jpeg

import (
	"bufio"
	"bytes"
	"encoding/binary"
)

const (
	// plainSize is how many bytes of a scan are unstuffed at once.
	plainSize = 32 << 10
	// slack is more than the bytes of any MCU: 10 blocks of 64 codes of 16 bits, each with at most 11 bits behind.
	// So bits run short only between MCUs, and nothing has to be checked within one.
	slack = 4096
)

// bitReader reads the bits of a segment of entropy-coded data, which ends at a marker. The bytes are copied to a buffer
// with the zeros behind 0xff removed, so that eight of them can be loaded at once.
type bitReader struct {
	acc uint64 // the next bits, the first of them on top
	n   uint   // how many of acc are there; what lies below them is the same as in plain, or zero
	pos int    // in plain, of the first byte that is not counted in n

	end    int  // of what is in plain
	limit  int  // where pos needs a look by advance
	marker byte // the one that the segment ends with; 0 if it is not in sight yet
	src    *bufio.Reader
	plain  [plainSize + slack]byte
}

// start begins a segment.
func (b *bitReader) start() error {
	b.acc, b.n, b.pos, b.end, b.marker = 0, 0, 0, 0, 0
	return b.fill()
}

// ready makes sure that the next MCU can be read without further checks. It returns a FormatError if bits were read
// that are not there.
func (b *bitReader) ready() error {
	if b.pos > b.limit {
		return b.advance()
	}
	return nil
}

func (b *bitReader) advance() error {
	if b.marker == 0 {
		return b.fill()
	}
	return b.check()
}

const errEarlyEnd = FormatError("scan ends early")

// check returns a FormatError if more bits were read than the segment has.
func (b *bitReader) check() error {
	if b.isPast(0) {
		return errEarlyEnd
	}
	return nil
}

// isPast reports whether the segment is known to end before n more bits. Past its end, bits are read as zeros.
func (b *bitReader) isPast(n int) bool {
	return b.marker != 0 && b.pos*8-int(b.n)+n > b.end*8
}

// fill reads on, up to a full buffer or the marker.
func (b *bitReader) fill() error {
	b.end = copy(b.plain[:], b.plain[b.pos:b.end])
	b.pos = 0
	for b.marker == 0 && b.end < plainSize {
		if err := b.unstuff(); err != nil {
			return err
		}
	}
	b.limit = b.end - slack
	if b.marker != 0 {
		b.limit = b.end
		clear(b.plain[b.end : b.end+slack])
	}
	return nil
}

// unstuff copies bytes up to and including the next 0xff, or as many as are at hand.
func (b *bitReader) unstuff() error {
	if _, err := b.src.Peek(1); err != nil {
		return readError(err)
	}
	window, err := b.src.Peek(min(b.src.Buffered(), plainSize-b.end))
	if err != nil {
		return readError(err)
	}
	i := bytes.IndexByte(window, 0xff)
	if i < 0 {
		b.end += copy(b.plain[b.end:], window)
		_, err := b.src.Discard(len(window))
		return readError(err)
	}
	b.end += copy(b.plain[b.end:], window[:i+1])
	if _, err := b.src.Discard(i + 1); err != nil {
		return readError(err)
	}
	b.marker, err = markerCode(b.src)
	if b.marker != 0 {
		b.end--
	}
	return err
}

// finish ends a segment whose MCUs are read: it passes over stray bytes and returns the marker.
func (b *bitReader) finish() (byte, error) {
	if err := b.check(); err != nil {
		return 0, err
	}
	for b.marker == 0 {
		b.pos = b.end
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	return b.marker, nil
}

// refill provides at least 32 bits.
func (b *bitReader) refill() {
	if b.n < 32 {
		b.acc |= binary.BigEndian.Uint64(b.plain[b.pos:]) >> (b.n & 63)
		b.pos += int(63-b.n) >> 3
		b.n |= 56
	}
}

// drop passes over bits that refill has provided.
func (b *bitReader) drop(n uint) {
	b.acc <<= n & 63
	b.n -= n
}

// take returns the next n bits that refill has provided.
func (b *bitReader) take(n uint) int32 {
	v := int32(b.acc >> (64 - n))
	b.drop(n)
	return v
}

// takeSigned returns the next n bits that refill has provided as a coefficient.
func (b *bitReader) takeSigned(n uint) int32 {
	v := signed(b.acc, n)
	b.drop(n)
	return v
}

// signed returns the first n bits of acc as a coefficient: those that begin with 0 are negative (T.81 F.2.2.1).
func signed(acc uint64, n uint) int32 {
	v := int32(acc >> (64 - n))
	if int64(acc) >= 0 {
		v -= 1<<n - 1
	}
	return v
}
