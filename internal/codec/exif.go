package codec

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
	"unicode"
)

// Tags of Exif, from CIPA DC-008. Where the camera was has tags too, which are never read.
const (
	tagMake             = 0x010f
	tagModel            = 0x0110
	tagOrientation      = 0x0112
	tagExifDirectory    = 0x8769
	tagDateTimeOriginal = 0x9003
	tagOffsetOriginal   = 0x9011
)

// Types of TIFF values.
const (
	tiffASCII = 2
	tiffShort = 3
	tiffLong  = 4
)

// exif is what is read of an Exif block. A tag that can't be understood counts as missing.
type exif struct {
	orientation int       // 1 to 8
	takenAt     time.Time // in UTC; zero if unknown
	camera      string
}

// readExif reads an Exif block: a TIFF file, maybe behind the magic that it has in a JPEG. It reports whether it is
// one. The block may be cut off or hostile: two directories are read, each once, and nothing outside of the block.
func readExif(block []byte) (exif, bool) {
	t := tiff{data: bytes.TrimPrefix(block, []byte(exifMagic))}
	first, ok := t.header()
	if !ok {
		return exif{}, false
	}
	main := t.directory(first)
	e := exif{orientation: 1, camera: cameraName(t.text(main[tagMake]), t.text(main[tagModel]))}
	if o := t.number(main[tagOrientation]); o >= 1 && o <= 8 {
		e.orientation = int(o)
	}
	if offset := t.number(main[tagExifDirectory]); offset > 0 {
		more := t.directory(offset)
		e.takenAt = captureTime(t.text(more[tagDateTimeOriginal]), t.text(more[tagOffsetOriginal]))
	}
	return e, true
}

// orientationBlock is the smallest Exif block that says an orientation.
func orientationBlock(orientation int) string {
	return "MM\x00*\x00\x00\x00\x08" + // big-endian; the directory follows
		"\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(orientation)) + "\x00\x00" + // it has one tag
		"\x00\x00\x00\x00" // there is no other directory
}

// tiff is a TIFF file. Offsets are in bytes from its beginning.
type tiff struct {
	data  []byte
	order binary.ByteOrder
}

// entry is an entry of a directory: two bytes tag, two type, four count, four value or its offset.
type entry []byte

// header reads the byte order and returns the offset of the first directory.
func (t *tiff) header() (directory uint32, ok bool) {
	head := t.at(0, 8)
	switch {
	case bytes.HasPrefix(head, []byte("II*\x00")):
		t.order = binary.LittleEndian
	case bytes.HasPrefix(head, []byte("MM\x00*")):
		t.order = binary.BigEndian
	default:
		return 0, false
	}
	return t.order.Uint32(head[4:]), true
}

// directory returns the entries at an offset that lie within the file. The first of a tag counts.
func (t *tiff) directory(offset uint32) map[uint16]entry {
	head := t.at(offset, 2)
	if head == nil {
		return nil
	}
	entries := map[uint16]entry{}
	const size = 12
	for i := range uint32(t.order.Uint16(head)) {
		e := t.at(offset+2+i*size, size)
		if e == nil {
			break
		}
		switch tag := t.order.Uint16(e); tag {
		case tagMake, tagModel, tagOrientation, tagExifDirectory, tagDateTimeOriginal, tagOffsetOriginal:
			if entries[tag] == nil {
				entries[tag] = e
			}
		}
	}
	return entries
}

// at returns n bytes, or nil if they are not all there.
func (t *tiff) at(offset, n uint32) []byte {
	if uint64(offset)+uint64(n) > uint64(len(t.data)) {
		return nil
	}
	return t.data[offset : offset+n]
}

// number is the value of an entry that holds one number, otherwise 0.
func (t *tiff) number(e entry) uint32 {
	if e == nil || t.order.Uint32(e[4:]) != 1 {
		return 0
	}
	switch t.order.Uint16(e[2:]) {
	case tiffShort:
		return uint32(t.order.Uint16(e[8:]))
	case tiffLong:
		return t.order.Uint32(e[8:])
	}
	return 0
}

// text is the value of an entry that holds text, otherwise empty. A zero byte ends it.
func (t *tiff) text(e entry) string {
	if e == nil || t.order.Uint16(e[2:]) != tiffASCII {
		return ""
	}
	const longest = 4 * maxCamera
	count := t.order.Uint32(e[4:])
	value := e[8:]
	if count > 4 {
		value = t.at(t.order.Uint32(e[8:]), min(count, longest))
	}
	value, _, _ = bytes.Cut(value[:min(int(count), len(value))], []byte{0})
	return string(value)
}

// captureTime reads the time of Exif. Without its zone it counts as UTC. A time before the first photograph is unknown.
func captureTime(local, offset string) time.Time {
	const layout = "2006:01:02 15:04:05"
	t, err := time.Parse(layout+"-07:00", strings.TrimSpace(local)+strings.TrimSpace(offset))
	if err != nil {
		t, err = time.Parse(layout, strings.TrimSpace(local))
	}
	const firstPhotograph, lastYear = 1826, 9998
	if t = t.UTC(); err != nil || t.Year() < firstPhotograph || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}

// maxCamera is the most characters of a camera's name.
const maxCamera = 128

// cameraName joins maker and model, for example Apple and iPhone 15. Many makers begin the model with their name.
func cameraName(maker, model string) string {
	maker, model = printable(maker), printable(model)
	brand, _, _ := strings.Cut(maker, " ") // of NIKON CORPORATION
	first, _, _ := strings.Cut(model, " ")
	name := maker + " " + model
	if strings.EqualFold(first, brand) {
		name = model
	}
	characters := []rune(strings.TrimSpace(name))
	return strings.TrimSpace(string(characters[:min(len(characters), maxCamera)]))
}

// printable leaves out what can't be seen and puts one space between words.
func printable(s string) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(visible), " ")
}
