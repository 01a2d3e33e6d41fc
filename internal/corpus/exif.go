package corpus

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Tags of EXIF, and kinds of their values.
const (
	tagMaker        = 0x010f
	tagModel        = 0x0110
	tagOrientation  = 0x0112
	tagThumbnail    = 0x0201
	tagThumbnailLen = 0x0202
	tagExifIFD      = 0x8769
	tagGPSIFD       = 0x8825
	tagTakenAt      = 0x9003
	tagMakerNote    = 0x927c
	tagUserComment  = 0x9286
	tagXPAuthor     = 0x9c9d

	kindByte      = 1
	kindASCII     = 2
	kindShort     = 3
	kindLong      = 4
	kindRational  = 5
	kindUndefined = 7
)

// tag is an entry of a directory of EXIF. One with a directory of its own points to it.
type tag struct {
	id, kind uint16
	count    uint32
	value    []byte
	sub      []tag
}

// byteOrder is that of a TIFF structure.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func short(order byteOrder, id uint16, value int) tag {
	return tag{id: id, kind: kindShort, count: 1, value: order.AppendUint16(nil, uint16(value))}
}

func text(id uint16, value string) tag {
	return tag{id: id, kind: kindASCII, count: uint32(len(value) + 1), value: []byte(value + "\x00")}
}

func opaque(id uint16, kind uint16, value string) tag {
	return tag{id: id, kind: kind, count: uint32(len(value)), value: []byte(value)}
}

// tiff returns a TIFF structure with one directory.
func tiff(order byteOrder, tags ...tag) []byte {
	mark := "II"
	if order.Uint16([]byte{0, 1}) == 1 {
		mark = "MM"
	}
	b := order.AppendUint16([]byte(mark), 42)
	return appendDirectory(order, order.AppendUint32(b, 8), tags)
}

// appendDirectory appends a directory and what it points to.
func appendDirectory(order byteOrder, b []byte, tags []tag) []byte {
	at := len(b)
	b = order.AppendUint16(b, uint16(len(tags)))
	b = append(b, make([]byte, 12*len(tags)+4)...)
	for i, t := range tags {
		if t.sub != nil {
			t.kind, t.count, t.value = kindLong, 1, order.AppendUint32(nil, uint32(len(b)))
			b = appendDirectory(order, b, t.sub)
		}
		entry := at + 2 + 12*i
		order.PutUint16(b[entry:], t.id)
		order.PutUint16(b[entry+2:], t.kind)
		order.PutUint32(b[entry+4:], t.count)
		if len(t.value) <= 4 {
			copy(b[entry+8:], t.value)
		} else {
			order.PutUint32(b[entry+8:], uint32(len(b)))
			b = append(b, t.value...)
		}
	}
	return b
}

// orientedEXIF has nothing but the orientation.
func orientedEXIF(order byteOrder, orientation int) []byte {
	return tiff(order, short(order, tagOrientation, orientation))
}

// exifSecrets are planted in privateEXIF.
var exifSecrets = []string{"SecretMaker", "SecretModel", "SecretArea", "SecretNote", "SecretComment", utf16LE("SecretAuthor"), latitude, "SecretThumbnail", "2021:02:03 04:05:06"}

// latitude is 48° 51' 29.99", as three fractions.
var latitude = string(join(be32(48), be32(1), be32(51), be32(1), be32(2999), be32(100)))

// privateEXIF has all that a camera and its owner may write, and a thumbnail.
func privateEXIF(orientation int) []byte {
	order := binary.BigEndian
	thumbnail := join(jpegMagic, segment(markerCOM, []byte("SecretThumbnail")), baseline()[2:])
	tags := []tag{
		text(tagMaker, "SecretMaker"),
		text(tagModel, "SecretModel"),
		short(order, tagOrientation, orientation),
		{id: tagExifIFD, sub: []tag{
			text(tagTakenAt, "2021:02:03 04:05:06"),
			opaque(tagMakerNote, kindUndefined, "SecretNote"),
			opaque(tagUserComment, kindUndefined, "ASCII\x00\x00\x00SecretComment"),
		}},
		{id: tagGPSIFD, sub: []tag{
			text(1, "N"),
			{id: 2, kind: kindRational, count: 3, value: []byte(latitude)},
			opaque(28, kindUndefined, "ASCII\x00\x00\x00SecretArea"),
		}},
		opaque(tagXPAuthor, kindByte, utf16LE("SecretAuthor")),
	}
	b := tiff(order, tags...)
	second := len(b)
	order.PutUint32(b[8+2+12*len(tags):], uint32(second))
	const secondLength = 2 + 2*12 + 4
	b = appendDirectory(order, b, []tag{
		{id: tagThumbnail, kind: kindLong, count: 1, value: be32(second + secondLength)},
		{id: tagThumbnailLen, kind: kindLong, count: 1, value: be32(len(thumbnail))},
	})
	return append(b, thumbnail...)
}

func utf16LE(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		b.Write(le16(int(unit)))
	}
	return b.String()
}

// xmp is a packet of XMP that says a secret, and an orientation, which nobody heeds.
func xmp(secret string) []byte {
	return fmt.Appendf(nil, `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" exif:GPSLatitude="48,51.4999N" tiff:Orientation="6">%s</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`, secret)
}

// iptc is a caption as Photoshop writes it.
func iptc(secret string) []byte {
	record := join([]byte("\x1c\x02\x78"), be16(len(secret)), []byte(secret))
	if len(record)%2 == 1 {
		record = append(record, 0)
	}
	return join([]byte("Photoshop 3.0\x008BIM\x04\x04\x00\x00"), be32(len(record)), record)
}

// profile is the least that is a colour profile: a header of 128 bytes, and no tags.
func profile() []byte {
	b := make([]byte, 132)
	copy(b, be32(len(b)))
	copy(b[8:], "\x04\x30\x00\x00mntrRGB XYZ ")
	copy(b[24:], be16(2020))
	copy(b[36:], "acsp")
	copy(b[68:], "\x00\x00\xf6\xd6\x00\x01\x00\x00\x00\x00\xd3\x2d") // the white of D50
	copy(b[80:], "KEPT")                                             // its creator
	return b
}
