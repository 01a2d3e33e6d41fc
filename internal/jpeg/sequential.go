package jpeg

import "encoding/binary"

// sequentialMCU decodes the blocks of an MCU and writes their pixels. It reports whether they are valid.
func (d *decoder) sequentialMCU(s *scan, mx, my int) bool {
	for i := range s.parts {
		p := &s.parts[i]
		for y := range p.v {
			for x := range p.h {
				clear(d.block[:8*p.size])
				last, ok := d.bits.block(p, &d.block)
				if !ok {
					return false
				}
				p.reconstruct(&d.block, last, mx*p.h+x, my*p.v+y)
			}
		}
	}
	return true
}

// block decodes a block (T.81 F.2.2) and dequantizes the coefficients that its size needs into coefs, which is in
// natural order. It returns the zigzag index of the last one that it has set.
func (b *bitReader) block(p *part, coefs *[64]int32) (last int, ok bool) {
	b.refill()
	e := p.dc.next(b.acc)
	if e == 0 {
		return 0, false
	}
	b.drop(uint(e & 63))
	p.predicted += e >> 16
	coefs[0] = p.predicted * p.quant[0]

	// The state of bits is in local variables here, which the compiler keeps in registers.
	acc, n, pos, k := b.acc, b.n, b.pos, 1
	for k <= p.keep {
		acc, n, pos = b.refilled(acc, n, pos)
		e := p.ac.next(acc)
		run := int(e>>8) & 0xff
		acc <<= e & 63
		n -= uint(e & 63)
		k += run
		if e == 0 || k > 63 {
			b.acc, b.n, b.pos = acc, n, pos
			return last, run == endRun
		}
		coefs[natural[k]] = e >> 16 * p.quant[k]
		last = k
		k++
	}
	b.acc, b.n, b.pos = acc, n, pos
	return last, k == 64 || b.skip(p.ac, k)
}

// skip passes over the coefficients of a block from k on, several at a time. It reports whether they are valid.
func (b *bitReader) skip(t *table, k int) (ok bool) {
	ok = true
	acc, n, pos := b.acc, b.n, b.pos
	for k < 64 {
		acc, n, pos = b.refilled(acc, n, pos)
		e := uint(t.skips[acc>>lookShift])
		next := k + int(e>>5)
		if next > 64 && (next < endAdvance || next >= endAdvance+64) {
			// The look was too short, or went into the next block: take a single code.
			one := t.next(acc)
			run := int(one>>8) & 0xff
			e = uint(one & 63)
			next = k + run + 1
			if one == 0 || next > 64 && run != endRun {
				ok = false
				break
			}
		}
		acc <<= e & 31
		n -= e & 31
		k = next
	}
	b.acc, b.n, b.pos = acc, n, pos
	return ok
}

// refilled is refill on copies of acc, n and pos.
func (b *bitReader) refilled(acc uint64, n uint, pos int) (uint64, uint, int) {
	if n < 32 {
		acc |= binary.BigEndian.Uint64(b.plain[pos:]) >> (n & 63)
		pos += int(63-n) >> 3
		n |= 56
	}
	return acc, n, pos
}
