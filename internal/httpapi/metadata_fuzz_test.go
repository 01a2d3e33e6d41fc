package httpapi

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gatehouse/internal/api"
	"gatehouse/internal/upload"
)

// FuzzUploadMetadata takes no title or visibility that JSON could not have brought either.
func FuzzUploadMetadata(f *testing.F) {
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, header := range []string{
		"", ",", "filename", "filename " + encoded("a.jpg") + ",visibility " + encoded("private"), "title " + encoded(strings.Repeat("界", maxTitle+1)),
		"a,a", "filename  " + encoded("a"), "filename " + encoded("\xff"), "visibility " + encoded("everybody"), "title =", " , ",
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		var a upload.Announcement
		if readMetadata(header, &a) != nil {
			if a != (upload.Announcement{}) {
				t.Errorf("%q is refused, and taken as %+v", header, a)
			}
			return
		}
		if !utf8.ValidString(a.Name) || !utf8.ValidString(a.Title) || utf8.RuneCountInString(a.Title) > maxTitle {
			t.Errorf("%q is taken as %+v", header, a)
		}
		if a.Visibility != "" && !api.Visibility(a.Visibility).Valid() {
			t.Errorf("%q is visible to %q", header, a.Visibility)
		}
	})
}

// FuzzUploadChecksum takes sums of the algorithms only that the server names.
func FuzzUploadChecksum(f *testing.F) {
	for _, header := range []string{"", "sha1", "sha1 ", "sha1 Lve95gjOVATpfV8EL5X4nxwjKHE=", "sha256 Lve95gjOVATpfV8EL5X4nxwjKHE=", "md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha1  a"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		algorithm, _, _ := strings.Cut(header, " ")
		if sum, err := readChecksum(header); err == nil && (sum == nil || !slices.Contains(upload.Algorithms(), algorithm)) {
			t.Errorf("%q is taken", header)
		}
	})
}
