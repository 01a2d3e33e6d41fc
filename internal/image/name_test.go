package image

import (
	"strings"
	"testing"
)

func TestDisplayName(t *testing.T) {
	long := strings.Repeat("图", 300)
	tests := []struct{ name, in, want string }{
		{"plain", "demo.jpg", "demo.jpg"},
		{"chinese", "我的照片 (1).jpg", "我的照片 (1).jpg"},
		{"emoji with joiner", "👨‍👩‍👧.png", "👨‍👩‍👧.png"},
		{"empty", "", ""},
		{"dots", "..", ""},
		{"path", "../../etc/evil.jpg", "evil.jpg"},
		{"windows path", `C:\Users\我\a.jpg`, "a.jpg"},
		{"folder", "a/", ""},
		{"controls", "a\x00b\r\nc\x1b[31m\x7f.jpg", "abc[31m.jpg"},
		{"C1 controls", "a\u0085\u009b.jpg", "a.jpg"},
		{"turned direction", "photo\u202egpj.exe", "photogpj.exe"},
		{"line separator", "a\u2028b.jpg", "ab.jpg"},
		{"GBK", "\xce\xd2.gif", "我.gif"},
		{"GBK with a backslash as second byte", "\x84\x5c\xd5\xd5.jpg", "刓照.jpg"},
		{"GBK in a Windows path", "C:\\\xce\xd2\\a.jpg", "a.jpg"},
		{"GB18030, four bytes", "\x95\x32\x82\x36.jpg", "𠀀.jpg"},
		{"neither UTF-8 nor GB18030", "a\xd5\xff\xfe.jpg", "a.jpg"},
		{"spaces around", "  a b.jpg ", "a b.jpg"},
		{"255 characters", long[:3*251] + ".jpg", long[:3*251] + ".jpg"},
		{"256 characters", long[:3*252] + ".jpg", long[:3*251] + ".jpg"},
		{"no extension", long, long[:3*255]},
		{"long extension", "a." + long, "a." + long[:3*253]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := displayName(test.in); got != test.want {
				t.Errorf("displayName(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestDisplayTitle(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "海边的 (房子) / 2026.jpg", "海边的 (房子) / 2026.jpg"},
		{"emoji with joiner", "👨‍👩‍👧", "👨‍👩‍👧"},
		{"empty", "", ""},
		{"NUL and ESC", "a\x00b\x1b[31mc\n", "ab[31mc"},
		{"direction of text", "a\u202egpj\u2069.\u200fx", "agpj.x"},
		{"spaces around", " \t a b \x00 ", "a b"},
		{"200 characters", strings.Repeat("图", 200), strings.Repeat("图", 200)},
		{"201 characters", strings.Repeat("图", 200) + "x", strings.Repeat("图", 200)},
		{"no UTF-8", "a\xff", "a\ufffd"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := DisplayTitle(test.in); got != test.want {
				t.Errorf("DisplayTitle(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestNewNameIsAName(t *testing.T) {
	seen := map[string]bool{}
	for _, format := range storedFormats {
		for range 100 {
			name := newName(format)
			if !isName(name) || !strings.HasSuffix(name, "."+format.Extension()) || seen[name] {
				t.Errorf("%q is made for a %s", name, format)
			}
			seen[name] = true
		}
	}
}
