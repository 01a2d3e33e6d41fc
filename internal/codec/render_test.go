package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"

	"gatehouse/internal/apperr"
)

// The colours of the four corners: upper left, upper right, lower left, lower right.
var corners = [4]color.NRGBA{{220, 30, 30, 255}, {30, 200, 40, 255}, {40, 40, 210, 255}, {230, 220, 30, 255}}

// quarters paints each quarter of a picture in the colour of its corner.
func quarters(width, height int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, corners[2*y/height*2+2*x/width])
		}
	}
	return m
}

// stored encodes a picture in one of the formats that are stored.
func stored(tb testing.TB, m image.Image, f Format) []byte {
	tb.Helper()
	var b bytes.Buffer
	var err error
	switch f {
	case JPEG:
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: 95})
	case PNG:
		err = png.Encode(&b, m)
	case GIF:
		err = gif.Encode(&b, m, nil)
	case WebP:
		err = writeWebP(&b, m, 95, nil)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func render(tb testing.TB, data []byte, f Format, orientation int, v Variant) []byte {
	tb.Helper()
	var b bytes.Buffer
	if v.Quality == 0 {
		v.Quality = 90
	}
	if err := Render(&b, bytes.NewReader(data), f, orientation, v); err != nil {
		tb.Fatalf("render %s with orientation %d as %+v: %v", f, orientation, v, err)
	}
	return b.Bytes()
}

// decoded decodes with the libraries alone.
func decoded(tb testing.TB, data []byte, f Format) image.Image {
	tb.Helper()
	decode := map[Format]func(io.Reader) (image.Image, error){JPEG: jpeg.Decode, PNG: png.Decode, WebP: webp.Decode}[f]
	m, err := decode(bytes.NewReader(data))
	if err != nil {
		tb.Fatalf("%s: %v", f, err)
	}
	if f == WebP {
		m = webpAsJPEG(m)
	}
	return m
}

func wantColor(tb testing.TB, m image.Image, x, y int, want color.NRGBA, tolerance int) {
	tb.Helper()
	got := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
	for i, pair := range [][2]byte{{got.R, want.R}, {got.G, want.G}, {got.B, want.B}, {got.A, want.A}} {
		if got.A == 0 && want.A == 0 {
			return
		}
		if d := int(pair[0]) - int(pair[1]); d < -tolerance || d > tolerance {
			tb.Errorf("the pixel at %d, %d is %v, want %v (channel %d)", x, y, got, want, i)
			return
		}
	}
}

func wantCorners(tb testing.TB, m image.Image, want [4]color.NRGBA, tolerance int) {
	tb.Helper()
	r, b := m.Bounds().Dx()-3, m.Bounds().Dy()-3
	for i, at := range []image.Point{{2, 2}, {r, 2}, {2, b}, {r, b}} {
		wantColor(tb, m, at.X, at.Y, want[i], tolerance)
	}
}

var (
	storedFormats  = []Format{JPEG, PNG, GIF, WebP}
	writtenFormats = []Format{JPEG, PNG, WebP}
)

func TestRenderSizes(t *testing.T) {
	tests := []struct {
		fit           Fit
		width, height int
		want, turned  image.Point // of a picture of 120 x 80, and of one that is turned to 80 x 120
	}{
		{Cover, 40, 40, image.Pt(40, 40), image.Pt(40, 40)},
		{Contain, 40, 40, image.Pt(40, 40), image.Pt(40, 40)},
		{Inside, 40, 40, image.Pt(40, 27), image.Pt(27, 40)},
		{Cover, 60, 20, image.Pt(60, 20), image.Pt(60, 20)},
		{Contain, 33, 17, image.Pt(33, 17), image.Pt(33, 17)},
		{Inside, 60, 20, image.Pt(30, 20), image.Pt(13, 20)},
		{Inside, 30, 0, image.Pt(30, 20), image.Pt(30, 45)},
		{Cover, 0, 40, image.Pt(60, 40), image.Pt(27, 40)},
		{Contain, 60, 0, image.Pt(60, 40), image.Pt(60, 90)},
		{Inside, 0, 0, image.Pt(120, 80), image.Pt(80, 120)},
		{Cover, 0, 0, image.Pt(120, 80), image.Pt(80, 120)},
		{Inside, 1, 1, image.Pt(1, 1), image.Pt(1, 1)},
		// nothing grows
		{Inside, 500, 500, image.Pt(120, 80), image.Pt(80, 120)},
		{Inside, 500, 0, image.Pt(120, 80), image.Pt(80, 120)},
		{Cover, 500, 500, image.Pt(80, 80), image.Pt(80, 80)},
		{Cover, 240, 80, image.Pt(120, 40), image.Pt(80, 27)},
		{Contain, 500, 500, image.Pt(120, 120), image.Pt(120, 120)},
		{Contain, 480, 160, image.Pt(240, 80), image.Pt(360, 120)},
	}
	for _, from := range storedFormats {
		data := stored(t, quarters(120, 80), from)
		for _, to := range writtenFormats {
			for _, test := range tests {
				v := Variant{Width: test.width, Height: test.height, Fit: test.fit, Format: to}
				for _, orientation := range []int{1, 3, 6} {
					want := test.want
					if orientation > 4 {
						want = test.turned
					}
					if got := decoded(t, render(t, data, from, orientation, v), to).Bounds().Size(); got != want {
						t.Errorf("%s to %+v with orientation %d is %v, want %v", from, v, orientation, got, want)
					}
				}
			}
		}
	}
}

// uprightCorners are the corners of the stored picture as they are seen, from Exif's definition: orientation 6 says
// that row 0 is the right side.
var uprightCorners = [9][4]int{1: {0, 1, 2, 3}, 2: {1, 0, 3, 2}, 3: {3, 2, 1, 0}, 4: {2, 3, 0, 1},
	5: {0, 2, 1, 3}, 6: {2, 0, 3, 1}, 7: {3, 1, 2, 0}, 8: {1, 3, 0, 2}}

func TestRenderIsUpright(t *testing.T) {
	for _, from := range storedFormats {
		data := stored(t, quarters(121, 83), from)
		for _, to := range writtenFormats {
			for _, fit := range []Fit{Cover, Inside} {
				for orientation := 1; orientation <= 8; orientation++ {
					var want [4]color.NRGBA
					for i, corner := range uprightCorners[orientation] {
						want[i] = corners[corner]
					}
					v := Variant{Width: 44, Height: 44, Fit: fit, Format: to}
					t.Run(fmt.Sprintf("%s-%s-%s-%d", from, to, fit, orientation), func(t *testing.T) {
						wantCorners(t, decoded(t, render(t, data, from, orientation, v), to), want, 24)
					})
				}
			}
		}
	}
}

func TestRenderGrayIsUpright(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 60, 40))
	draw.Draw(gray, image.Rect(0, 0, 30, 20), image.White, image.Point{}, draw.Src)
	for _, from := range []Format{JPEG, PNG} {
		for _, to := range []Format{JPEG, PNG} {
			m := decoded(t, render(t, stored(t, gray, from), from, 6, Variant{Width: 20, Format: to}), to)
			if _, ok := m.(*image.Gray); !ok {
				t.Errorf("%s to %s is %T, want grey", from, to, m)
			}
			black, white := color.NRGBA{0, 0, 0, 255}, color.NRGBA{255, 255, 255, 255}
			wantCorners(t, m, [4]color.NRGBA{black, white, black, black}, 6)
		}
	}
}

// TestContainFillsTheBox looks at the bars: white in a JPEG, nothing elsewhere.
func TestContainFillsTheBox(t *testing.T) {
	for _, from := range storedFormats {
		data := stored(t, quarters(80, 40), from)
		for _, to := range writtenFormats {
			bar := color.NRGBA{}
			if to == JPEG {
				bar = color.NRGBA{255, 255, 255, 255}
			}
			m := decoded(t, render(t, data, from, 1, Variant{Width: 40, Height: 40, Fit: Contain, Format: to}), to)
			for _, y := range []int{2, 37} {
				wantColor(t, m, 20, y, bar, 16)
			}
			wantColor(t, m, 4, 14, corners[0], 24)
			wantColor(t, m, 35, 25, corners[3], 24)
		}
	}
}

func TestTransparencyBecomesWhiteInJPEG(t *testing.T) {
	half := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	draw.Draw(half, half.Rect, image.NewUniform(color.NRGBA{200, 0, 0, 128}), image.Point{}, draw.Src)
	for _, from := range []Format{PNG, WebP} {
		data := stored(t, half, from)
		onWhite := decoded(t, render(t, data, from, 1, Variant{Width: 20, Format: JPEG}), JPEG)
		wantColor(t, onWhite, 10, 10, color.NRGBA{227, 127, 127, 255}, 4)
		for _, to := range []Format{PNG, WebP} {
			kept := decoded(t, render(t, data, from, 1, Variant{Width: 20, Format: to}), to)
			wantColor(t, kept, 10, 10, color.NRGBA{200, 0, 0, 128}, 4)
		}
	}
}

// TestResampleKeepsColors makes sure that edges do not darken: what is of one colour stays so.
func TestResampleKeepsColors(t *testing.T) {
	for _, value := range []byte{0, 1, 127, 254, 255} {
		src := newPlane(301, 203, 4)
		src.fill(value)
		for _, size := range []image.Point{{1, 1}, {7, 5}, {100, 70}, {300, 200}, {301, 203}} {
			dst := newPlane(size.X, size.Y, 4)
			resample(dst, src.lines(), region{span{0, 301}, span{0, 203}})
			for i, got := range dst.pix {
				if got != value {
					t.Fatalf("sample %d of %v is %d, want %d", i, size, got, value)
				}
			}
		}
	}
}

// TestResampleIsCatmullRom compares with a library that computes in floating point.
func TestResampleIsCatmullRom(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 200, 150))
	for i := range src.Pix { // nothing gets near black or white, where both cut off what overshoots
		src.Pix[i] = byte(100 + i*i>>9%50)
	}
	for i := 3; i < len(src.Pix); i += 4 {
		src.Pix[i] = 255
	}
	for _, size := range []image.Point{{199, 149}, {110, 80}, {70, 60}} {
		want := image.NewRGBA(image.Rectangle{Max: size})
		draw.CatmullRom.Scale(want, want.Rect, src, src.Rect, draw.Src, nil)
		got := newPlane(size.X, size.Y, 4)
		resample(got, rgbaLines(src), region{span{0, 200}, span{0, 150}})
		for i := range got.pix {
			if d := int(got.pix[i]) - int(want.Pix[i]); d < -2 || d > 2 {
				t.Fatalf("sample %d of %v is %d, want %d", i, size, got.pix[i], want.Pix[i])
			}
		}
	}
}

// TestFullSizeChangesNothing renders without resizing.
func TestFullSizeChangesNothing(t *testing.T) {
	m := paint(33, 21)
	got := decoded(t, render(t, stored(t, m, PNG), PNG, 1, Variant{Format: PNG}), PNG)
	for y := range 21 {
		for x := range 33 {
			wantColor(t, got, x, y, color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA), 0)
		}
	}
}

// iccProfile is as long as asked for and looks like a profile for a space of colours.
func iccProfile(length int, space string) []byte {
	profile := bytes.Repeat([]byte("A profile that nobody compresses much: 0123456789. "), length/50+1)[:length]
	for i := range profile {
		profile[i] += byte(i * i >> 7)
	}
	binary.BigEndian.PutUint32(profile, uint32(length))
	copy(profile[12:], "mntr"+space+"XYZ ")
	return profile
}

func withICC(tb testing.TB, data []byte, f Format, profile []byte) []byte {
	tb.Helper()
	switch f {
	case JPEG:
		return insert(data, jpegHeaderSize, jpegProfileSegments(profile))
	case PNG:
		return insert(data, pngHeaderSize, pngProfileChunk(profile))
	}
	file, err := withProfile(data, decoded(tb, data, WebP), profile)
	if err != nil {
		tb.Fatal(err)
	}
	return file
}

func TestProfilesSurvive(t *testing.T) {
	for _, length := range []int{548, 65519, 200_001} {
		profile := iccProfile(length, "RGB ")
		for _, from := range writtenFormats {
			data := withICC(t, stored(t, quarters(64, 48), from), from, profile)
			for _, to := range writtenFormats {
				out := render(t, data, from, 6, Variant{Width: 20, Height: 20, Fit: Contain, Format: to})
				got, err := (&source{r: bytes.NewReader(out)}).profile(to)
				if err != nil || !bytes.Equal(got, profile) {
					t.Errorf("%s to %s: the profile has %d bytes, want %d: %v", from, to, len(got), length, err)
				}
				if from == JPEG && (to == JPEG || length < 1000) {
					wantICC(t, out, to, profile)
				}
				decoded(t, out, to)
			}
		}
	}
}

// wantICC asks a program of others.
func wantICC(t *testing.T, data []byte, f Format, want []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "picture."+f.Extension())
	writeFile(t, name, data)
	if got := exiftool(t, "-b", "-icc_profile", name); !bytes.Equal(got, want) {
		t.Errorf("exiftool finds a profile of %d bytes in the %s, want %d", len(got), f, len(want))
	}
}

// TestProfilesThatDoNotFit checks that a variant has no profile rather than a wrong one.
func TestProfilesThatDoNotFit(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 30, 20))
	tests := []struct {
		name string
		data []byte
		to   Format
		want bool
	}{
		{"CMYK becomes RGB", withICC(t, fixture(t, "cmyk.jpg"), JPEG, iccProfile(600, "CMYK")), JPEG, false},
		{"grey stays grey", withICC(t, stored(t, gray, JPEG), JPEG, iccProfile(600, "GRAY")), PNG, true},
		{"WebP knows no grey", withICC(t, stored(t, gray, JPEG), JPEG, iccProfile(600, "GRAY")), WebP, false},
		{"too large", withICC(t, stored(t, quarters(30, 20), JPEG), JPEG, iccProfile(maxProfile+1, "RGB ")), JPEG, false},
		{"too short", withICC(t, stored(t, quarters(30, 20), JPEG), JPEG, iccProfile(600, "RGB ")[:127]), JPEG, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out := render(t, test.data, JPEG, 1, Variant{Width: 10, Format: test.to})
			got, err := (&source{r: bytes.NewReader(out)}).profile(test.to)
			if err != nil || (got != nil) != test.want {
				t.Errorf("the profile has %d bytes: %v", len(got), err)
			}
		})
	}
}

// TestAnimationsShowTheirFirstFrame has frames that don't fill the canvas.
func TestAnimationsShowTheirFirstFrame(t *testing.T) {
	red, blue := color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}
	frame := func(r image.Rectangle, c color.Color) *image.Paletted {
		return &image.Paletted{Pix: make([]byte, r.Dx()*r.Dy()), Stride: r.Dx(), Rect: r, Palette: color.Palette{c, color.White}}
	}
	animated := encodeAllGIF(t, &gif.GIF{
		Image:  []*image.Paletted{frame(image.Rect(20, 10, 40, 30), red), frame(image.Rect(0, 0, 40, 30), blue)},
		Delay:  []int{1, 1},
		Config: image.Config{Width: 40, Height: 30},
	})
	m := decoded(t, render(t, animated, GIF, 1, Variant{Format: PNG}), PNG)
	wantCorners(t, m, [4]color.NRGBA{{}, {}, {}, red}, 0)

	still := stored(t, quarters(20, 10), WebP)
	header := append([]byte{5, 0, 0, 5, 0, 0}, 19, 0, 0, 9, 0, 0, 1, 0, 0, 0) // at 10, 10
	chunks := webpHeader(image.Pt(40, 30), 1<<1|webpAlpha).appendTo(nil)
	chunks = riffChunk{"ANIM", make([]byte, 6)}.appendTo(chunks)
	for range 2 {
		chunks = riffChunk{"ANMF", append(bytes.Clone(header), still[12:]...)}.appendTo(chunks)
	}
	m = decoded(t, render(t, webpFile(chunks), WebP, 1, Variant{Format: PNG}), PNG)
	wantColor(t, m, 2, 2, color.NRGBA{}, 0)
	wantColor(t, m, 11, 11, corners[0], 30)
	wantColor(t, m, 28, 18, corners[3], 30)
}

// TestLossyWebPKeepsItsColors: the fixture was made by cwebp of white, black and the red 220, 30, 30.
func TestLossyWebPKeepsItsColors(t *testing.T) {
	m := decoded(t, render(t, fixture(t, "colors.webp"), WebP, 1, Variant{Format: PNG}), PNG)
	for i, want := range []color.NRGBA{{255, 255, 255, 255}, {0, 0, 0, 255}, {220, 30, 30, 255}} {
		wantColor(t, m, 16*i+8, 8, want, 6)
	}
}

func TestEverySampleIsRendered(t *testing.T) {
	for _, s := range samples(t) {
		for _, to := range writtenFormats {
			out := render(t, s.data, s.format, 1, Variant{Width: 7, Height: 5, Fit: Cover, Format: to})
			if got := decoded(t, out, to).Bounds().Size(); got != image.Pt(7, 5) {
				t.Errorf("%s to %s is %v", s.name, to, got)
			}
		}
	}
}

// TestRenderTellsReadingFromDamage: a disk that fails says nothing about the picture.
func TestRenderTellsReadingFromDamage(t *testing.T) {
	data := stored(t, quarters(64, 48), PNG)
	err := Render(io.Discard, bytes.NewReader(data[:len(data)/2]), PNG, 1, Variant{Format: PNG})
	if !apperr.Is(err, apperr.ImageDamaged) {
		t.Errorf("half a picture: %v", err)
	}
	broken := errors.New("broken disk")
	err = Render(io.Discard, &failing{bytes.NewReader(data), int64(len(data) / 2), broken}, PNG, 1, Variant{Format: PNG})
	if !errors.Is(err, broken) || apperr.Is(err, apperr.ImageDamaged) {
		t.Errorf("a broken disk: %v", err)
	}
	err = Render(failingWriter{broken}, bytes.NewReader(data), PNG, 1, Variant{Format: PNG})
	if !errors.Is(err, broken) || apperr.Is(err, apperr.ImageDamaged) {
		t.Errorf("a broken writer: %v", err)
	}
}

// failing is a file that can be read up to an offset.
type failing struct {
	*bytes.Reader
	end int64
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	at := f.Size() - int64(f.Len())
	if at >= f.end {
		return 0, f.err
	}
	return f.Reader.Read(p[:min(int64(len(p)), f.end-at)])
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestDecodeMemory(t *testing.T) {
	thumbnail := Variant{Width: 320, Height: 320, Fit: Inside, Format: JPEG}
	if got := DecodeMemory(JPEG, 4000, 3000, thumbnail); got < 1<<20 || got > 12<<20 {
		t.Errorf("a thumbnail of a JPEG takes %d bytes", got)
	}
	full := DecodeMemory(JPEG, 4000, 3000, Variant{Format: JPEG})
	if large := DecodeMemory(JPEG, 4000, 3000, Variant{Width: 2000, Format: JPEG}); large >= full || full < 36<<20 {
		t.Errorf("half the size takes %d bytes, the full size %d", large, full)
	}
	for _, f := range storedFormats {
		if got := DecodeMemory(f, 1<<16, 1<<10, Variant{}); got <= 0 {
			t.Errorf("to check a %s takes %d bytes", f, got)
		}
	}
}

// TestDecodeTime tells the pictures of a phone from those that keep a core busy for seconds.
func TestDecodeTime(t *testing.T) {
	thumbnail := Variant{Width: 320, Height: 320, Fit: Inside, Format: JPEG}
	photo, bomb := DecodeTime(JPEG, 4000, 3000, thumbnail), DecodeTime(WebP, 8192, 6400, thumbnail)
	if photo < 10*time.Millisecond || photo > 200*time.Millisecond || bomb < 2*time.Second {
		t.Errorf("a photograph takes %v, a large WebP %v", photo, bomb)
	}
	if check, large := DecodeTime(GIF, 2000, 2000, Variant{}), DecodeTime(GIF, 2000, 2000, Variant{Format: WebP}); check <= 0 || large < 2*check {
		t.Errorf("a check takes %v, a large variant %v", check, large)
	}
}
