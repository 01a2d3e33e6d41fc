package corpus

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
)

// Markers of JPEG, from ISO/IEC 10918-1 table B.1.
const (
	markerTEM  = 0x01
	markerSOF0 = 0xc0 // baseline
	markerSOF1 = 0xc1 // extended
	markerSOF2 = 0xc2 // progressive
	markerDHT  = 0xc4
	markerDAC  = 0xcc
	markerRST0 = 0xd0
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerDQT  = 0xdb
	markerDNL  = 0xdc
	markerDRI  = 0xdd
	markerAPP0 = 0xe0
	markerAPP1 = 0xe1
	markerAPP2 = 0xe2
	markerCOM  = 0xfe

	markerAPP12 = 0xec
	markerAPP13 = 0xed
	markerAPP14 = 0xee
)

var (
	jpegMagic = []byte{0xff, markerSOI}
	jpegEnd   = []byte{0xff, markerEOI}
)

// segment is a marker with a length and a content.
func segment(marker byte, content ...[]byte) []byte {
	body := join(content...)
	return join([]byte{0xff, marker}, be16(len(body)+2), body)
}

// baseline is an ordinary photograph.
func baseline() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, paint(width, height), nil); err != nil {
		panic(err) // a buffer takes all
	}
	return b.Bytes()
}

// withSegments puts segments behind the beginning of the ordinary photograph.
func withSegments(segments ...[]byte) []byte {
	return join(jpegMagic, join(segments...), baseline()[2:])
}

// segments takes the ordinary photograph to pieces.
func segments() []part {
	data := baseline()
	names := map[byte]string{markerDQT: "dqt", markerSOF0: "sof", markerDHT: "dht", markerSOS: "sos"}
	parts := []part{{"soi", data[:2]}}
	for at := 2; ; {
		marker, length := data[at+1], 2+int(binary.BigEndian.Uint16(data[at+2:]))
		parts = append(parts, part{names[marker], data[at : at+length]})
		at += length
		if marker == markerSOS {
			end := len(data) - 2
			return append(parts, part{"scan", data[at:end]}, part{"eoi", data[end:]})
		}
	}
}

// without returns the ordinary photograph without its segments of a name, or with others in their place.
func without(name string, instead ...[]byte) []byte {
	var b []byte
	for _, p := range segments() {
		if p.name == name {
			b = append(b, join(instead...)...)
			instead = nil
		} else {
			b = append(b, p.data...)
		}
	}
	return b
}

// component is a colour of a JPEG.
type component struct {
	id       byte
	sampling byte // horizontally and vertically, in four bits each
}

var (
	gray  = []component{{1, 0x11}}
	ycbcr = []component{{1, 0x11}, {2, 0x11}, {3, 0x11}}
)

// flatJPEG is a JPEG of one colour. Each of its Huffman tables has a single code, one bit long, which says that
// nothing differs from what was before, so that a block takes two bits.
type flatJPEG struct {
	frame         byte // the marker of its header; 0 is baseline
	precision     byte // bits a sample; 0 is 8
	width, height int
	components    []component
	restart       int  // blocks between restart markers; 0 is no restarts
	wideTables    bool // quantization tables of 16 bits
	separate      bool // a scan for each component
	scans         []byte
}

func (f flatJPEG) header() []byte {
	content := join([]byte{max(f.precision, 8)}, be16(f.height), be16(f.width), []byte{byte(len(f.components))})
	for _, c := range f.components {
		content = append(content, c.id, c.sampling, 0)
	}
	return segment(max(f.frame, markerSOF0), content)
}

func (f flatJPEG) tables() []byte {
	quantization := append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)
	if f.wideTables {
		quantization = append([]byte{0x10}, bytes.Repeat([]byte{1, 0}, 64)...)
	}
	return join(segment(markerDQT, quantization), flatHuffman(0x00), flatHuffman(0x10))
}

// flatHuffman is a table whose only code is the bit 0, which means 0.
func flatHuffman(destination byte) []byte {
	return segment(markerDHT, []byte{destination, 1}, make([]byte, 15+1))
}

// scan is a scan of some components, with their data.
func (f flatJPEG) scan(components []component, blocks int) []byte {
	content := []byte{byte(len(components))}
	for _, c := range components {
		content = append(content, c.id, 0)
	}
	end := byte(63)
	if f.frame == markerSOF2 {
		end = 0 // only the first coefficient
	}
	content = append(content, 0, end, 0)
	bits := 2 * blocks
	if f.frame == markerSOF2 {
		bits = blocks
	}
	return join(segment(markerSOS, content), flatData(bits))
}

// flatData is as many zero bits, filled up with ones.
func flatData(bits int) []byte {
	b := make([]byte, (bits+7)/8)
	if rest := bits % 8; rest > 0 {
		b[len(b)-1] = 0xff >> rest
	}
	return b
}

// blocks is how many units of coding there are, and how many blocks are in one.
func (f flatJPEG) blocks() (units, blocksOfUnit int) {
	horizontal, vertical := 1, 1
	for _, c := range f.components {
		horizontal, vertical = max(horizontal, int(c.sampling>>4)), max(vertical, int(c.sampling&15))
		blocksOfUnit += int(c.sampling>>4) * int(c.sampling&15)
	}
	if len(f.components) == 1 {
		horizontal, vertical, blocksOfUnit = 1, 1, 1
	}
	across := (f.width + 8*horizontal - 1) / (8 * horizontal)
	down := (f.height + 8*vertical - 1) / (8 * vertical)
	return across * down, blocksOfUnit
}

func (f flatJPEG) encode() []byte {
	units, blocks := f.blocks()
	b := join(jpegMagic, f.tables(), f.header())
	switch {
	case f.restart > 0:
		b = join(b, segment(markerDRI, be16(f.restart)), f.scan(f.components, f.restart*blocks))
		for i := 0; (i+1)*f.restart < units; i++ {
			left := min(f.restart, units-(i+1)*f.restart)
			b = join(b, []byte{0xff, markerRST0 + byte(i%8)}, flatData(2*left*blocks))
		}
	case f.separate:
		for _, c := range f.components {
			b = append(b, f.scan([]component{c}, units)...)
		}
	default:
		b = append(b, f.scan(f.components, units*blocks)...)
	}
	return join(b, f.scans, jpegEnd)
}

// flat is a JPEG of one colour and the usual size.
func flat(components ...component) flatJPEG {
	return flatJPEG{width: width, height: height, components: components}
}

func grayJPEG() []byte {
	m := image.NewGray(image.Rect(0, 0, 9, 7))
	m.SetGray(4, 4, color.Gray{Y: 200})
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err) // a buffer takes all
	}
	return b.Bytes()
}

// refinement is a scan of a progressive picture that says nothing new about one coefficient.
func refinement(blocks int, coefficient byte) []byte {
	return join(segment(markerSOS, []byte{1, 1, 0, coefficient, coefficient, 0}), flatData(blocks))
}

// partOf returns the first segment of a name of the ordinary photograph.
func partOf(name string) []byte {
	for _, p := range segments() {
		if p.name == name {
			return p.data
		}
	}
	panic("there is no segment " + name)
}

// upTo returns the ordinary photograph up to its first segment of a name.
func upTo(name string) []byte {
	var b []byte
	for _, p := range segments() {
		if p.name == name {
			break
		}
		b = append(b, p.data...)
	}
	return b
}

// withoutAdobe leaves out the segment that says how colours are coded.
func withoutAdobe(data []byte) []byte {
	at := bytes.Index(data, []byte{0xff, markerAPP14})
	return join(data[:at], data[at+2+int(binary.BigEndian.Uint16(data[at+2:])):])
}

// encodeHeader returns only the beginning of the picture, with the further scans as data.
func (f flatJPEG) encodeHeader() []byte {
	return join(jpegMagic, f.tables(), f.header(), f.scan(f.components, 0), f.scans, jpegEnd)
}

// iccSegments are a profile in pieces, as in the appendix B of the profiles' specification.
func iccSegments(pieces ...[]byte) []byte {
	var b []byte
	for i, piece := range pieces {
		b = append(b, segment(markerAPP2, []byte("ICC_PROFILE\x00"), []byte{byte(i + 1), byte(len(pieces))}, piece)...)
	}
	return b
}

func exifSegment(exif []byte) []byte { return segment(markerAPP1, []byte("Exif\x00\x00"), exif) }

func xmpSegment(packet []byte) []byte {
	return segment(markerAPP1, []byte("http://ns.adobe.com/xap/1.0/\x00"), packet)
}

// multiPicture is a picture with another behind it, as CIPA DC-007 describes.
func multiPicture() []byte {
	second := join(jpegMagic, segment(markerCOM, []byte("SecretSecond")), baseline()[2:])
	directory := tiff(binary.BigEndian, opaque(0xb000, kindUndefined, "0100"), tag{id: 0xb001, kind: kindLong, count: 1, value: be32(2)})
	return join(withSegments(segment(markerAPP2, []byte("MPF\x00"), directory)), second)
}
