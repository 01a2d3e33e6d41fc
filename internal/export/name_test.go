package export

import (
	"strings"
	"testing"
	"unicode/utf8"

	"gatehouse/internal/image"
)

func TestFileName(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "demo.jpg", "images/1-demo.png"},
		{"extension in capitals", "IMG_0001.JPEG", "images/1-IMG_0001.png"},
		{"two extensions", "a.tar.jpg", "images/1-a.tar.png"},
		{"extension of no picture", "virus.exe", "images/1-virus.exe.png"},
		{"no extension", "照片", "images/1-照片.png"},
		{"dot in the name", "2026.11 北京", "images/1-2026.11 北京.png"},
		{"empty", "", "images/1.png"},
		{"only an extension", ".jpg", "images/1.png"},
		{"emoji with joiner", "👨‍👩‍👧.png", "images/1-👨‍👩‍👧.png"},
		{"folders up", "../../../etc/passwd", "images/1-.._.._.._etc_passwd.png"},
		{"absolute", "/etc/passwd", "images/1-_etc_passwd.png"},
		{"Windows folders", `..\..\C:\a.jpg`, "images/1-.._.._C__a.png"},
		{"what Windows refuses", `a<b>c:d"e|f?g*h.jpg`, "images/1-a_b_c_d_e_f_g_h.png"},
		{"controls", "a\x00b\r\nc\x1bd\x7f\u0085.jpg", "images/1-a_b__c_d__.png"},
		{"turned direction", "photo\u202egpj.jpg", "images/1-photo_gpj.png"},
		{"line separator", "a\u2028b.jpg", "images/1-a_b.png"},
		{"not UTF-8", "a\xff\xfeb.jpg", "images/1-a__b.png"},
		{"spaces around", "  a b .jpg", "images/1-a b.png"},
		{"dots at the end", "a...", "images/1-a....png"},
		{"too long", strings.Repeat("图", 255) + ".jpg", "images/1-" + strings.Repeat("图", 60) + ".png"},
		{"too long, cut in a character", "a" + strings.Repeat("图", 255), "images/1-a" + strings.Repeat("图", 59) + ".png"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := fileName(image.Image{ID: "1", Name: "k3vq7w2m5xn4c6t2z7b3d4f5gh.png", OriginalName: test.in})
			if got != test.want || !utf8.ValidString(got) {
				t.Errorf("fileName(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}
