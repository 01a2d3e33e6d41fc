// Package jpeg decodes JPEG pictures (ITU T.81), at full size or at a half, a quarter or an eighth of it.
//
// Reduced sizes are what thumbnails are made from. They cost a fraction of a full decode: a block of 8x8 pixels
// becomes 4x4, 2x2 or one, and the coefficients that would only add detail are passed over. They are still read,
// so a damaged picture is refused at every size.
//
// The decoder is strict. Each block of each scan must be there and be decodable, and what contradicts the standard
// is refused; only stray bytes in front of a marker are forgiven. Memory is bounded by the dimensions at the size
// that is asked for; the caller checks the dimensions, and the decoder does not read past the end of the picture
// by more than its buffer.
package jpeg

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"io"
)

// FormatError says what is wrong with a picture that is damaged or no JPEG at all.
type FormatError string

func (e FormatError) Error() string { return "jpeg: damaged: " + string(e) }

// UnsupportedError says which part of the standard a picture uses that this package does not decode.
type UnsupportedError string

func (e UnsupportedError) Error() string { return "jpeg: unsupported: " + string(e) }

// Options choose the size that a picture is decoded at: the smallest of 1/1, 1/2, 1/4 and 1/8 whose sides are not
// below these, in pixels as stored, before any orientation. A picture that is smaller than that is decoded at 1/1.
// Zeros ask for 1/8.
type Options struct{ MinWidth, MinHeight int }

// readSize is how many bytes are read from the source at once.
const readSize = 32 << 10

// Decode reads a picture up to its end marker. Gray pictures are returned as *image.Gray, color as *image.YCbCr or,
// where it is stored as such, *image.RGBA or *image.CMYK. Sides of a reduced size are rounded up.
//
// Errors are FormatError, UnsupportedError, or those of r.
func Decode(r io.Reader, o Options) (image.Image, error) {
	d := &decoder{options: o, src: bufio.NewReaderSize(r, readSize)}
	d.bits.src = d.src
	if err := d.decode(); err != nil {
		return nil, err
	}
	return d.picture()
}

// Markers, from T.81 table B.1.
const (
	markerTEM   = 0x01
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDNL   = 0xdc
	markerDRI   = 0xdd
	markerDHP   = 0xde
	markerEXP   = 0xdf
	markerAPP0  = 0xe0
	markerAPP14 = 0xee
	markerAPP15 = 0xef
	markerCOM   = 0xfe
)

// decoder is the state of one decoding: what the segments so far have defined.
type decoder struct {
	options Options
	src     *bufio.Reader
	bits    bitReader
	frame   frame
	quant   [4]*[64]int32 // in zigzag order
	dc, ac  [4]*table
	restart int // MCUs between restart markers; 0 is none
	scans   int
	pending byte // the marker that the last scan ended with; 0 if it has been seen to
	colors  colors
	block   [64]int32 // the coefficients of the current block, in natural order
}

// decode reads the segments and scans up to the end of the picture.
func (d *decoder) decode() error {
	var soi [2]byte
	if _, err := io.ReadFull(d.src, soi[:]); err != nil {
		return readError(err)
	}
	if soi[0] != 0xff || soi[1] != markerSOI {
		return FormatError("no start of image")
	}
	for {
		marker, err := d.nextMarker()
		if err != nil {
			return err
		}
		if marker == markerEOI {
			return d.frame.complete()
		}
		if err := d.segment(marker); err != nil {
			return err
		}
	}
}

// nextMarker returns the next marker that is followed by a segment, or the end of the picture. It passes over stray
// bytes.
func (d *decoder) nextMarker() (marker byte, err error) {
	marker, d.pending = d.pending, 0
	for marker == 0 || marker == markerTEM || marker >= markerRST0 && marker <= markerRST7 {
		_, err := d.src.ReadSlice(0xff)
		if errors.Is(err, bufio.ErrBufferFull) {
			marker = 0
			continue
		}
		if err != nil {
			return 0, readError(err)
		}
		if marker, err = markerCode(d.src); err != nil {
			return 0, err
		}
	}
	return marker, nil
}

// markerCode returns what follows a byte 0xff and any more of them, which are padding: a marker, or 0 where 0xff was
// plain data.
func markerCode(src *bufio.Reader) (byte, error) {
	for {
		c, err := src.ReadByte()
		if err != nil || c != 0xff {
			return c, readError(err)
		}
	}
}

// segment reads the segment of a marker and, after the header of a scan, its data.
func (d *decoder) segment(marker byte) error {
	if err := supported(marker); err != nil {
		return err
	}
	var head [2]byte
	if _, err := io.ReadFull(d.src, head[:]); err != nil {
		return readError(err)
	}
	length := int(head[0])<<8 | int(head[1]) - 2
	if length < 0 {
		return FormatError("short segment")
	}
	if isComment(marker) {
		_, err := d.src.Discard(length)
		return readError(err)
	}
	content := make([]byte, length)
	if _, err := io.ReadFull(d.src, content); err != nil {
		return readError(err)
	}
	switch marker {
	case markerDQT:
		return d.defineQuantization(content)
	case markerDHT:
		return d.defineHuffman(content)
	case markerDRI:
		return d.defineRestart(content)
	case markerAPP0:
		return d.colors.readJFIF(content)
	case markerAPP14:
		return d.colors.readAdobe(content)
	case markerSOS:
		return d.readScan(content)
	}
	return d.frame.read(marker, content, d.options)
}

// supported refuses the markers of what is not decoded, and those that have no place between segments.
func supported(marker byte) error {
	switch marker {
	case markerSOF0, markerSOF1, markerSOF2, markerDHT, markerSOS, markerDQT, markerDRI, markerAPP0, markerAPP14:
		return nil
	case markerDNL:
		return UnsupportedError("height behind the picture")
	case markerDHP, markerEXP:
		return UnsupportedError("hierarchical")
	case markerJPG:
		return FormatError("unknown marker")
	}
	switch {
	case isComment(marker):
		return nil
	case marker > markerSOF2 && marker <= markerSOF15:
		return UnsupportedError("arithmetic, lossless or hierarchical")
	}
	return FormatError("unknown marker")
}

// isComment reports whether a segment has no meaning for the pixels.
func isComment(marker byte) bool {
	return marker == markerCOM || marker > markerAPP0 && marker <= markerAPP15 && marker != markerAPP14
}

func (d *decoder) defineRestart(content []byte) error {
	if len(content) != 2 {
		return FormatError("restart interval of wrong length")
	}
	d.restart = int(content[0])<<8 | int(content[1])
	return nil
}

// defineQuantization reads tables of 64 values of one or two bytes.
func (d *decoder) defineQuantization(content []byte) error {
	for len(content) > 0 {
		size, id := int(content[0]>>4)+1, content[0]&15
		content = content[1:]
		if size > 2 || id > 3 || len(content) < 64*size {
			return FormatError("bad quantization table")
		}
		table := new([64]int32)
		for i := range table {
			for _, c := range content[:size] {
				table[i] = table[i]<<8 | int32(c)
			}
			content = content[size:]
		}
		d.quant[id] = table
	}
	return nil
}

// defineHuffman reads tables; how they are looked up is worked out when a scan needs them.
func (d *decoder) defineHuffman(content []byte) error {
	for len(content) > 0 {
		class, id := content[0]>>4, content[0]&15
		if class > 1 || id > 3 {
			return FormatError("bad Huffman table")
		}
		t, rest, err := newTable(content[1:])
		if err != nil {
			return err
		}
		if class == 0 {
			t.dc = true
			d.dc[id] = t
		} else {
			d.ac[id] = t
		}
		content = rest
	}
	return nil
}

// readError tells a source that is at its end, so that the picture is cut off, from one that fails.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return FormatError("cut off")
	}
	if err != nil {
		return fmt.Errorf("read jpeg: %w", err)
	}
	return nil
}
