package image

import "encoding/binary"

// The block types of a GIF.
const (
	gifExtension = 0x21
	gifFrame     = 0x2c
	gifTrailer   = 0x3b
)

// inspectGIF checks the blocks up to the trailer.
func inspectGIF(s *scanner) (dimensions, error) {
	size, err := s.gifScreen()
	if err != nil {
		return size, err
	}
	if err := size.check(); err != nil {
		return size, err
	}
	for frames := 0; ; {
		block, err := s.readByte()
		if err != nil {
			return size, err
		}
		switch block {
		case gifExtension:
			err = s.gifExtension()
		case gifFrame:
			frames++
			err = s.gifFrame(size)
		case gifTrailer:
			if frames == 0 {
				err = damaged("gif: no picture")
			}
			return size, err
		default:
			err = damaged("gif: unknown block")
		}
		if err != nil {
			return size, err
		}
	}
}

// gifScreen reads the header and the logical screen with its color table.
func (s *scanner) gifScreen() (dimensions, error) {
	p, err := s.next(13)
	if err != nil {
		return dimensions{}, err
	}
	size := dimensions{
		width:  int(binary.LittleEndian.Uint16(p[6:])),
		height: int(binary.LittleEndian.Uint16(p[8:])),
	}
	return size, s.skip(gifColorTable(p[10]))
}

// gifColorTable returns the size in bytes of the color table that the flags announce.
func gifColorTable(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

func (s *scanner) gifExtension() error {
	if err := s.skip(1); err != nil { // label
		return err
	}
	_, err := s.gifData()
	return err
}

// gifFrame skips a frame, which must be within the screen.
func (s *scanner) gifFrame(screen dimensions) error {
	p, err := s.next(9)
	if err != nil {
		return err
	}
	left, top := int(binary.LittleEndian.Uint16(p)), int(binary.LittleEndian.Uint16(p[2:]))
	width, height := int(binary.LittleEndian.Uint16(p[4:])), int(binary.LittleEndian.Uint16(p[6:]))
	if left+width > screen.width || top+height > screen.height {
		return damaged("gif: a frame outside of the screen")
	}
	if err := s.skip(gifColorTable(p[8])); err != nil {
		return err
	}
	codeSize, err := s.readByte()
	if err != nil {
		return err
	}
	if codeSize < 2 || codeSize > 8 {
		return damaged("gif: bad code size")
	}
	length, err := s.gifData()
	if err == nil && length == 0 {
		return damaged("gif: an empty frame")
	}
	return err
}

// gifData skips data blocks, up to and including the empty one that ends them.
func (s *scanner) gifData() (length int64, err error) {
	for {
		n, err := s.readByte()
		if err != nil || n == 0 {
			return length, err
		}
		if err := s.skip(int64(n)); err != nil {
			return length, err
		}
		length += int64(n)
	}
}
