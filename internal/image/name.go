package image

import (
	"crypto/rand"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"gatehouse/internal/codec"
)

// stemLength is what rand.Text returns: 26 letters of base 32, 130 bits.
const stemLength = 26

// The lengths of the columns, in characters.
const (
	maxOriginalName = 255
	maxTitle        = 200
)

// newName returns an unguessable name, in lower case because some file systems ignore case.
func newName(f codec.Format) string {
	return strings.ToLower(rand.Text()) + "." + f.Extension()
}

// storedFormats are the formats of stored pictures.
var storedFormats = []codec.Format{codec.JPEG, codec.PNG, codec.GIF, codec.WebP}

// isName reports whether newName could have made a name for a stored picture.
func isName(name string) bool {
	stem, extension, _ := strings.Cut(name, ".")
	if len(stem) != stemLength {
		return false
	}
	for _, c := range []byte(stem) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return slices.ContainsFunc(storedFormats, func(f codec.Format) bool { return f.Extension() == extension })
}

// formatOf returns the format of a stored picture.
func formatOf(contentType string) codec.Format {
	return codec.Format(strings.TrimPrefix(contentType, "image/"))
}

// DisplayTitle makes a client's title safe to display, as displayName does a name, and cuts it to the
// length of the column. Update and Upload do so themselves.
func DisplayTitle(title string) string {
	characters := []rune(displayText(title))
	return string(characters[:min(len(characters), maxTitle)])
}

// displayText leaves out what controls a terminal or changes the direction of text, and spaces around it.
func displayText(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, text))
}

// displayName makes a client's file name safe to display: in UTF-8, without folders, without what
// displayText leaves out, and no longer than the column. It keeps the extension.
func displayName(name string) string {
	name = toUTF8(name)
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = displayText(name)
	if name == "." || name == ".." {
		return ""
	}
	return cut(name, maxOriginalName)
}

// toUTF8 decodes a name that is not UTF-8 as GB18030, which includes the GBK of Chinese Windows
// programs. If it is not GB18030 either, the invalid bytes are dropped.
func toUTF8(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	decoded, err := simplifiedchinese.GB18030.NewDecoder().String(name)
	if err != nil || strings.ContainsRune(decoded, utf8.RuneError) {
		return strings.ToValidUTF8(name, "")
	}
	return decoded
}

// cut shortens a file name to a number of characters, at the end of its stem.
func cut(name string, most int) string {
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	extension := []rune(path.Ext(name))
	if len(extension) > 16 {
		extension = nil
	}
	return string([]rune(name)[:most-len(extension)]) + string(extension)
}
