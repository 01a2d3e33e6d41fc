package export

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/internal/image"
)

// maxStem is the length of the user's part of a name, in bytes: file systems take 255 in all.
const maxStem = 180

// pictureExtensions are replaced by that of the picture's real type. Any other is part of the name.
var pictureExtensions = []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".heic"}

// fileName returns the name of a picture in the archive. The id makes it unique; the rest is the
// user's name for it, as far as every file system takes it.
func fileName(stored image.Image) string {
	stem := stored.OriginalName
	if extension := path.Ext(stem); slices.Contains(pictureExtensions, strings.ToLower(extension)) {
		stem = strings.TrimSuffix(stem, extension)
	}
	name := "images/" + stored.ID
	if stem = safe(stem); stem != "" {
		name += "-" + stem
	}
	return name + path.Ext(stored.Name)
}

// safe replaces what leads to another folder, what Windows refuses, and what hides a name's true end.
func safe(stem string) string {
	stem = strings.Map(func(r rune) rune {
		hidden := unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
		if hidden || r == utf8.RuneError || strings.ContainsRune(`<>:"/\|?*`, r) {
			return '_'
		}
		return r
	}, stem)
	if len(stem) > maxStem {
		stem = strings.ToValidUTF8(stem[:maxStem], "") // without the half of a character
	}
	return strings.TrimSpace(stem)
}
