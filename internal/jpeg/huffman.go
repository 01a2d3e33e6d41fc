package jpeg

const (
	// lookBits is how many bits the tables are looked up by. Fewer make tables that are built faster, more are
	// passed by fewer codes.
	lookBits  = 11
	lookShift = 64 - lookBits

	maxBitsDC = 11 // of a difference of 8-bit pictures, T.81 F.1.2.1
	maxBitsAC = 10
)

// The run of an entry of table.values that ends the block, and the advance of one of table.skips that does so.
const (
	endRun     = 64
	endAdvance = 512
	noAdvance  = 1023
)

// table is a Huffman table, and what its codes mean in the data of a sequential scan.
type table struct {
	dc      bool
	limits  [18]uint32 // by length: what the first 16 bits are below if the code is not longer
	offsets [18]int32  // by length: from a code to its symbol
	counts  [16]byte   // of symbols by length, from 1
	symbols []byte

	// All are indexed by the next lookBits bits. An entry is zero where these are not enough, or are no code.
	codes  *[1 << lookBits]uint16 // symbol<<8 | length
	values *[1 << lookBits]int32  // coefficient<<16 | run<<8 | bits of both code and coefficient
	skips  *[1 << lookBits]uint16 // coefficients passed<<5 | bits, of as many codes as there are
}

// newTable reads a table (T.81 B.2.4.2) and returns what follows it.
func newTable(content []byte) (*table, []byte, error) {
	if len(content) < 16 {
		return nil, nil, FormatError("short Huffman table")
	}
	counts, content := content[:16], content[16:]
	t := &table{counts: [16]byte(counts)}
	code, count := uint32(0), 0
	for i, n := range counts {
		length := i + 1
		t.offsets[length] = int32(count) - int32(code)
		code += uint32(n)
		count += int(n)
		if n > 0 && code >= 1<<length { // no code is all ones
			return nil, nil, FormatError("too many Huffman codes")
		}
		t.limits[length] = code << (16 - length)
		code <<= 1
	}
	t.limits[17] = 1 << 16
	if count > 256 || count > len(content) {
		return nil, nil, FormatError("Huffman table of wrong length")
	}
	t.symbols = content[:count]
	return t, content[count:], nil
}

// prepare works out the codes for progressive scans, or all for sequential ones.
func (t *table) prepare(progressive bool) {
	if t.codes == nil {
		t.prepareCodes()
	}
	if progressive || t.values != nil {
		return
	}
	t.values = new([1 << lookBits]int32)
	for i := range t.values {
		if e := t.resolve(uint64(i) << lookShift); e&63 <= lookBits {
			t.values[i] = e
		}
	}
	if !t.dc {
		t.skips = new([1 << lookBits]uint16)
		for i := range t.skips {
			t.skips[i] = t.skip(uint64(i) << lookShift)
		}
	}
}

// prepareCodes fills codes: those of the symbols follow one another.
func (t *table) prepareCodes() {
	t.codes = new([1 << lookBits]uint16)
	index, symbols := 0, t.symbols
	for i, count := range t.counts[:lookBits] {
		length := i + 1
		for _, symbol := range symbols[:count] {
			for range 1 << (lookBits - length) {
				t.codes[index] = uint16(symbol)<<8 | uint16(length)
				index++
			}
		}
		symbols = symbols[count:]
	}
}

// find returns the first symbol of acc and the length of its code, which is 0 if there is none.
func (t *table) find(acc uint64) (symbol byte, length uint) {
	next := uint32(acc >> 48)
	length = 1
	for next >= t.limits[length] {
		length++
	}
	if length > 16 {
		return 0, 0
	}
	return t.symbols[int32(next>>(16-length))+t.offsets[length]], length
}

// symbol is find with a look at codes.
func (t *table) symbol(acc uint64) (symbol byte, length uint) {
	if c := t.codes[acc>>lookShift]; c != 0 {
		return byte(c >> 8), uint(c & 31)
	}
	return t.find(acc)
}

// next returns the entry of values for what acc begins with, of any length. It is 0 if that is no code.
func (t *table) next(acc uint64) int32 {
	if e := t.values[acc>>lookShift]; e != 0 {
		return e
	}
	return t.resolve(acc)
}

func (t *table) resolve(acc uint64) int32 {
	symbol, length := t.symbol(acc)
	if length == 0 || !t.isValid(symbol) {
		return 0
	}
	run, size := int32(symbol>>4), uint(symbol&15)
	switch {
	case size != 0:
		return signed(acc<<length, size)<<16 | run<<8 | int32(length+size)
	case run == 0 && !t.dc:
		return endRun<<8 | int32(length)
	}
	return run<<8 | int32(length)
}

// isValid reports whether a symbol has a meaning in a sequential scan.
func (t *table) isValid(symbol byte) bool {
	if t.dc {
		return symbol <= maxBitsDC
	}
	size := symbol & 15
	return size != 0 && size <= maxBitsAC || symbol == 0x00 || symbol == 0xf0
}

// skip works out an entry of skips. The bits of the last coefficient need not be within those of acc.
func (t *table) skip(acc uint64) uint16 {
	used, advance := uint(0), uint(0)
	for used < lookBits && advance < endAdvance {
		c := t.codes[acc<<used>>lookShift]
		symbol, length := byte(c>>8), uint(c&31)
		if length == 0 || used+length > lookBits || !t.isValid(symbol) {
			break
		}
		used += length + uint(symbol&15)
		if symbol == 0 {
			advance += endAdvance
		} else {
			advance += uint(symbol>>4) + 1
		}
	}
	if used == 0 {
		advance = noAdvance
	}
	return uint16(advance<<5 | used)
}
