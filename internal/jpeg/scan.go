package jpeg

// maxScans is more than encoders make, which is around 10. It bounds the work that a small file asks for: a scan of a
// progressive picture may need a few bytes only.
const maxScans = 100

// maxBlocks is how many blocks an MCU may have (T.81 B.2.3).
const maxBlocks = 10

// scan is what a scan header (T.81 B.2.3) says, and the state within the scan.
type scan struct {
	parts        []part
	first, last  int  // spectral selection: zigzag indexes of coefficients
	high, low    uint // successive approximation: bits of the coefficients
	mcusX, mcusY int
	endRun       int // blocks to come that have no more coefficients in this scan
}

// part is a component in a scan.
type part struct {
	*component
	h, v      int // blocks of an MCU
	dc, ac    *table
	predicted int32 // DC coefficient of the last block
}

// readScan reads a scan: the header and the data.
func (d *decoder) readScan(content []byte) error {
	if d.scans++; d.scans > maxScans {
		return FormatError("too many scans")
	}
	s, err := d.scanHeader(content)
	if err != nil {
		return err
	}
	decodeMCU, err := d.prepare(s)
	if err != nil {
		return err
	}
	return d.readMCUs(s, decodeMCU)
}

// scanHeader reads the header. What it says of the progression means nothing in sequential pictures, and is not looked
// at in these.
func (d *decoder) scanHeader(content []byte) (*scan, error) {
	if d.frame.components == nil {
		return nil, FormatError("a scan before the frame")
	}
	if len(content) < 4 || len(content) != 4+2*int(content[0]) {
		return nil, FormatError("scan header of wrong length")
	}
	count := int(content[0])
	if count < 1 || count > len(d.frame.components) {
		return nil, FormatError("bad number of components in a scan")
	}
	s := &scan{parts: make([]part, count), last: 63}
	if params := content[1+2*count:]; d.frame.progressive {
		s.first, s.last = int(params[0]), int(params[1])
		s.high, s.low = uint(params[2]>>4), uint(params[2]&15)
	}
	for i := range s.parts {
		if err := d.readPart(s, &s.parts[i], content[1+2*i], content[2+2*i]); err != nil {
			return nil, err
		}
	}
	return s, d.interleave(s)
}

// readPart finds a component and its tables, as far as the scan needs them.
func (d *decoder) readPart(s *scan, p *part, id, tables byte) error {
	for i := range d.frame.components {
		if d.frame.components[i].id == id {
			p.component = &d.frame.components[i]
		}
	}
	if p.component == nil || tables>>4 > 3 || tables&15 > 3 {
		return FormatError("bad component in a scan")
	}
	if s.first == 0 && s.high == 0 {
		if p.dc = d.dc[tables>>4]; p.dc == nil {
			return FormatError("no Huffman table")
		}
		p.dc.prepare(d.frame.progressive)
	}
	if s.last > 0 {
		if p.ac = d.ac[tables&15]; p.ac == nil {
			return FormatError("no Huffman table")
		}
		p.ac.prepare(d.frame.progressive)
	}
	return p.receive(s, d.quant[p.quantID])
}

// receive notes which bits of which coefficients the scan brings. All must come in order (T.81 G.1.1.1): the DC
// coefficient first, and the bits of each from the top.
func (c *component) receive(s *scan, quant *[64]int32) error {
	if c.quant == nil {
		c.quant = quant
	}
	if c.quant == nil {
		return FormatError("no quantization table")
	}
	if s.last > 63 || s.first > s.last || s.low > 13 || s.first > 0 && c.received[0] == 0 {
		return FormatError("bad progression")
	}
	before := int8(0)
	if s.high > 0 {
		before = int8(s.high) + 1
		if s.low+1 != s.high {
			return FormatError("bad progression")
		}
	}
	for k := s.first; k <= s.last; k++ {
		if c.received[k] != before {
			return FormatError("coefficients twice or out of order")
		}
		c.received[k] = int8(s.low) + 1
	}
	return nil
}

// interleave works out the MCUs of the scan (T.81 A.2). Those of a single component are its blocks.
func (d *decoder) interleave(s *scan) error {
	if len(s.parts) == 1 {
		p := &s.parts[0]
		p.h, p.v = 1, 1
		s.mcusX, s.mcusY = p.blocksX, p.blocksY
		return nil
	}
	blocks := 0
	for i := range s.parts {
		p := &s.parts[i]
		p.h, p.v = p.component.h, p.component.v
		blocks += p.h * p.v
	}
	if blocks > maxBlocks {
		return FormatError("too many blocks in an MCU")
	}
	s.mcusX, s.mcusY = d.frame.mcusX, d.frame.mcusY
	return nil
}

// decodeMCU decodes an MCU of a scan and reports whether it is valid.
type decodeMCU func(s *scan, mx, my int) bool

// prepare allocates what the scan fills, and returns how its MCUs are decoded.
func (d *decoder) prepare(s *scan) (decodeMCU, error) {
	if !d.frame.progressive {
		for i := range s.parts {
			s.parts[i].allocatePixels(&d.frame)
		}
		return d.sequentialMCU, nil
	}
	for i := range s.parts {
		s.parts[i].allocateCoefficients(&d.frame)
	}
	switch {
	case s.first == 0 && s.last > 0, s.first > 0 && len(s.parts) > 1:
		return nil, FormatError("bad progression")
	case s.first == 0 && s.high == 0:
		return d.firstDC, nil
	case s.first == 0:
		return d.refineDC, nil
	case s.high == 0:
		return d.firstAC, nil
	}
	return d.refineAC, nil
}

// readMCUs decodes the data of the scan.
func (d *decoder) readMCUs(s *scan, decode decodeMCU) error {
	if err := d.bits.start(); err != nil {
		return err
	}
	restarts, left := byte(0), d.restart
	for my := range s.mcusY {
		for mx := range s.mcusX {
			if d.restart > 0 && left == 0 {
				if err := d.readRestart(s, markerRST0+restarts%8); err != nil {
					return err
				}
				restarts++
				left = d.restart
			}
			left--
			if err := d.bits.ready(); err != nil {
				return err
			}
			if !decode(s, mx, my) {
				return d.badData()
			}
		}
	}
	var err error
	d.pending, err = d.endInterval(s)
	return err
}

// badData says why an MCU is invalid. Where less than a code is left of the data, it is rather too short than wrong.
func (d *decoder) badData() error {
	if d.bits.isPast(16) {
		return errEarlyEnd
	}
	return FormatError("bad code or too many coefficients")
}

// readRestart ends a restart interval and begins the next one behind its marker.
func (d *decoder) readRestart(s *scan, want byte) error {
	marker, err := d.endInterval(s)
	if err != nil {
		return err
	}
	if marker != want {
		return FormatError("wrong restart marker")
	}
	for i := range s.parts {
		s.parts[i].predicted = 0
	}
	return d.bits.start()
}

// endInterval checks that the data of a restart interval or scan was as long as its blocks, and returns the marker
// behind it.
func (d *decoder) endInterval(s *scan) (byte, error) {
	if s.endRun > 0 {
		return 0, FormatError("run past the last block")
	}
	return d.bits.finish()
}
