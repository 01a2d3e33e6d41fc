package jpeg

// frame is what the frame header (T.81 B.2.2) says.
type frame struct {
	progressive   bool
	width, height int // in pixels
	h, v          int // largest sampling factors of the components
	size          int // pixels on a side that become of the 8 of a block: 1, 2, 4 or 8
	mcusX, mcusY  int // of interleaved scans
	components    []component
}

// component is a color channel.
type component struct {
	id       byte
	quantID  byte
	h, v     int // sampling factors
	size     int // as frame.size; larger where the component is subsampled, so that it need not be enlarged later
	keep     int // zigzag index of the last coefficient that size needs
	blocksX  int // of the picture, without those that only fill an MCU
	blocksY  int
	wide     int        // blocks in a row, with those
	quant    *[64]int32 // as at the first scan
	received [64]int8   // by coefficient: 1 + the lowest bit that the scans so far have brought, or 0
	pixels   []byte     // of the whole MCUs
	stride   int        // of pixels

	// What the scans of a progressive picture have brought, by block and in zigzag order.
	coefs   []int16  // the first 1+keep coefficients of each block
	nonzero []uint64 // a bit for each coefficient of a block
}

// read reads the frame header.
func (f *frame) read(marker byte, content []byte, o Options) error {
	if f.components != nil {
		return FormatError("a second frame")
	}
	if len(content) < 6 || len(content) != 6+3*int(content[5]) {
		return FormatError("frame header of wrong length")
	}
	if content[0] != 8 {
		return UnsupportedError("not 8 bits a sample")
	}
	f.progressive = marker == markerSOF2
	f.height = int(content[1])<<8 | int(content[2])
	f.width = int(content[3])<<8 | int(content[4])
	if f.height == 0 {
		return UnsupportedError("height behind the picture")
	}
	if f.width == 0 {
		return FormatError("no width")
	}
	if err := f.readComponents(content[6:]); err != nil {
		return err
	}
	f.size = f.chooseSize(o)
	f.layOut()
	return nil
}

func (f *frame) readComponents(content []byte) error {
	count := len(content) / 3
	if count != 1 && count != 3 && count != 4 {
		return UnsupportedError("number of components")
	}
	f.components = make([]component, count)
	for i := range f.components {
		c := &f.components[i]
		c.id, c.h, c.v, c.quantID = content[3*i], int(content[3*i+1]>>4), int(content[3*i+1]&15), content[3*i+2]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quantID > 3 {
			return FormatError("bad component")
		}
		for _, other := range f.components[:i] {
			if other.id == c.id {
				return FormatError("a component twice")
			}
		}
		if count == 1 {
			c.h, c.v = 1, 1 // T.81 A.2.2: nothing is interleaved
		}
		f.h, f.v = max(f.h, c.h), max(f.v, c.v)
	}
	return nil
}

// chooseSize returns the smallest size that o allows.
func (f *frame) chooseSize(o Options) int {
	for size := 1; size < 8; size *= 2 {
		if width, height := f.scaled(size); width >= o.MinWidth && height >= o.MinHeight {
			return size
		}
	}
	return 8
}

// scaled returns the dimensions of the picture where blocks become size pixels on a side.
func (f *frame) scaled(size int) (width, height int) {
	return ceilDiv(f.width*size, 8), ceilDiv(f.height*size, 8)
}

// layOut works out the sizes of the components.
func (f *frame) layOut() {
	f.mcusX, f.mcusY = ceilDiv(f.width, 8*f.h), ceilDiv(f.height, 8*f.v)
	for i := range f.components {
		c := &f.components[i]
		c.size = f.size
		for c.size < 8 && f.h*f.size%(c.h*c.size*2) == 0 && f.v*f.size%(c.v*c.size*2) == 0 {
			c.size *= 2
		}
		c.keep = lastOfSize[c.size]
		c.blocksX, c.blocksY = ceilDiv(f.width*c.h, 8*f.h), ceilDiv(f.height*c.v, 8*f.v)
		c.wide = f.mcusX * c.h
		c.stride = c.wide * c.size
	}
}

// complete checks that each component has been received, at least roughly.
func (f *frame) complete() error {
	if f.components == nil {
		return FormatError("no frame")
	}
	for i := range f.components {
		if f.components[i].received[0] == 0 {
			return FormatError("a component is missing")
		}
	}
	return nil
}

func (c *component) allocatePixels(f *frame) {
	c.pixels = make([]byte, c.stride*f.mcusY*c.v*c.size)
}

func (c *component) allocateCoefficients(f *frame) {
	if c.coefs == nil {
		blocks := c.wide * f.mcusY * c.v
		c.coefs = make([]int16, blocks*(c.keep+1))
		c.nonzero = make([]uint64, blocks)
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
