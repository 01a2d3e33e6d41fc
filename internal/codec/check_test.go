package codec

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"regexp"
	"testing"

	"golang.org/x/image/draw"

	"gatehouse/internal/apperr"
)

func TestCheckAcceptsEverySample(t *testing.T) {
	hash, hex := regexp.MustCompile(`^.{28}$`), regexp.MustCompile(`^#[0-9a-f]{6}$`)
	for _, s := range samples(t) {
		p, err := Check(bytes.NewReader(s.data), s.format, 1, roomy)
		if err != nil || !hash.MatchString(p.BlurHash) || !hex.MatchString(p.Color) {
			t.Errorf("%s: %+v, %v", s.name, p, err)
		}
	}
}

func TestDominantColor(t *testing.T) {
	mostly := image.NewNRGBA(image.Rect(0, 0, 32, 32)) // transparent for the most part
	draw.Draw(mostly, image.Rect(0, 0, 12, 20), image.NewUniform(color.NRGBA{160, 82, 45, 255}), image.Point{}, draw.Src)
	draw.Draw(mostly, image.Rect(0, 20, 12, 32), image.NewUniform(color.NRGBA{0, 0, 255, 255}), image.Point{}, draw.Src)
	tests := []struct {
		name    string
		picture image.Image
		want    string
	}{
		{"the largest part", mostly, "#a0522d"},
		{"transparent", image.NewNRGBA(image.Rect(0, 0, 10, 10)), "#ffffff"},
		{"black", image.NewGray(image.Rect(0, 0, 10, 10)), "#000000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := Check(bytes.NewReader(stored(t, test.picture, PNG)), PNG, 1, roomy)
			if err != nil || p.Color != test.want {
				t.Errorf("the colour is %s, want %s: %v", p.Color, test.want, err)
			}
		})
	}
}

// TestPlaceholderIsUpright: a picture and the same one stored in another orientation look alike.
func TestPlaceholderIsUpright(t *testing.T) {
	upright, err := Check(bytes.NewReader(stored(t, quarters(64, 64), PNG)), PNG, 1, roomy)
	if err != nil {
		t.Fatal(err)
	}
	mirrored := quarters(64, 64)
	for y := range 64 {
		for x := range 64 {
			mirrored.SetNRGBA(x, y, corners[y/32*2+1-x/32])
		}
	}
	got, err := Check(bytes.NewReader(stored(t, mirrored, PNG)), PNG, 2, roomy)
	if err != nil || got != upright {
		t.Errorf("mirrored it is %+v, want %+v: %v", got, upright, err)
	}
	got, err = Check(bytes.NewReader(stored(t, mirrored, PNG)), PNG, 1, roomy)
	if err != nil || got.BlurHash == upright.BlurHash {
		t.Errorf("the orientation does not count: %+v, %v", got, err)
	}
}

// TestCheckRefusesWhatDoesNotDecode has pictures whose structure is right.
func TestCheckRefusesWhatDoesNotDecode(t *testing.T) {
	tests := []struct {
		name   string
		data   []byte
		format Format
	}{
		{"JPEG with garbage for pixels", garbledJPEG(t), JPEG},
		{"JPEG with half of its pixels", halfJPEG(t), JPEG},
		{"PNG with half of its pixels", halfPNG(t), PNG},
		{"PNG with a checksum that is wrong inside", garbledPNG(t), PNG},
		{"APNG with a short second frame", shortAPNG(t), PNG},
		{"GIF with a short first frame", shortGIF(t, 0), GIF},
		{"GIF with a short last frame", shortGIF(t, 2), GIF},
		{"WebP with a short frame", shortWebP(t), WebP},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, _, err := clean(bytes.NewReader(test.data), test.format, roomy); err != nil {
				t.Errorf("its structure is refused: %v", err)
			}
			if _, err := Check(bytes.NewReader(test.data), test.format, 1, roomy); !apperr.Is(err, apperr.ImageDamaged) {
				t.Errorf("got %v, want damaged", err)
			}
		})
	}
}

// scanOf returns where the pixels of a JPEG begin.
func scanOf(t *testing.T, data []byte) int {
	t.Helper()
	at := bytes.Index(data, []byte{0xff, markerSOS})
	if at < 0 {
		t.Fatal("no scan")
	}
	return at + 2 + int(data[at+3])
}

func garbledJPEG(t *testing.T) []byte {
	data := stored(t, paint(200, 160), JPEG)
	for i := scanOf(t, data) + 40; i < len(data)-2; i++ {
		if data[i] != 0xff && data[i-1] != 0xff {
			data[i] = 0xfe // many ones: no code has so many
		}
	}
	return data
}

func halfJPEG(t *testing.T) []byte {
	data := stored(t, paint(200, 160), JPEG)
	half := (scanOf(t, data) + len(data)) / 2
	if data[half-1] == 0xff {
		half--
	}
	return append(data[:half:half], 0xff, markerEOI)
}

// halfPNG has the pixels of a picture of half its height.
func halfPNG(t *testing.T) []byte {
	data := stored(t, paint(64, 24), PNG)
	header := bytes.Clone(data[8:33])
	header[8+7] = 48
	return join(data[:8], pngChunk("IHDR", string(header[8:21])), data[33:])
}

func garbledPNG(t *testing.T) []byte {
	data := stored(t, paint(64, 48), PNG)
	at := bytes.Index(data, []byte("IDAT"))
	length := int(data[at-3])<<16 | int(data[at-2])<<8 | int(data[at-1])
	content := bytes.Clone(data[at+4 : at+4+length])
	content[length-1] ^= 1 // of the checksum that zlib has
	return join(data[:at-4], pngChunk("IDAT", string(content)), data[at+4+length+4:])
}

// shortAPNG gives the last frame the pixels of a smaller one.
func shortAPNG(t *testing.T) []byte {
	data := animatedPNG(t, 3)
	at := bytes.LastIndex(data, []byte("fdAT"))
	length := int(data[at-2])<<8 | int(data[at-1])
	small := stored(t, paint(4, 4), PNG)
	idat := bytes.Index(small, []byte("IDAT"))
	pixels := small[idat+4 : idat+4+int(small[idat-2])<<8|int(small[idat-1])]
	content := append(bytes.Clone(data[at+4:at+8]), pixels...)
	return join(data[:at-4], pngChunk("fdAT", string(content)), data[at+4+length+4:])
}

// shortGIF makes one of three frames claim more rows than it has.
func shortGIF(t *testing.T, short int) []byte {
	g := &gif.GIF{Config: image.Config{Width: 16, Height: 16}}
	for range 3 {
		g.Image = append(g.Image, image.NewPaletted(image.Rect(0, 0, 16, 15), color.Palette{color.Black, color.White}))
		g.Delay = append(g.Delay, 1)
	}
	data := encodeAllGIF(t, g)
	descriptor := []byte{',', 0, 0, 0, 0, 16, 0, 15, 0}
	at := 0
	for range short + 1 {
		at += bytes.Index(data[at:], descriptor) + 1
	}
	data[at-1+7] = 16
	return data
}

// shortWebP cuts the pixels of a lossless picture.
func shortWebP(t *testing.T) []byte {
	data := stored(t, paint(64, 48), WebP)
	for chunk, err := range webpChunks(bytes.NewReader(data)) {
		if err != nil {
			t.Fatal(err)
		}
		if chunk.name == "VP8L" || chunk.name == "VP8 " {
			chunk.data = chunk.data[:len(chunk.data)*2/3]
			return webpFile(chunk.appendTo(nil))
		}
	}
	t.Fatal("no pixels")
	return nil
}

func TestCheckObeysLimits(t *testing.T) {
	tests := []struct {
		name   string
		format Format
		data   []byte
		limits Limits
	}{
		{"pixels", PNG, stored(t, quarters(20, 20), PNG), Limits{Pixels: 399, Side: 100, Frames: 1}},
		{"side", JPEG, stored(t, quarters(101, 2), JPEG), Limits{Pixels: 1000, Side: 100, Frames: 1}},
		{"frames of a GIF", GIF, encodeGIF(t, 24, 16, 3), Limits{Pixels: 1000, Side: 100, Frames: 2}},
		{"frames of a PNG", PNG, animatedPNG(t, 4), Limits{Pixels: 1000, Side: 100, Frames: 2}},
		{"frames of a WebP", WebP, fixture(t, "animated.webp"), Limits{Pixels: 1000, Side: 100, Frames: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Check(bytes.NewReader(test.data), test.format, 1, test.limits); !apperr.Is(err, apperr.TooManyPixels) {
				t.Errorf("got %v, want too many pixels", err)
			}
		})
	}
}

// FuzzCheck looks for panics of ours and of the decoders: read makes one ImageDamaged, but says so.
func FuzzCheck(f *testing.F) {
	formats := []Format{JPEG, PNG, GIF, WebP}
	for _, s := range samples(f) {
		for i, format := range formats {
			if format == s.format {
				f.Add(byte(i), s.data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, format byte, data []byte) {
		src := formats[int(format)%len(formats)]
		limits := Limits{Pixels: 1 << 16, Side: 1 << 10, Frames: 20}
		_, err := Check(bytes.NewReader(data), src, 1, limits)
		if err != nil && bytes.Contains([]byte(err.Error()), []byte("panic")) {
			t.Error(err)
		}
		if err != nil && !apperr.Is(err, apperr.ImageDamaged, apperr.TooManyPixels, apperr.NotAnImage) {
			t.Error(err)
		}
	})
}
