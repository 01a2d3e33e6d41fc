package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/jpeg"
)

// JPEG markers, from ISO/IEC 10918-1 table B.1. Each follows a byte 0xff.
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0 // JFIF
	markerAPP1  = 0xe1 // Exif, XMP
	markerAPP2  = 0xe2 // colour profile, list of more pictures
	markerAPP14 = 0xee // Adobe
	markerAPP15 = 0xef
	markerCOM   = 0xfe
)

// maxScans is the most scans of a progressive JPEG. Encoders make about ten; each costs a walk over all pixels.
const maxScans = 100

// exifMagic begins an Exif segment; a TIFF file follows.
const exifMagic = "Exif\x00\x00"

type jpegCleaner struct {
	*cleaner
	scans  int
	inScan bool // the data of a scan comes next
}

// clean reads the segments, and the scans between them, up to the end-of-image marker.
func (j *jpegCleaner) clean() error {
	if err := j.keep(2); err != nil { // start of image
		return err
	}
	for {
		marker, err := j.nextMarker()
		if err != nil {
			return err
		}
		if marker == markerEOI {
			break
		}
		if err := j.segment(marker); err != nil {
			return err
		}
	}
	if j.scans == 0 {
		return damaged("jpeg: no scan")
	}
	return j.keep(2)
}

// nextMarker goes to the next marker that matters, which remains to be read. The data of a scan stays; stray bytes
// between segments, which all decoders skip, don't.
func (j *jpegCleaner) nextMarker() (byte, error) {
	for filled := false; ; {
		p, err := j.peek(2)
		if err != nil {
			return 0, err
		}
		switch {
		case p[0] == 0xff && p[1] == 0xff: // fill bytes may stand before a marker
			filled = true
			err = j.drop(1)
		case p[0] == 0xff && (filled || !isScanData(p[1])):
			return p[1], nil
		default:
			err = j.scanData()
		}
		if err != nil {
			return 0, err
		}
	}
}

// isScanData reports whether c after a byte 0xff belongs to the data of a scan: a zero escapes the 0xff.
func isScanData(c byte) bool { return c == 0 || c >= markerRST0 && c <= markerRST7 }

// scanData reads what is buffered up to the next marker.
func (j *jpegCleaner) scanData() error {
	window, err := j.window()
	if err != nil {
		return err
	}
	end := 0
	for {
		next := bytes.IndexByte(window[end:], 0xff)
		if next < 0 {
			end = len(window)
			break
		}
		end += next
		if end+1 == len(window) || !isScanData(window[end+1]) {
			break
		}
		end += 2
	}
	return j.pass(int64(end), j.inScan, nil)
}

// segment reads a segment.
func (j *jpegCleaner) segment(marker byte) error {
	p, err := j.peek(4)
	if err != nil {
		return err
	}
	length := 2 + int(binary.BigEndian.Uint16(p[2:])) // with the marker
	if length < 4 {
		return damaged("jpeg: short segment")
	}
	j.inScan = false
	switch {
	case marker == markerSOF0, marker == markerSOF1, marker == markerSOF2:
		return j.frameHeader(length)
	case marker == markerSOS:
		return j.scanHeader(length)
	case marker == markerDHT, marker == markerDQT, marker == markerDRI:
		return j.keep(int64(length))
	case marker == markerCOM, marker >= markerAPP0 && marker <= markerAPP15:
		return j.metadata(marker, length)
	case marker > markerSOF2 && marker <= markerSOF15:
		return unsupported("jpeg: lossless, hierarchical or arithmetic")
	}
	return damaged("jpeg: unknown marker")
}

// frameHeader reads the frame header. Go's decoder checks it: ours, which makes the thumbnails, takes no less.
func (j *jpegCleaner) frameHeader(length int) error {
	if j.info.Width > 0 {
		return damaged("jpeg: a second frame")
	}
	if length > 2+8+3*255 {
		return damaged("jpeg: bad frame header")
	}
	p, err := j.peek(length)
	if err != nil {
		return err
	}
	header := append([]byte{0xff, markerSOI}, p...)
	header = append(header, 0xff, markerSOS, 0, 2)
	config, err := jpeg.DecodeConfig(bytes.NewReader(header))
	if u := jpeg.UnsupportedError(""); errors.As(err, &u) {
		return unsupported(err.Error())
	}
	if err != nil {
		return damaged(err.Error())
	}
	if err := j.canvas(config.Width, config.Height); err != nil {
		return err
	}
	if err := j.frame(0, 0, config.Width, config.Height); err != nil {
		return err
	}
	return j.keep(int64(length))
}

// scanHeader reads a scan header and checks that data follows.
func (j *jpegCleaner) scanHeader(length int) error {
	if j.info.Width == 0 {
		return damaged("jpeg: a scan before the frame")
	}
	if length < 2+6+2*1 || length > 2+6+2*4 { // one to four components
		return damaged("jpeg: bad scan header")
	}
	p, err := j.peek(length + 2)
	if err != nil {
		return err
	}
	header, data := p[:length], p[length:]
	if components := int(header[4]); length != 2+6+2*components {
		return damaged("jpeg: bad scan header")
	}
	if data[0] == 0xff && data[1] != 0 {
		return damaged("jpeg: empty scan")
	}
	if j.scans++; j.scans > maxScans {
		return tooMany("scans")
	}
	j.inScan = true
	return j.keep(int64(length))
}

// metadata keeps what decoders need to show the colours, rewritten where it says more than that.
func (j *jpegCleaner) metadata(marker byte, length int) error {
	head, err := j.peek(min(length, 18))
	if err != nil {
		return err
	}
	const header = 4 // marker and length
	has := func(magic string, size int) bool {
		return length >= header+size && bytes.HasPrefix(head[header:], []byte(magic))
	}
	const jfifSize, adobeSize = 14, 12
	switch {
	case marker == markerAPP0 && has("JFIF\x00", jfifSize):
		noThumbnail := "\x00\x00" // its sides
		return j.shorten(length, marker, string(head[header:header+jfifSize-2])+noThumbnail)
	case marker == markerAPP14 && has("Adobe", adobeSize):
		return j.shorten(length, marker, string(head[header:header+adobeSize]))
	case marker == markerAPP2 && has("ICC_PROFILE\x00", 14):
		return j.keep(int64(length))
	case marker == markerAPP1 && has(exifMagic, len(exifMagic)) && j.scans == 0:
		return j.exifSegment(length)
	}
	return j.drop(int64(length))
}

// shorten puts a content in the place of a longer one. Mostly they are the same.
func (j *jpegCleaner) shorten(length int, marker byte, content string) error {
	segment := jpegSegment(marker, content)
	p, err := j.peek(len(segment))
	if err != nil {
		return err
	}
	if bytes.Equal(p, segment) {
		return j.keep(int64(length))
	}
	if err := j.put(segment); err != nil {
		return err
	}
	return j.drop(int64(length))
}

// exifSegment puts the orientation in the place of an Exif segment.
func (j *jpegCleaner) exifSegment(length int) error {
	const header = 4
	p, err := j.peek(min(length, BufferSize))
	if err != nil {
		return err
	}
	if j.exif(p[header:]) {
		err = j.put(jpegSegment(markerAPP1, exifMagic+orientationBlock(j.info.Orientation)))
	}
	if err != nil {
		return err
	}
	return j.drop(int64(length))
}

func jpegSegment(marker byte, content string) []byte {
	p := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(2+len(content)))
	return append(p, content...)
}
