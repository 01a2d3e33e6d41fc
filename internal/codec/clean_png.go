package codec

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// Color types of PNG.
const (
	pngGray      = 0
	pngTrue      = 2
	pngPaletted  = 3
	pngGrayAlpha = 4
	pngTrueAlpha = 6
)

// pngDepths lists the allowed bits per sample of each color type.
var pngDepths = map[byte]string{
	pngGray:      "\x01\x02\x04\x08\x10",
	pngTrue:      "\x08\x10",
	pngPaletted:  "\x01\x02\x04\x08",
	pngGrayAlpha: "\x08\x10",
	pngTrueAlpha: "\x08\x10",
}

// pngHints are the chunks that say how the pixels are to be shown, with their longest content in bytes. All come once
// and before the pixels; decoders don't heed others.
var pngHints = map[string]int64{
	"gAMA": 4, "cHRM": 32, "sRGB": 1, "cICP": 4, "mDCV": 24, "cLLI": 8, // colours
	"iCCP": 4 << 20, // colour profile; those of printers have a megabyte
	"sBIT": 4, "bKGD": 6, "pHYs": 9, "hIST": 512,
}

// pngCleaner knows what has been read of a PNG so far.
type pngCleaner struct {
	*cleaner
	depth, colorType byte
	seen             map[string]bool // chunks that come once
	hasData          bool            // there are IDAT chunks, not all empty
	dataEnded        bool            // another chunk came after them
	ended            bool

	// Of an animation:
	frames   int    // announced; 0 if it is none
	sequence uint32 // number of the next fcTL or fdAT chunk
	awaited  bool   // the last fcTL has no data yet
	hasFrame bool   // an fcTL came after the pixels: fdAT may follow
}

// The signature that comes first, and the parts of a chunk beside its content, in bytes.
const (
	pngSignature   = 8
	pngChunkHeader = 8
	pngChunkSum    = 4
)

// clean reads the chunks up to IEND, with their checksums.
func (p *pngCleaner) clean() error {
	if err := p.keep(pngSignature); err != nil {
		return err
	}
	p.seen = map[string]bool{}
	for !p.ended {
		if err := p.chunk(); err != nil {
			return err
		}
	}
	return nil
}

// chunk reads a chunk.
func (p *pngCleaner) chunk() error {
	head, err := p.peek(pngChunkHeader)
	if err != nil {
		return err
	}
	length, name := int64(binary.BigEndian.Uint32(head)), string(head[4:])
	if length > 1<<31-1 {
		return damaged("png: chunk too long")
	}
	stays, err := p.take(name, length)
	if err != nil {
		return err
	}
	var sum uint32
	add := func(piece []byte) { sum = crc32.Update(sum, crc32.IEEETable, piece) }
	if err := p.pass(4, stays, nil); err != nil { // the length is not part of the sum
		return err
	}
	if err := p.pass(4+length, stays, add); err != nil {
		return err
	}
	tail, err := p.peek(pngChunkSum)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(tail) != sum {
		return damaged("png: wrong checksum")
	}
	return p.pass(pngChunkSum, stays, nil)
}

// take checks whether a chunk may come at this point, and reports whether it stays.
func (p *pngCleaner) take(name string, length int64) (stays bool, err error) {
	if !p.seen["IHDR"] && name != "IHDR" {
		if name == "CgBI" {
			return false, unsupported("png: for iOS only")
		}
		return false, damaged("png: no header")
	}
	if p.seen["IDAT"] && name != "IDAT" {
		p.dataEnded = true
	}
	switch name {
	case "IHDR":
		return true, p.header(length)
	case "PLTE":
		return true, p.palette(length)
	case "tRNS":
		return true, p.transparency(length)
	case "IDAT":
		return true, p.data(length)
	case "IEND":
		return true, p.end(length)
	case "acTL", "fcTL", "fdAT":
		return p.animation(name, length)
	case "eXIf":
		return false, p.orient(length)
	}
	if isCritical := name[0]&0x20 == 0; isCritical {
		return false, unsupported("png: unknown critical chunk")
	}
	longest, isHint := pngHints[name]
	stays = isHint && length <= longest && !p.seen[name] && !p.seen["IDAT"]
	p.seen[name] = true
	return stays, nil
}

// content returns the content of the chunk that comes next.
func (p *pngCleaner) content(length int64) ([]byte, error) {
	chunk, err := p.peek(pngChunkHeader + int(length))
	if err != nil {
		return nil, err
	}
	return chunk[pngChunkHeader:], nil
}

// once notes a chunk that comes only once, and before the pixels.
func (p *pngCleaner) once(name string) error {
	if p.seen[name] || p.seen["IDAT"] {
		return damaged("png: misplaced " + name)
	}
	p.seen[name] = true
	return nil
}

func (p *pngCleaner) header(length int64) error {
	if err := p.once("IHDR"); err != nil {
		return err
	}
	if length != 13 {
		return damaged("png: bad header")
	}
	h, err := p.content(length)
	if err != nil {
		return err
	}
	width, height := binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:])
	p.depth, p.colorType = h[8], h[9]
	compression, filter, interlace := h[10], h[11], h[12]
	switch {
	case width > 1<<31-1 || height > 1<<31-1,
		strings.IndexByte(pngDepths[p.colorType], p.depth) < 0,
		compression != 0, filter != 0, interlace > 1:
		return damaged("png: bad header")
	}
	p.info.Alpha = p.colorType == pngGrayAlpha || p.colorType == pngTrueAlpha
	return p.canvas(int(width), int(height))
}

func (p *pngCleaner) palette(length int64) error {
	if err := p.once("PLTE"); err != nil {
		return err
	}
	colors := int64(256)
	if p.colorType == pngPaletted {
		colors = 1 << p.depth
	}
	isGray := p.colorType == pngGray || p.colorType == pngGrayAlpha
	if isGray || p.seen["tRNS"] || length == 0 || length%3 != 0 || length/3 > colors {
		return damaged("png: bad palette")
	}
	return nil
}

func (p *pngCleaner) transparency(length int64) error {
	if err := p.once("tRNS"); err != nil {
		return err
	}
	p.info.Alpha = true
	switch p.colorType {
	case pngGray:
		if length == 2 {
			return nil
		}
	case pngTrue:
		if length == 6 {
			return nil
		}
	case pngPaletted:
		if p.seen["PLTE"] && length <= 256 {
			return nil
		}
	}
	return damaged("png: bad transparency")
}

func (p *pngCleaner) data(length int64) error {
	if p.colorType == pngPaletted && !p.seen["PLTE"] {
		return damaged("png: no palette")
	}
	if p.dataEnded {
		return damaged("png: data in two places")
	}
	p.seen["IDAT"] = true
	if length > 0 {
		p.hasData, p.awaited = true, false
	}
	return nil
}

func (p *pngCleaner) end(length int64) error {
	if !p.hasData || length > 0 {
		return damaged("png: bad end")
	}
	if p.awaited || p.frames != p.info.Frames {
		return damaged("png: missing frames")
	}
	p.info.Frames = max(p.info.Frames, 1)
	p.ended = true
	return nil
}

// animation reads a chunk of an animation. They mean nothing without an acTL before the pixels.
func (p *pngCleaner) animation(name string, length int64) (stays bool, err error) {
	switch {
	case name == "acTL" && !p.seen["IDAT"]:
		err = p.animationControl(length)
	case p.frames == 0:
		return false, nil
	case name == "fcTL":
		err = p.frameControl(length)
	case name == "fdAT":
		err = p.frameData(length)
	default:
		return false, nil
	}
	return true, err
}

func (p *pngCleaner) animationControl(length int64) error {
	if err := p.once("acTL"); err != nil {
		return err
	}
	if length != 8 {
		return damaged("png: bad animation")
	}
	content, err := p.content(length)
	if err != nil {
		return err
	}
	frames := binary.BigEndian.Uint32(content)
	if frames == 0 {
		return damaged("png: an animation without frames")
	}
	if int64(frames) > int64(p.budget.limits.Frames) {
		return tooMany("frames")
	}
	p.frames = int(frames)
	return nil
}

// frameControl reads the place of a frame. One before the pixels makes them the first frame.
func (p *pngCleaner) frameControl(length int64) error {
	if p.awaited || length != 26 {
		return damaged("png: bad frame")
	}
	content, err := p.content(length)
	if err != nil {
		return err
	}
	if err := p.next(content); err != nil {
		return err
	}
	var box [4]int // width, height, left, top
	for i := range box {
		side := binary.BigEndian.Uint32(content[4+4*i:])
		if side > 1<<31-1 {
			return damaged("png: bad frame")
		}
		box[i] = int(side)
	}
	if !p.seen["IDAT"] && box != [4]int{p.info.Width, p.info.Height, 0, 0} {
		return damaged("png: the first frame is not as large as the picture")
	}
	if dispose, blend := content[24], content[25]; dispose > 2 || blend > 1 {
		return damaged("png: bad frame")
	}
	p.awaited, p.hasFrame = true, p.seen["IDAT"]
	return p.frame(box[2], box[3], box[0], box[1])
}

// frameData reads data of the last frame.
func (p *pngCleaner) frameData(length int64) error {
	const sequenceNumber = 4
	if !p.hasFrame || length <= sequenceNumber {
		return damaged("png: misplaced frame data")
	}
	content, err := p.content(sequenceNumber)
	if err != nil {
		return err
	}
	p.awaited = false
	return p.next(content)
}

// next checks the sequence number that a chunk of an animation begins with.
func (p *pngCleaner) next(content []byte) error {
	if binary.BigEndian.Uint32(content) != p.sequence {
		return damaged("png: frames out of order")
	}
	p.sequence++
	return nil
}

// orient puts the orientation in the place of an Exif chunk.
func (p *pngCleaner) orient(length int64) error {
	block, err := p.content(min(length, BufferSize-pngChunkHeader))
	if err != nil || !p.exif(block) {
		return err
	}
	return p.put(pngChunk("eXIf", orientationBlock(p.info.Orientation)))
}

func pngChunk(name, content string) []byte {
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	chunk = append(chunk, name...)
	chunk = append(chunk, content...)
	return binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
}
