package codec

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// exifTag is a tag of a test's Exif block.
type exifTag struct {
	id    uint16
	kind  uint16
	count uint32
	value string // in the block's byte order
}

func textTag(id uint16, text string) exifTag {
	return exifTag{id, tiffASCII, uint32(len(text) + 1), text + "\x00"}
}

// exifOrder is a byte order that can append, too.
type exifOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func shortTag(order exifOrder, id, value uint16) exifTag {
	return exifTag{id, tiffShort, 1, string(order.AppendUint16(nil, value))}
}

// exifBlock returns a TIFF file of directories: the main one, that of Exif and that of the position, if they have tags.
func exifBlock(order exifOrder, main, more, position []exifTag) string {
	b := order.AppendUint16([]byte("II"), 42)
	if order.String() == "BigEndian" {
		copy(b, "MM")
	}
	b = order.AppendUint32(b, 8)
	pointer := func(id uint16) exifTag { return exifTag{id, tiffLong, 1, "\x00\x00\x00\x00"} }
	if more != nil {
		main = append(main[:len(main):len(main)], pointer(tagExifDirectory))
	}
	if position != nil {
		main = append(main[:len(main):len(main)], pointer(0x8825))
	}
	b = appendDirectory(b, order, main)
	at := 8 + 2 + 12*(len(main)-1) + 8 // the value of the last tag
	if position != nil {
		order.PutUint32(b[at:], uint32(len(b)))
		b = appendDirectory(b, order, position)
		at -= 12
	}
	if more != nil {
		order.PutUint32(b[at:], uint32(len(b)))
		b = appendDirectory(b, order, more)
	}
	return string(b)
}

// appendDirectory appends a directory, then its values that don't fit into it.
func appendDirectory(b []byte, order exifOrder, tags []exifTag) []byte {
	values := len(b) + 2 + 12*len(tags) + 4
	var long []byte
	b = order.AppendUint16(b, uint16(len(tags)))
	for _, t := range tags {
		b = order.AppendUint16(b, t.id)
		b = order.AppendUint16(b, t.kind)
		b = order.AppendUint32(b, t.count)
		if len(t.value) <= 4 {
			b = append(b, (t.value + "\x00\x00\x00\x00")[:4]...)
			continue
		}
		b = order.AppendUint32(b, uint32(values+len(long)))
		long = append(long, t.value...)
	}
	return append(append(b, 0, 0, 0, 0), long...)
}

var exifOrders = []exifOrder{binary.LittleEndian, binary.BigEndian}

func TestReadExif(t *testing.T) {
	taken := func(local, offset string) []exifTag {
		return []exifTag{textTag(tagDateTimeOriginal, local), textTag(tagOffsetOriginal, offset)}
	}
	none := []exifTag{}
	for _, order := range exifOrders {
		tests := []struct {
			name       string
			main, more []exifTag
			want       exif
		}{
			{"nothing", none, nil, exif{orientation: 1}},
			{"orientation", []exifTag{shortTag(order, tagOrientation, 6)}, nil, exif{orientation: 6}},
			{"orientation 0", []exifTag{shortTag(order, tagOrientation, 0)}, nil, exif{orientation: 1}},
			{"orientation 9", []exifTag{shortTag(order, tagOrientation, 9)}, nil, exif{orientation: 1}},
			{"orientation as text", []exifTag{textTag(tagOrientation, "6")}, nil, exif{orientation: 1}},
			{"two orientations", []exifTag{shortTag(order, tagOrientation, 3), shortTag(order, tagOrientation, 6)}, nil, exif{orientation: 3}},
			{"a list of orientations", []exifTag{{tagOrientation, tiffShort, 2, "\x06\x06\x06\x06"}}, nil, exif{orientation: 1}},
			{"camera", []exifTag{textTag(tagMake, "Apple"), textTag(tagModel, "iPhone 15")}, nil, exif{orientation: 1, camera: "Apple iPhone 15"}},
			{"short texts", []exifTag{textTag(tagMake, "LG"), textTag(tagModel, "G8")}, nil, exif{orientation: 1, camera: "LG G8"}},
			{"text without an end", []exifTag{{tagModel, tiffASCII, 3, "X10"}}, nil, exif{orientation: 1, camera: "X10"}},
			{"text longer than said", []exifTag{{tagModel, tiffASCII, 2, "X10"}}, nil, exif{orientation: 1, camera: "X1"}},
			{"empty text", []exifTag{{tagModel, tiffASCII, 0, "X10"}}, nil, exif{orientation: 1}},
			{"text of 4 GB", []exifTag{{tagModel, tiffASCII, 1<<32 - 1, "X100000"}}, nil, exif{orientation: 1}},
			{"time", none, taken("2024:05:06 07:08:09", "+08:00"), exif{orientation: 1, takenAt: time.Date(2024, 5, 5, 23, 8, 9, 0, time.UTC)}},
			{"time without zone", none, taken("2024:05:06 07:08:09", ""), exif{orientation: 1, takenAt: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)}},
			{"time with a wrong zone", none, taken("2024:05:06 07:08:09", "CEST"), exif{orientation: 1, takenAt: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)}},
			{"no time", none, taken("    :  :     :  :  ", "+08:00"), exif{orientation: 1}},
			{"time of zeros", none, taken("0000:00:00 00:00:00", ""), exif{orientation: 1}},
			{"time before photographs", none, taken("0001:01:01 00:00:00", "+08:00"), exif{orientation: 1}},
			{"time after all", none, taken("9999:12:31 23:59:59", "-08:00"), exif{orientation: 1}},
			{"time in the wrong directory", taken("2024:05:06 07:08:09", ""), nil, exif{orientation: 1}},
		}
		for _, test := range tests {
			t.Run(order.String()+"/"+test.name, func(t *testing.T) {
				block := exifBlock(order, test.main, test.more, []exifTag{textTag(1, "N")})
				for _, magic := range []string{"", exifMagic} {
					if got, ok := readExif([]byte(magic + block)); !ok || got != test.want {
						t.Errorf("%+v, %t, want %+v", got, ok, test.want)
					}
				}
			})
		}
	}
}

func TestReadExifOfHostileBlocks(t *testing.T) {
	order := binary.BigEndian
	loop := exifBlock(order, []exifTag{shortTag(order, tagOrientation, 6), {tagExifDirectory, tiffLong, 1, "\x00\x00\x00\x08"}}, nil, nil)
	tests := []struct {
		name   string
		block  string
		want   exif
		wantOK bool
	}{
		{"empty", "", exif{}, false},
		{"magic only", exifMagic, exif{}, false},
		{"another order", "XX\x00*\x00\x00\x00\x08", exif{}, false},
		{"another number", "MM\x00+\x00\x00\x00\x08", exif{}, false},
		{"no directory", "MM\x00*\x00\x00\x00\x08", exif{orientation: 1}, true},
		{"directory outside", "MM\x00*\xff\xff\xff\xff", exif{orientation: 1}, true},
		{"directory of 65,535", loop[:8] + "\xff\xff" + loop[10:], exif{orientation: 6}, true},
		{"directory cut off", loop[:10+12], exif{orientation: 6}, true},
		{"directory in itself", loop, exif{orientation: 6}, true},
		{"value outside", "MM\x00*\x00\x00\x00\x08\x00\x01\x01\x0f\x00\x02\x00\x00\x00\x08\xff\xff\xff\xfa\x00\x00\x00\x00", exif{orientation: 1}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := readExif([]byte(test.block)); ok != test.wantOK || got != test.want {
				t.Errorf("%+v, %t, want %+v, %t", got, ok, test.want, test.wantOK)
			}
		})
	}
}

func TestCameraName(t *testing.T) {
	long := repeated("x", 200)
	tests := []struct{ maker, model, want string }{
		{"", "", ""},
		{"Apple", "", "Apple"},
		{"", "iPhone 15", "iPhone 15"},
		{"Apple", "iPhone 15", "Apple iPhone 15"},
		{"Canon", "Canon EOS R5", "Canon EOS R5"},
		{"NIKON CORPORATION", "NIKON D850", "NIKON D850"},
		{"samsung", "Samsung", "Samsung"},
		{"LG", "LGE Nexus", "LG LGE Nexus"},
		{" HUAWEI \x00", "  P30\t Pro\n", "HUAWEI P30 Pro"},
		{"小米", "小米 14", "小米 14"},
		{"a\x1b[31m", "b\u202ec\xff\u200bd", "a[31m bcd"},
		{"a\u2028b", "", "a b"},
		{long, long, long[:128]},
		{repeated("x", 127), "y", repeated("x", 127)},
		{"照" + repeated("相", 3*200), "", "照" + repeated("相", 3*127)},
	}
	for _, test := range tests {
		if got := cameraName(test.maker, test.model); got != test.want {
			t.Errorf("%q, %q: %q, want %q", test.maker, test.model, got, test.want)
		}
	}
}

func TestOrientationBlock(t *testing.T) {
	for orientation := 1; orientation <= 8; orientation++ {
		block := orientationBlock(orientation)
		want := exif{orientation: orientation}
		if got, ok := readExif([]byte(block)); !ok || got != want || len(block) != 26 {
			t.Errorf("%d: %+v, %t, from %d bytes", orientation, got, ok, len(block))
		}
	}
}

// FuzzExif checks that what is read is within its bounds, and does not depend on what follows the block.
func FuzzExif(f *testing.F) {
	for _, order := range exifOrders {
		main := []exifTag{textTag(tagMake, "Apple"), textTag(tagModel, "iPhone 15"), shortTag(order, tagOrientation, 6)}
		more := []exifTag{textTag(tagDateTimeOriginal, "2024:05:06 07:08:09"), textTag(tagOffsetOriginal, "+08:00")}
		f.Add([]byte(exifBlock(order, main, more, nil)))
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		e, ok := readExif(block)
		if !ok {
			if e != (exif{}) {
				t.Fatalf("refused, with %+v", e)
			}
			return
		}
		characters := len([]rune(e.camera))
		year := e.takenAt.Year()
		if e.orientation < 1 || e.orientation > 8 || characters > maxCamera || e.camera != printable(e.camera) {
			t.Fatalf("%+v", e)
		}
		if !e.takenAt.IsZero() && (year < 1826 || year > 9998 || e.takenAt.Location() != time.UTC) {
			t.Fatalf("taken at %v", e.takenAt)
		}
		if again, ok := readExif(bytes.Clone(block)); !ok || again != e {
			t.Fatalf("%+v, then %+v", e, again)
		}
	})
}
