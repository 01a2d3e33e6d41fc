package image

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// pngPaletted is the color type of pictures with a palette.
const pngPaletted = 3

// pngDepths lists the allowed bits per sample of each color type.
var pngDepths = map[byte]string{
	0:           "\x01\x02\x04\x08\x10",
	2:           "\x08\x10",
	pngPaletted: "\x01\x02\x04\x08",
	4:           "\x08\x10",
	6:           "\x08\x10",
}

// inspectPNG checks the chunks up to IEND, with their checksums.
func inspectPNG(s *scanner) (dimensions, error) {
	png, err := s.pngHeader()
	if err != nil {
		return dimensions{}, err
	}
	if err := png.size.check(); err != nil {
		return dimensions{}, err
	}
	for !png.ended {
		name, length, err := s.pngChunk()
		if err != nil {
			return dimensions{}, err
		}
		if err := png.take(name, length); err != nil {
			return dimensions{}, err
		}
	}
	return png.size, nil
}

// pngState is what has been read of a PNG so far.
type pngState struct {
	size                       dimensions
	depth                      byte
	paletted                   bool
	hasPalette, hasData, ended bool
}

// take checks whether a chunk may come at this point.
func (p *pngState) take(name string, length int64) error {
	switch name {
	case "IHDR":
		return damaged("png: a second header")
	case "PLTE":
		if p.paletted && (p.hasPalette || length == 0 || length%3 != 0 || length > 3<<p.depth) {
			return damaged("png: bad palette")
		}
		p.hasPalette = true
	case "tRNS":
		if p.paletted && (!p.hasPalette || length > 256) {
			return damaged("png: bad transparency")
		}
	case "IDAT":
		if p.paletted && !p.hasPalette {
			return damaged("png: no palette")
		}
		p.hasData = p.hasData || length > 0
	case "IEND":
		if !p.hasData || length > 0 {
			return damaged("png: bad end")
		}
		p.ended = true
	}
	return nil
}

// pngHeader reads the signature and the IHDR chunk.
func (s *scanner) pngHeader() (pngState, error) {
	const signature, chunk = 8, 4 + 4 + 13
	p, err := s.Peek(signature + chunk)
	if err != nil {
		return pngState{}, cutOff(err)
	}
	p = p[signature:]
	if string(p[:8]) != "\x00\x00\x00\x0dIHDR" {
		return pngState{}, damaged("png: no header")
	}
	p = p[8:]
	width, height, depth, colorType := binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:]), p[8], p[9]
	compression, filter, interlace := p[10], p[11], p[12]
	switch {
	case width > 1<<31-1 || height > 1<<31-1,
		strings.IndexByte(pngDepths[colorType], depth) < 0,
		compression != 0, filter != 0, interlace > 1:
		return pngState{}, damaged("png: bad header")
	}
	if err := s.skip(signature); err != nil {
		return pngState{}, err
	}
	_, _, err = s.pngChunk() // for its checksum
	return pngState{
		size:     dimensions{int(width), int(height)},
		depth:    depth,
		paletted: colorType == pngPaletted,
	}, err
}

// pngChunk skips a chunk and checks its checksum.
func (s *scanner) pngChunk() (name string, length int64, err error) {
	p, err := s.next(8)
	if err != nil {
		return "", 0, err
	}
	length = int64(binary.BigEndian.Uint32(p))
	name = string(p[4:])
	if length > 1<<31-1 {
		return "", 0, damaged("png: chunk too long")
	}
	sum := crc32.ChecksumIEEE(p[4:])
	for left := length; left > 0; {
		piece, err := s.piece(left)
		if err != nil {
			return "", 0, err
		}
		sum = crc32.Update(sum, crc32.IEEETable, piece)
		left -= int64(len(piece))
	}
	if p, err = s.next(4); err != nil {
		return "", 0, err
	}
	if binary.BigEndian.Uint32(p) != sum {
		return "", 0, damaged("png: wrong checksum")
	}
	return name, length, nil
}
