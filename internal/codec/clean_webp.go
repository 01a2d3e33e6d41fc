package codec

import "encoding/binary"

// riffHeader is the size in bytes of a chunk's name and length. A chunk of odd length is followed by a zero byte.
const riffHeader = 8

// The flags of the extended header, RFC 9649 section 2.7.
const (
	webpAnimation = 1 << 1
	webpExif      = 1 << 3
	webpAlpha     = 1 << 4
	webpProfile   = 1 << 5
)

// webpCleaner knows what has been read of a WebP so far.
type webpCleaner struct {
	*cleaner
	extended      bool // there is an extended header
	claimed       [4]byte
	flags         byte // that the extended header should have
	hasAnimation  bool // there is an ANIM chunk
	still         webpStill
	beginsSmaller bool // the first frame does not fill the canvas
}

// webpStill is the picture, or a frame of an animation.
type webpStill struct {
	width, height int  // 0 if not announced
	hasAlpha      bool // an ALPH chunk
	done          bool
}

// clean reads the chunks up to the end of the RIFF container.
func (w *webpCleaner) clean() error {
	const header = riffHeader + 4
	p, err := w.peek(header)
	if err != nil {
		return err
	}
	length := binary.LittleEndian.Uint32(p[4:])
	if err := w.keep(header); err != nil {
		return err
	}
	if err := w.chunks(int64(length)-4, w.chunk); err != nil {
		return err
	}
	if w.info.Frames == 0 {
		return damaged("webp: no picture")
	}
	w.setLength(0, length)
	w.setFlags()
	return nil
}

// setLength corrects the length of the chunk that was written at a position and ends here.
func (w *webpCleaner) setLength(position int64, claimed uint32) {
	if length := uint32(w.position() - position - riffHeader); length != claimed {
		w.patch(position+4, binary.LittleEndian.AppendUint32(nil, length))
	}
}

// setFlags corrects the flags of the extended header.
func (w *webpCleaner) setFlags() {
	w.info.Alpha = w.flags&webpAlpha != 0 || w.beginsSmaller
	const position = 12 + riffHeader // it is the first chunk
	if truth := [4]byte{w.flags}; w.extended && w.claimed != truth {
		w.patch(position, truth[:])
	}
}

// chunks calls take for each chunk in the next length bytes. It reads the chunk without its padding.
func (w *webpCleaner) chunks(length int64, take func(name string, length int64) error) error {
	for length > 0 {
		if length < riffHeader {
			return damaged("webp: a truncated chunk")
		}
		p, err := w.peek(riffHeader)
		if err != nil {
			return err
		}
		name, inside := string(p[:4]), int64(binary.LittleEndian.Uint32(p[4:]))
		length -= riffHeader
		if inside > length {
			return damaged("webp: a chunk longer than its container")
		}
		if err := take(name, inside); err != nil {
			return err
		}
		length -= inside
		padding := min(inside&1, length) // some writers leave out the last one
		if err := w.pad(padding); err != nil {
			return err
		}
		length -= padding
	}
	return nil
}

// pad reads n bytes of padding and writes what is needed.
func (w *webpCleaner) pad(n int64) error {
	isOdd := w.position()%2 == 1
	if n > 0 {
		p, err := w.peek(1)
		if err != nil {
			return err
		}
		if isOdd && p[0] == 0 {
			return w.keep(n)
		}
		if err := w.drop(n); err != nil {
			return err
		}
	}
	if isOdd {
		return w.put([]byte{0})
	}
	return nil
}

// chunk reads a chunk of the file.
func (w *webpCleaner) chunk(name string, length int64) error {
	isFirst := w.info.Width == 0
	switch name {
	case "VP8X":
		if !isFirst || length != 10 {
			return damaged("webp: bad extended header")
		}
		return w.header()
	case "VP8 ", "VP8L":
		if isFirst || !w.isAnimated() {
			return w.picture(&w.still, name, length)
		}
		return damaged("webp: a still picture in an animation")
	}
	if isFirst {
		return damaged("webp: no header")
	}
	if !w.extended { // decoders heed no other chunk
		return w.drop(riffHeader + length)
	}
	return w.extra(name, length)
}

func (w *webpCleaner) isAnimated() bool { return w.flags&webpAnimation != 0 }

// extra reads a chunk that only a file with an extended header has.
func (w *webpCleaner) extra(name string, length int64) error {
	switch name {
	case "ANIM":
		if w.hasAnimation || !w.isAnimated() || length != 6 {
			return damaged("webp: bad animation")
		}
		w.hasAnimation = true
		return w.keep(riffHeader + length)
	case "ANMF":
		if !w.hasAnimation || length < webpFrameHeader {
			return damaged("webp: bad frame")
		}
		return w.animationFrame(length)
	case "ALPH":
		if !w.isAnimated() {
			return w.picture(&w.still, name, length)
		}
	case "ICCP":
		if w.flags&webpProfile == 0 && w.info.Frames == 0 {
			w.flags |= webpProfile
			return w.keep(riffHeader + length)
		}
	case "EXIF":
		return w.orient(length)
	}
	return w.drop(riffHeader + length)
}

// header reads the extended header.
func (w *webpCleaner) header() error {
	p, err := w.peek(riffHeader + 10)
	if err != nil {
		return err
	}
	p = p[riffHeader:]
	w.extended, w.claimed = true, [4]byte(p)
	w.flags = p[0] & webpAnimation
	w.still.width, w.still.height = uint24(p[4:])+1, uint24(p[7:])+1
	if err := w.canvas(w.still.width, w.still.height); err != nil {
		return err
	}
	return w.keep(riffHeader + 10)
}

// webpFrameHeader is the size in bytes of what an ANMF chunk says before the chunks in it.
const webpFrameHeader = 16

// animationFrame reads a frame of an animation.
func (w *webpCleaner) animationFrame(length int64) error {
	p, err := w.peek(riffHeader + webpFrameHeader)
	if err != nil {
		return err
	}
	p = p[riffHeader:]
	left, top := 2*uint24(p), 2*uint24(p[3:])
	still := webpStill{width: uint24(p[6:]) + 1, height: uint24(p[9:]) + 1}
	if err := w.frame(left, top, still.width, still.height); err != nil {
		return err
	}
	if w.info.Frames == 1 {
		w.beginsSmaller = still.width < w.info.Width || still.height < w.info.Height
	}
	position := w.position()
	if err := w.keep(riffHeader + webpFrameHeader); err != nil {
		return err
	}
	err = w.chunks(length-webpFrameHeader, func(name string, length int64) error {
		return w.picture(&still, name, length)
	})
	if err != nil {
		return err
	}
	if !still.done {
		return damaged("webp: an empty frame")
	}
	w.setLength(position, uint32(length))
	return nil
}

// picture reads a chunk of a picture: its transparency, its pixels, or something unknown.
func (w *webpCleaner) picture(s *webpStill, name string, length int64) error {
	switch name {
	case "ALPH":
		if s.done {
			return w.drop(riffHeader + length)
		}
		if s.hasAlpha || length == 0 {
			return damaged("webp: bad transparency")
		}
		s.hasAlpha = true
		w.flags |= webpAlpha
	case "VP8 ", "VP8L":
		if s.done {
			return damaged("webp: a second picture")
		}
		s.done = true
		if err := w.bitstream(s, name, length); err != nil {
			return err
		}
	default:
		return w.drop(riffHeader + length)
	}
	return w.keep(riffHeader + length)
}

// bitstream checks the header of a lossy or a lossless bitstream.
func (w *webpCleaner) bitstream(s *webpStill, name string, length int64) error {
	const longest = 10
	p, err := w.peek(riffHeader + int(min(length, longest)))
	if err != nil {
		return err
	}
	p = p[riffHeader:]
	var width, height int
	if name == "VP8 " {
		width, height, err = vp8Header(p, length)
	} else {
		width, height, err = w.losslessHeader(s, p)
	}
	if err != nil {
		return err
	}
	if s.width == 0 { // a file that is nothing but this
		s.width, s.height = width, height
		if err := w.canvas(width, height); err != nil {
			return err
		}
	}
	if width != s.width || height != s.height {
		return damaged("webp: a picture of another size than announced")
	}
	if !w.isAnimated() {
		return w.frame(0, 0, width, height)
	}
	return nil
}

// losslessHeader reads a header that says whether there is transparency, too.
func (w *webpCleaner) losslessHeader(s *webpStill, p []byte) (width, height int, err error) {
	width, height, alpha, err := vp8lHeader(p)
	if err == nil && s.hasAlpha {
		err = damaged("webp: transparency twice")
	}
	if alpha {
		w.flags |= webpAlpha
	}
	return width, height, err
}

// webpSide has the bits of a side.
const webpSide = 1<<14 - 1

// vp8Header reads the header of a key frame that has length bytes, RFC 6386 section 9.1.
func vp8Header(p []byte, length int64) (width, height int, err error) {
	const size = 10
	if length < size {
		return 0, 0, damaged("webp: short picture")
	}
	tag := uint24(p)
	isKeyFrame, firstPartition := tag&1 == 0, int64(tag>>5)
	if !isKeyFrame || string(p[3:6]) != "\x9d\x01\x2a" || size+firstPartition > length {
		return 0, 0, damaged("webp: bad picture header")
	}
	// The higher bits are for scaling.
	width = int(binary.LittleEndian.Uint16(p[6:])) & webpSide
	height = int(binary.LittleEndian.Uint16(p[8:])) & webpSide
	return width, height, nil
}

// vp8lHeader reads the header of a lossless picture, RFC 9649 section 3.4.
func vp8lHeader(p []byte) (width, height int, alpha bool, err error) {
	const size = 5
	if len(p) <= size {
		return 0, 0, false, damaged("webp: short picture")
	}
	bits := binary.LittleEndian.Uint32(p[1:])
	if version := bits >> 29; p[0] != 0x2f || version != 0 {
		return 0, 0, false, damaged("webp: bad picture header")
	}
	return int(bits&webpSide) + 1, int(bits>>14&webpSide) + 1, bits>>28&1 == 1, nil
}

// orient puts the orientation in the place of an Exif chunk.
func (w *webpCleaner) orient(length int64) error {
	p, err := w.peek(int(min(riffHeader+length, BufferSize)))
	if err != nil {
		return err
	}
	if w.exif(p[riffHeader:]) {
		w.flags |= webpExif
		err = w.put(webpExifChunk(w.info.Orientation))
	}
	if err != nil {
		return err
	}
	return w.drop(riffHeader + length)
}

func webpExifChunk(orientation int) []byte {
	block := orientationBlock(orientation)
	return append(binary.LittleEndian.AppendUint32([]byte("EXIF"), uint32(len(block))), block...)
}
