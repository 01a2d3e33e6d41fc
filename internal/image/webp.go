package image

import "encoding/binary"

// inspectWebP checks the chunks up to the end of the RIFF container.
func inspectWebP(s *scanner) (dimensions, error) {
	p, err := s.next(12)
	if err != nil {
		return dimensions{}, err
	}
	length := int64(binary.LittleEndian.Uint32(p[4:])) - 4
	var w webp
	if err := s.riffChunks(length, w.takeChunk); err != nil {
		return dimensions{}, err
	}
	if w.frames == 0 {
		return dimensions{}, damaged("webp: no picture")
	}
	return w.canvas, nil
}

// webp is what has been read of a WebP picture so far.
type webp struct {
	canvas   dimensions
	animated bool // the frames are in chunks of their own
	frames   int
}

// riffChunks calls take for each chunk in the next length bytes. take may read from the chunk's
// beginning and returns how many bytes it read.
func (s *scanner) riffChunks(length int64, take func(s *scanner, name string, length int64) (read int64, err error)) error {
	for length > 0 {
		if length < 8 {
			return damaged("webp: a truncated chunk")
		}
		p, err := s.next(8)
		if err != nil {
			return err
		}
		name, inside := string(p[:4]), int64(binary.LittleEndian.Uint32(p[4:]))
		length -= 8
		if inside > length {
			return damaged("webp: a chunk longer than its container")
		}
		read, err := take(s, name, inside)
		if err != nil {
			return err
		}
		padded := min(inside+inside&1, length) // some writers leave out the last padding
		if err := s.skip(padded - read); err != nil {
			return err
		}
		length -= padded
	}
	return nil
}

func (w *webp) takeChunk(s *scanner, name string, length int64) (read int64, err error) {
	first := w.canvas == dimensions{}
	switch name {
	case "VP8X":
		if !first || length != 10 {
			return 0, damaged("webp: bad extended header")
		}
		return 10, w.takeHeader(s)
	case "ANMF":
		if !w.animated || length < 16 {
			return 0, damaged("webp: bad frame")
		}
		return length, w.takeFrame(s, length)
	case "VP8 ", "VP8L":
		size, read, err := s.webpBitstream(name, length)
		if err != nil {
			return 0, err
		}
		if first {
			w.canvas = size
		}
		if w.animated || w.frames > 0 || size != w.canvas {
			return 0, damaged("webp: bad picture")
		}
		w.frames++
		return read, size.check()
	}
	if first {
		return 0, damaged("webp: no header")
	}
	return 0, nil
}

// takeHeader reads the extended header.
func (w *webp) takeHeader(s *scanner) error {
	p, err := s.next(10)
	if err != nil {
		return err
	}
	const animation = 1 << 1
	w.animated = p[0]&animation != 0
	w.canvas = dimensions{uint24(p[4:]) + 1, uint24(p[7:]) + 1}
	return w.canvas.check()
}

// takeFrame reads a frame of an animation. It contains chunks itself, and must be within the canvas.
func (w *webp) takeFrame(s *scanner, length int64) error {
	p, err := s.next(16)
	if err != nil {
		return err
	}
	left, top := 2*uint24(p), 2*uint24(p[3:])
	frame := webp{canvas: dimensions{uint24(p[6:]) + 1, uint24(p[9:]) + 1}}
	if left+frame.canvas.width > w.canvas.width || top+frame.canvas.height > w.canvas.height {
		return damaged("webp: a frame outside of the canvas")
	}
	if err := s.riffChunks(length-16, frame.takeChunk); err != nil {
		return err
	}
	if frame.frames == 0 {
		return damaged("webp: an empty frame")
	}
	w.frames++
	return nil
}

// webpBitstream reads the header of a lossy or a lossless bitstream.
func (s *scanner) webpBitstream(name string, length int64) (size dimensions, read int64, err error) {
	if name == "VP8L" {
		return s.vp8lHeader(length)
	}
	return s.vp8Header(length)
}

// vp8Header reads the header of a key frame, RFC 6386 section 9.1.
func (s *scanner) vp8Header(length int64) (size dimensions, read int64, err error) {
	const headerSize = 10
	if length < headerSize {
		return size, 0, damaged("webp: short picture")
	}
	p, err := s.next(headerSize)
	if err != nil {
		return size, 0, err
	}
	tag := uint24(p)
	isKeyFrame, firstPartition := tag&1 == 0, int64(tag>>5)
	if !isKeyFrame || string(p[3:6]) != "\x9d\x01\x2a" || headerSize+firstPartition > length {
		return size, 0, damaged("webp: bad picture header")
	}
	const sizeBits = 1<<14 - 1 // the higher bits are for scaling
	size = dimensions{
		width:  int(binary.LittleEndian.Uint16(p[6:])) & sizeBits,
		height: int(binary.LittleEndian.Uint16(p[8:])) & sizeBits,
	}
	return size, headerSize, nil
}

// vp8lHeader reads the header of a lossless picture, RFC 9649 section 3.4.
func (s *scanner) vp8lHeader(length int64) (size dimensions, read int64, err error) {
	const headerSize = 5
	if length <= headerSize {
		return size, 0, damaged("webp: short picture")
	}
	p, err := s.next(headerSize)
	if err != nil {
		return size, 0, err
	}
	bits := binary.LittleEndian.Uint32(p[1:])
	if version := bits >> 29; p[0] != 0x2f || version != 0 {
		return size, 0, damaged("webp: bad picture header")
	}
	const sizeBits = 1<<14 - 1
	return dimensions{int(bits&sizeBits) + 1, int(bits>>14&sizeBits) + 1}, headerSize, nil
}

// uint24 reads three bytes, the least significant first.
func uint24(p []byte) int {
	return int(p[0]) | int(p[1])<<8 | int(p[2])<<16
}
