package codec

import "encoding/binary"

// HeadSize is how many bytes of a picture Recognise looks at.
const HeadSize = 64

// magics are the first bytes of formats; ? stands for any byte.
var magics = []struct {
	format Format
	magic  string
}{
	{JPEG, "\xff\xd8\xff"},
	{PNG, "\x89PNG\r\n\x1a\n"},
	{GIF, "GIF87a"},
	{GIF, "GIF89a"},
	{WebP, "RIFF????WEBP"},
}

// brands are the names that HEIC and AVIF give themselves in their first box, ISO/IEC 23008-12 and the AV1 image
// file format. The general brands mif1 and msf1 say nothing of the codec.
var brands = map[string]Format{
	"heic": HEIC, "heix": HEIC, "heim": HEIC, "heis": HEIC, "hevc": HEIC, "hevx": HEIC,
	"avif": AVIF, "avis": AVIF,
}

// Recognise tells the format of a picture by its first bytes, of which it wants HeadSize if there are so many.
func Recognise(head []byte) (Format, bool) {
	for _, m := range magics {
		if hasMagic(head, m.magic) {
			return m.format, true
		}
	}
	return formatOfBrands(head[:min(len(head), HeadSize)])
}

func hasMagic(head []byte, magic string) bool {
	if len(head) < len(magic) {
		return false
	}
	for i, c := range []byte(magic) {
		if c != '?' && c != head[i] {
			return false
		}
	}
	return true
}

// formatOfBrands reads an ftyp box: the major brand, its version, and the compatible brands. The first that is known
// decides.
func formatOfBrands(head []byte) (Format, bool) {
	if !hasMagic(head, "????ftyp????????") {
		return "", false
	}
	end := min(uint64(binary.BigEndian.Uint32(head)), uint64(len(head)))
	const major, version = 8, 12
	for at := uint64(major); at+4 <= end; at += 4 {
		if format, ok := brands[string(head[at:at+4])]; ok && at != version {
			return format, true
		}
	}
	return "", false
}
