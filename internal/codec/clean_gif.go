package codec

import "encoding/binary"

// The block types of a GIF.
const (
	gifExtension = 0x21
	gifFrame     = 0x2c
	gifTrailer   = 0x3b
)

// The labels of extensions that matter.
const (
	gifGraphicControl = 0xf9
	gifApplication    = 0xff
)

type gifCleaner struct {
	*cleaner
	hasColors    bool   // there is a color table for all frames
	control      []byte // a graphic control extension that waits for its frame; empty if none does
	controlStays bool   // the control stays already
}

// clean reads the blocks up to the trailer.
func (g *gifCleaner) clean() error {
	if err := g.screen(); err != nil {
		return err
	}
	for {
		p, err := g.peek(1)
		if err != nil {
			return err
		}
		switch p[0] {
		case gifExtension:
			err = g.extension()
		case gifFrame:
			err = g.picture()
		case gifTrailer:
			if g.info.Frames == 0 {
				return damaged("gif: no picture")
			}
			return g.keep(1)
		default:
			err = damaged("gif: unknown block")
		}
		if err != nil {
			return err
		}
	}
}

// screen reads the header and the logical screen with its color table.
func (g *gifCleaner) screen() error {
	const size = 13
	p, err := g.peek(size)
	if err != nil {
		return err
	}
	colors := gifColorTable(p[10])
	g.hasColors = colors > 0
	if err := g.canvas(gifSides(p[6:])); err != nil {
		return err
	}
	return g.keep(int64(size + colors))
}

// gifColorTable returns the size in bytes of the color table that the flags announce.
func gifColorTable(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// gifSides reads two numbers.
func gifSides(p []byte) (x, y int) {
	return int(binary.LittleEndian.Uint16(p)), int(binary.LittleEndian.Uint16(p[2:]))
}

// extension keeps the extensions that matter for showing the frames.
func (g *gifCleaner) extension() error {
	p, err := g.peek(2)
	if err != nil {
		return err
	}
	switch p[1] {
	case gifGraphicControl:
		return g.graphicControl()
	case gifApplication:
		return g.application()
	}
	return g.blocks(2, false)
}

// graphicControl reads the extension that says how the next frame is shown. Something else may stand between the two:
// even a plain text, which should use it up, but no decoder does.
func (g *gifCleaner) graphicControl() error {
	const size = 8
	p, err := g.peek(size + 1)
	if err != nil {
		return err
	}
	if p[2] != 4 || p[size-1] != 0 {
		return damaged("gif: bad graphic control")
	}
	g.control = append(g.control[:0], p[:size]...)
	if p[size] == gifFrame {
		g.controlStays = true
		return g.keep(size)
	}
	return g.drop(size)
}

// application keeps a colour profile and how often the animation runs.
func (g *gifCleaner) application() error {
	const header, loop = 14, 4 // up to the identifier; the block with the count
	p, err := g.peek(header + loop)
	if err != nil {
		return err
	}
	if p[2] != 11 {
		return g.blocks(2, false)
	}
	switch name := string(p[3:header]); {
	case name == "ICCRGBG1012":
		return g.blocks(header, true)
	case (name == "NETSCAPE2.0" || name == "ANIMEXTS1.0") && p[header] == loop-1 && p[header+1] == 1:
		if err := g.put(append(p[:header+loop:header+loop], 0)); err != nil {
			return err
		}
	}
	return g.blocks(header, false)
}

// picture reads a frame. What controls it goes before it.
func (g *gifCleaner) picture() error {
	const header = 10
	p, err := g.peek(header)
	if err != nil {
		return err
	}
	left, top := gifSides(p[1:])
	width, height := gifSides(p[5:])
	colors := gifColorTable(p[9])
	if colors == 0 && !g.hasColors {
		return damaged("gif: no color table")
	}
	if err := g.frame(left, top, width, height); err != nil {
		return err
	}
	if g.info.Frames == 1 && (width < g.info.Width || height < g.info.Height) {
		g.info.Alpha = true
	}
	if err := g.putControl(); err != nil {
		return err
	}
	if err := g.keep(int64(header + colors)); err != nil {
		return err
	}
	return g.data()
}

// putControl writes what controls the next frame, unless it is there already.
func (g *gifCleaner) putControl() error {
	if len(g.control) == 0 {
		return nil
	}
	const flags, isTransparent = 3, 1
	if g.control[flags]&isTransparent != 0 {
		g.info.Alpha = true
	}
	control := g.control
	g.control = g.control[:0]
	if g.controlStays {
		g.controlStays = false
		return nil
	}
	return g.put(control)
}

// data reads the pixels of a frame.
func (g *gifCleaner) data() error {
	p, err := g.peek(2)
	if err != nil {
		return err
	}
	if codeSize := p[0]; codeSize < 2 || codeSize > 8 {
		return damaged("gif: bad code size")
	}
	if p[1] == 0 {
		return damaged("gif: an empty frame")
	}
	return g.blocks(1, true)
}

// blocks reads a header, then data blocks up to and including the empty one that ends them.
func (g *gifCleaner) blocks(header int64, stay bool) error {
	if err := g.pass(header, stay, nil); err != nil {
		return err
	}
	for {
		p, err := g.peek(1)
		if err != nil {
			return err
		}
		length := p[0]
		if err := g.pass(1+int64(length), stay, nil); err != nil || length == 0 {
			return err
		}
	}
}
