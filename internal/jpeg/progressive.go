package jpeg

import "math/bits"

// The functions of this file decode an MCU of the four kinds of progressive scans (T.81 G.1.2). What a picture needs
// at its size is kept; of all other coefficients only whether they are zero, since the refining scans depend on it.

// firstDC decodes the upper bits of DC coefficients.
func (d *decoder) firstDC(s *scan, mx, my int) bool {
	for i := range s.parts {
		p := &s.parts[i]
		for y := range p.v {
			for x := range p.h {
				d.bits.refill()
				symbol, length := p.dc.symbol(d.bits.acc)
				if length == 0 || symbol > maxBitsDC {
					return false
				}
				d.bits.drop(length)
				p.predicted += d.bits.takeSigned(uint(symbol))
				p.coefs[p.blockAt(mx*p.h+x, my*p.v+y)*(p.keep+1)] = int16(p.predicted << s.low)
			}
		}
	}
	return true
}

// refineDC decodes one more bit of DC coefficients.
func (d *decoder) refineDC(s *scan, mx, my int) bool {
	for i := range s.parts {
		p := &s.parts[i]
		for y := range p.v {
			for x := range p.h {
				d.bits.refill()
				p.coefs[p.blockAt(mx*p.h+x, my*p.v+y)*(p.keep+1)] |= int16(d.bits.take(1) << s.low)
			}
		}
	}
	return true
}

// firstAC decodes the upper bits of a band of AC coefficients of a block.
func (d *decoder) firstAC(s *scan, mx, my int) bool {
	if s.endRun > 0 {
		s.endRun--
		return true
	}
	p, b := &s.parts[0], &d.bits
	block := p.blockAt(mx, my)
	coefs := p.coefs[block*(p.keep+1):][:p.keep+1]
	for k := s.first; k <= s.last; k++ {
		b.refill()
		symbol, length := p.ac.symbol(b.acc)
		run, size := uint(symbol>>4), uint(symbol&15)
		if length == 0 || size > maxBitsAC {
			return false
		}
		b.drop(length)
		if size == 0 && run < 15 {
			s.endRun = 1<<run - 1 + int(b.take(run))
			return true
		}
		k += int(run)
		if k > s.last {
			return false
		}
		if size > 0 {
			p.set(coefs, block, k, b.takeSigned(size)<<s.low)
		}
	}
	return true
}

// refineAC decodes one more bit of the coefficients of a band that are not zero, and those that become so.
func (d *decoder) refineAC(s *scan, mx, my int) bool {
	p, b := &s.parts[0], &d.bits
	block := p.blockAt(mx, my)
	coefs := p.coefs[block*(p.keep+1):][:p.keep+1]
	k := s.first
	for s.endRun == 0 && k <= s.last {
		b.refill()
		symbol, length := p.ac.symbol(b.acc)
		run, size := uint(symbol>>4), uint(symbol&15)
		if length == 0 || size > 1 {
			return false
		}
		b.drop(length)
		if size == 0 && run < 15 {
			s.endRun = 1<<run + int(b.take(run))
			break
		}
		value := b.takeSigned(size) << s.low
		next := zeroAfter(p.nonzero[block], k, run)
		if next > s.last {
			return false
		}
		b.refine(coefs, p.nonzero[block]&between(k, next), s.low)
		if size > 0 {
			p.set(coefs, block, next, value)
		}
		k = next + 1
	}
	if s.endRun > 0 {
		b.refine(coefs, p.nonzero[block]&between(k, s.last+1), s.low)
		s.endRun--
	}
	return true
}

// zeroAfter returns the index from k on that is zero and has run zeros before it; 64 if there is none.
func zeroAfter(nonzero uint64, k int, run uint) int {
	zeros := ^nonzero &^ (1<<k - 1)
	for range run {
		zeros &= zeros - 1
	}
	return bits.TrailingZeros64(zeros)
}

// between returns the bits from a to before b.
func between(a, b int) uint64 { return 1<<b - 1<<a }

// refine reads a bit for each of the coefficients that mask tells, and moves those away from zero where it is 1.
func (b *bitReader) refine(coefs []int16, mask uint64, low uint) {
	for mask != 0 {
		k := bits.TrailingZeros64(mask)
		if k >= len(coefs) {
			b.dropMany(uint(bits.OnesCount64(mask)))
			return
		}
		mask &= mask - 1
		b.refill()
		step := int16(b.take(1) << low)
		if coefs[k] < 0 {
			step = -step
		}
		coefs[k] += step
	}
}

// dropMany passes over up to 64 bits.
func (b *bitReader) dropMany(n uint) {
	for n > 0 {
		b.refill()
		part := min(n, 32)
		b.drop(part)
		n -= part
	}
}

// blockAt returns the index of a block.
func (c *component) blockAt(bx, by int) int { return by*c.wide + bx }

// set stores a coefficient of a block, which is not zero.
func (c *component) set(coefs []int16, block, k int, value int32) {
	c.nonzero[block] |= 1 << k
	if k < len(coefs) {
		coefs[k] = int16(value)
	}
}

// reconstructBlocks writes the pixels of a progressive picture's component.
func (c *component) reconstructBlocks() {
	var block [64]int32
	for by := range c.blocksY {
		for bx := range c.blocksX {
			clear(block[:8*c.size])
			i := c.blockAt(bx, by)
			coefs := c.coefs[i*(c.keep+1):][:c.keep+1]
			block[0] = int32(coefs[0]) * c.quant[0]
			last := 0
			for mask := c.nonzero[i] & between(1, c.keep+1); mask != 0; mask &= mask - 1 {
				last = bits.TrailingZeros64(mask)
				block[natural[last]] = int32(coefs[last]) * c.quant[last]
			}
			c.reconstruct(&block, last, bx, by)
		}
	}
}
