package jpeg

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// full asks for the whole size.
var full = Options{MinWidth: math.MaxInt}

func decodeBytes(data []byte, o Options) (image.Image, error) {
	return Decode(bytes.NewReader(data), o)
}

// fixtures returns the pictures of testdata by name. They are 45x35 pixels.
func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(paths) == 0 {
		t.Fatal("no fixtures", err)
	}
	pictures := map[string][]byte{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pictures[strings.TrimSuffix(filepath.Base(path), ".jpg")] = data
	}
	return pictures
}

// pictures returns the fixtures that are decoded, and pictures of Go's encoder.
func pictures(t testing.TB) map[string][]byte {
	pictures := fixtures(t)
	delete(pictures, "arithmetic")
	ycck := bytes.Clone(pictures["cmyk"])
	ycck[bytes.Index(ycck, []byte("Adobe"))+11] = 2
	pictures["ycck"] = ycck
	pictures["photo"] = encode(t, photo(403, 305), 90)
	pictures["photo of low quality"] = encode(t, photo(403, 305), 10)
	pictures["gray photo"] = encode(t, grayOf(photo(99, 305)), 85)
	pictures["noise"] = encode(t, noise(64, 64), 100)
	pictures["a pixel"] = encode(t, noise(1, 1), 50)
	pictures["a row"] = encode(t, noise(300, 1), 50)
	return pictures
}

func grayOf(p *image.YCbCr) *image.Gray {
	return &image.Gray{Pix: p.Y, Stride: p.YStride, Rect: p.Rect}
}

// noise returns random pixels, which compress worst.
func noise(width, height int) *image.Gray {
	random := rand.New(rand.NewPCG(3, 4))
	p := image.NewGray(image.Rect(0, 0, width, height))
	for i := range p.Pix {
		p.Pix[i] = byte(random.IntN(256))
	}
	return p
}

// sameAs are the fixtures that the standard library refuses, those of the same picture that it does not, and how alike
// they are at least, in dB: where the subsampling differs, it shows.
var sameAs = map[string]struct {
	name  string
	least float64
}{
	"odd-3x1":             {"progressive-444", 22},
	"odd-3x2":             {"progressive-444", 21},
	"odd-chroma":          {"progressive-444", 26},
	"odd-mixed":           {"progressive-444", 25},
	"progressive-restart": {"progressive-420", 60},
}

func TestDecodeAsTheStandardLibrary(t *testing.T) {
	all := pictures(t)
	for name, data := range all {
		t.Run(name, func(t *testing.T) {
			reference, least := data, 0.0
			if other, ok := sameAs[name]; ok {
				reference, least = all[other.name], other.least
			}
			want, err := stdjpeg.Decode(bytes.NewReader(reference))
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeBytes(data, full)
			if err != nil {
				t.Fatal(err)
			}
			if got.Bounds() != want.Bounds() || reflect.TypeOf(got) != reflect.TypeOf(want) {
				t.Fatalf("%T %v, want %T %v", got, got.Bounds(), want, want.Bounds())
			}
			if least > 0 {
				wantAlike(t, got, want, least)
				return
			}
			wantSame(t, got, want)
		})
	}
}

// wantSame compares pictures of one type, sample by sample.
func wantSame(t *testing.T, got, want image.Image) {
	t.Helper()
	bounds := want.Bounds()
	worst, sum, count := 0, 0, 0
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			a, b := samplesAt(got, x, y), samplesAt(want, x, y)
			for i := range a {
				difference := max(int(a[i])-int(b[i]), int(b[i])-int(a[i]))
				worst = max(worst, difference)
				sum += difference
				count++
			}
		}
	}
	limit := 1
	if _, ok := want.(*image.CMYK); ok {
		limit = 3 // a difference of YCbCr is larger in RGB
	}
	if worst > limit || float64(sum)/float64(count) > 0.1 {
		t.Errorf("differs by %d at most and %.4f on average", worst, float64(sum)/float64(count))
	}
}

func samplesAt(m image.Image, x, y int) []uint8 {
	switch c := m.At(x, y).(type) {
	case color.Gray:
		return []uint8{c.Y}
	case color.YCbCr:
		return []uint8{c.Y, c.Cb, c.Cr}
	case color.CMYK:
		return []uint8{c.C, c.M, c.Y, c.K}
	case color.RGBA:
		return []uint8{c.R, c.G, c.B, c.A}
	}
	panic("unknown color")
}

// wantAlike compares the colors of pictures by their peak signal-to-noise ratio in dB.
func wantAlike(t *testing.T, got, want image.Image, least float64) {
	t.Helper()
	bounds := want.Bounds()
	sum, count := 0.0, 0
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			r, g, b, _ := got.At(x, y).RGBA()
			wantR, wantG, wantB, _ := want.At(x, y).RGBA()
			for _, difference := range []float64{float64(r) - float64(wantR), float64(g) - float64(wantG), float64(b) - float64(wantB)} {
				sum += difference * difference / 257 / 257
				count++
			}
		}
	}
	if psnr := 10 * math.Log10(255*255/(sum/float64(count)+1e-9)); psnr < least {
		t.Errorf("%.1f dB, want %.0f", psnr, least)
	}
}

// averaged returns a picture whose pixels are the average of n x n.
func averaged(m image.Image, n int) image.Image {
	bounds := m.Bounds()
	out := image.NewRGBA64(image.Rect(0, 0, ceilDiv(bounds.Dx(), n), ceilDiv(bounds.Dy(), n)))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			box := image.Rect(x*n, y*n, x*n+n, y*n+n).Intersect(bounds)
			var sum [3]uint32
			for sy := box.Min.Y; sy < box.Max.Y; sy++ {
				for sx := box.Min.X; sx < box.Max.X; sx++ {
					r, g, b, _ := m.At(sx, sy).RGBA()
					sum[0], sum[1], sum[2] = sum[0]+r, sum[1]+g, sum[2]+b
				}
			}
			count := uint32(box.Dx() * box.Dy())
			out.SetRGBA64(x, y, color.RGBA64{uint16(sum[0] / count), uint16(sum[1] / count), uint16(sum[2] / count), 0xffff})
		}
	}
	return out
}

func TestDecodeReduced(t *testing.T) {
	for name, data := range pictures(t) {
		whole, err := decodeBytes(data, full)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{2, 4, 8} {
			want := averaged(whole, n)
			got, err := decodeBytes(data, Options{want.Bounds().Dx(), want.Bounds().Dy()})
			if err != nil {
				t.Fatal(err)
			}
			if whole.Bounds().Dy() == 1 {
				continue // all sizes have that row, and the smallest is chosen by the width only
			}
			t.Run(fmt.Sprint(name, " 1:", n), func(t *testing.T) {
				if got.Bounds() != want.Bounds() {
					t.Fatalf("%v, want %v", got.Bounds(), want.Bounds())
				}
				wantAlike(t, got, want, leastReduced(name, got))
			})
		}
	}
}

// leastReduced is how alike, in dB, a reduced picture and the average of the whole are. The fixtures have few pixels
// and much color, and where color is stored coarser than the reduced pixels, they are far from it.
func leastReduced(name string, m image.Image) float64 {
	p, ok := m.(*image.YCbCr)
	switch {
	case strings.HasPrefix(name, "odd"), ok && p.SubsampleRatio != image.YCbCrSubsampleRatio444:
		return 14
	case name == "noise":
		return 16
	case strings.Contains(name, "photo"):
		return 28
	}
	return 20
}

func TestChosenSize(t *testing.T) {
	data := encode(t, photo(403, 305), 50)
	tests := []struct {
		options Options
		want    image.Point
	}{
		{Options{}, image.Pt(51, 39)},
		{Options{51, 39}, image.Pt(51, 39)},
		{Options{52, 0}, image.Pt(101, 77)},
		{Options{0, 40}, image.Pt(101, 77)},
		{Options{102, 77}, image.Pt(202, 153)},
		{Options{202, 154}, image.Pt(403, 305)},
		{Options{403, 305}, image.Pt(403, 305)},
		{Options{4000, 1}, image.Pt(403, 305)},
	}
	for _, tt := range tests {
		got, err := decodeBytes(data, tt.options)
		if err != nil || got.Bounds() != (image.Rectangle{Max: tt.want}) {
			t.Errorf("%+v: %v, %v, want %v", tt.options, got.Bounds(), err, tt.want)
		}
	}
}

// everySize are options for each size of the fixtures.
var everySize = []Options{{}, {10, 0}, {20, 0}, full}

func TestTruncated(t *testing.T) {
	for name, data := range fixtures(t) {
		for n := range data {
			_, err := decodeBytes(data[:n], everySize[n%len(everySize)])
			if !isRefusal(err) {
				t.Fatalf("%s cut at %d of %d: %v", name, n, len(data), err)
			}
		}
	}
}

// isRefusal reports whether err is about the picture.
func isRefusal(err error) bool {
	_, isFormat := errors.AsType[FormatError](err)
	_, isUnsupported := errors.AsType[UnsupportedError](err)
	return isFormat || isUnsupported
}

// TestDamaged wants the same answer at every size.
func TestDamaged(t *testing.T) {
	for name, data := range fixtures(t) {
		for i := 0; i < len(data); i += 7 {
			damaged := bytes.Clone(data)
			damaged[i] ^= byte(1 + i)
			_, want := decodeBytes(damaged, full)
			if want != nil && !isRefusal(want) {
				t.Fatalf("%s damaged at %d: %v", name, i, want)
			}
			for _, o := range everySize {
				if _, err := decodeBytes(damaged, o); isRefusal(err) != (want != nil) {
					t.Fatalf("%s damaged at %d: %v with %+v, want %v", name, i, err, o, want)
				}
			}
		}
	}
}

// edit returns data with the first old replaced.
func edit(t *testing.T, data []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("no %x", old)
	}
	return bytes.Replace(data, []byte(old), []byte(new), 1)
}

func TestRefused(t *testing.T) {
	files := fixtures(t)
	color, gray, progressive, restart := files["422"], files["gray"], files["progressive-gray"], files["restart"]
	scan := progressive[bytes.LastIndex(progressive, []byte("\xff\xda")) : len(progressive)-2]
	component := files["scans"][bytes.LastIndex(files["scans"], []byte("\xff\xda")):]
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"no picture", []byte("GIF89a"), FormatError("no start of image")},
		{"nothing", nil, FormatError("cut off")},
		{"no frame", []byte("\xff\xd8\xff\xd9"), FormatError("no frame")},
		{"no scan", edit(t, gray, "\xff\xda", "\xff\xd9"), FormatError("a component is missing")},
		{"a component less", append(bytes.TrimSuffix(bytes.Clone(files["scans"]), component), 0xff, markerEOI), FormatError("a component is missing")},
		{"a component twice", append(files["scans"][:len(files["scans"])-2:len(files["scans"])-2], component...), FormatError("coefficients twice or out of order")},
		{"a scan twice", append(progressive[:len(progressive)-2:len(progressive)-2], scan...), FormatError("coefficients twice or out of order")},
		{"arithmetic", files["arithmetic"], UnsupportedError("arithmetic, lossless or hierarchical")},
		{"12 bits", edit(t, gray, "\xff\xc0\x00\x0b\x08", "\xff\xc1\x00\x0b\x0c"), UnsupportedError("not 8 bits a sample")},
		{"lossless", edit(t, gray, "\xff\xc0", "\xff\xc3"), UnsupportedError("arithmetic, lossless or hierarchical")},
		{"no height", edit(t, gray, "\xff\xc0\x00\x0b\x08\x00\x23", "\xff\xc0\x00\x0b\x08\x00\x00"), UnsupportedError("height behind the picture")},
		{"no width", edit(t, gray, "\x08\x00\x23\x00\x2d", "\x08\x00\x23\x00\x00"), FormatError("no width")},
		{"higher than its data", edit(t, gray, "\x08\x00\x23", "\x08\x00\x2f"), FormatError("scan ends early")},
		{"CMYK of no kind", edit(t, files["cmyk"], "Adobe", "Abode"), UnsupportedError("four components of unknown meaning")},
		{"restart markers out of order", edit(t, restart, "\xff\xd1", "\xff\xd2"), FormatError("wrong restart marker")},
		{"a restart marker too many", edit(t, color, "\xff\xd9", "\xff\xd0"), FormatError("cut off")},
		{"stray bytes in front of a marker", edit(t, gray, "\xff\xd9", "abc\xff\xff\xff\xd9"), nil},
		{"a restart marker at the end", edit(t, gray, "\xff\xd9", "\xff\xd0\xff\xd9"), nil},
		{"data behind the picture", append(bytes.Clone(gray), "<html>"...), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, o := range everySize {
				if _, err := decodeBytes(tt.data, o); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
			}
		})
	}
}

// progressiveGray returns a gray picture of 6x5 blocks with these scans behind that of the DC coefficient. Its only AC
// code is a 0 and four bits, for a run of 16 to 31 blocks without more coefficients.
func progressiveGray(scans ...string) []byte {
	b := []byte("\xff\xd8\xff\xdb\x00\x43\x00" + strings.Repeat("\x01", 64))
	b = append(b, "\xff\xc2\x00\x0b\x08\x00\x23\x00\x2d\x01\x01\x11\x00"...)
	counts := "\x01" + strings.Repeat("\x00", 15)
	b = append(b, "\xff\xc4\x00\x26\x00"+counts+"\x00\x10"+counts+"\x40"...)
	b = append(b, progressiveScan(0, 0, 0x00)+"\x00\x00\x00\x03"...)
	for _, scan := range scans {
		b = append(b, scan...)
	}
	return append(b, 0xff, markerEOI)
}

// progressiveScan returns a scan header; highLow are the two of successive approximation.
func progressiveScan(first, last, highLow byte) string {
	return "\xff\xda\x00\x08\x01\x01\x00" + string([]byte{first, last, highLow})
}

func TestProgression(t *testing.T) {
	const empty, tooLong = "\x77", "\x7f" // runs of 30 and 31 blocks
	var each []string
	for _, highLow := range []byte{0x02, 0x21, 0x10} {
		for k := byte(1); k < 64; k++ {
			each = append(each, progressiveScan(k, k, highLow)+empty)
		}
	}
	outOfOrder := FormatError("coefficients twice or out of order")
	tests := []struct {
		name  string
		scans []string
		want  error
	}{
		{"only DC", nil, nil},
		{"all", []string{progressiveScan(1, 63, 0x00) + empty}, nil},
		{"as many scans as allowed", each[:maxScans-1], nil},
		{"more", each[:maxScans], FormatError("too many scans")},
		{"run past the end", []string{progressiveScan(1, 63, 0x00) + tooLong}, FormatError("run past the last block")},
		{"no data", []string{progressiveScan(1, 63, 0x00)}, FormatError("scan ends early")},
		{"twice", []string{each[0], each[0]}, outOfOrder},
		{"refined before it is sent", []string{progressiveScan(1, 63, 0x10) + empty}, outOfOrder},
		{"a bit left out", []string{each[0], progressiveScan(1, 1, 0x10) + empty}, outOfOrder},
		{"two bits at once", []string{each[0], progressiveScan(1, 1, 0x20) + empty}, FormatError("bad progression")},
		{"DC together with AC", []string{progressiveScan(0, 63, 0x00) + empty}, outOfOrder},
		{"past the block", []string{progressiveScan(1, 64, 0x00) + empty}, FormatError("bad progression")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, o := range everySize {
				if _, err := decodeBytes(progressiveGray(tt.scans...), o); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
			}
		})
	}
}

// sequentialGray returns a gray picture of one block with this data. Its DC codes are 0, for no difference, and 10,
// for one of 15 bits. Its AC codes are 0, for the end of the block; 10, for a run of 15 zeros and a coefficient of a
// bit; 110, for one of 11 bits.
func sequentialGray(data string) []byte {
	b := []byte("\xff\xd8\xff\xdb\x00\x43\x00" + strings.Repeat("\x01", 64))
	b = append(b, "\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"...)
	zeros := strings.Repeat("\x00", 13)
	b = append(b, "\xff\xc4\x00\x29\x00\x01\x01\x00"+zeros+"\x00\x0f\x10\x01\x01\x01"+zeros+"\x00\xf1\x0b"...)
	b = append(b, "\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"...)
	return append(append(b, data...), 0xff, markerEOI)
}

func TestBadCodes(t *testing.T) {
	bad := FormatError("bad code or too many coefficients")
	const more = "000000000000000000000000"
	tests := []struct {
		name string
		data string // bits
		want error
	}{
		{"empty block", "0 0", nil},
		{"three coefficients", "0 101 101 101 0", nil},
		{"one coefficient too many", "0 101 101 101 101" + more, bad},
		{"no DC code", "11" + more, bad},
		{"no AC code", "0 111" + more, bad},
		{"difference too large", "10" + more, bad},
		{"coefficient too large", "0 110" + more, bad},
		{"a bit too few", "0 101 101 10", FormatError("scan ends early")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, o := range []Options{{}, {2, 0}, {4, 0}, full} {
				if _, err := decodeBytes(sequentialGray(pack(tt.data)), o); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
			}
		})
	}
}

// pack returns the bytes of bits that are written as digits, filled up with ones.
func pack(digits string) string {
	digits = strings.ReplaceAll(digits, " ", "")
	digits += strings.Repeat("1", -len(digits)&7)
	var packed []byte
	for i, digit := range []byte(digits) {
		if i%8 == 0 {
			packed = append(packed, 0)
		}
		packed[i/8] = packed[i/8]<<1 | (digit - '0')
	}
	return string(packed)
}

func TestSourceFails(t *testing.T) {
	data := fixtures(t)["gray"]
	broken := errors.New("broken")
	source := io.MultiReader(bytes.NewReader(data[:300]), iotest.ErrReader(broken))
	if _, err := Decode(source, Options{}); !errors.Is(err, broken) || isRefusal(err) {
		t.Errorf("%v, want %v", err, broken)
	}
	if _, err := Decode(iotest.OneByteReader(bytes.NewReader(data)), Options{}); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range pictures(f) {
		if len(data) < 3000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		size := dimensions(data)
		if size.X*size.Y > 1<<16 {
			return // the caller checks that
		}
		small, smallErr := decodeBytes(data, Options{})
		whole, err := decodeBytes(data, full)
		if isRefusal(smallErr) != (err != nil) || isRefusal(err) != (err != nil) {
			t.Fatalf("%v at the smallest size, %v at the full one", smallErr, err)
		}
		if err != nil {
			return
		}
		if got := whole.Bounds(); got != (image.Rectangle{Max: size}) {
			t.Fatalf("%v, want %v", got, size)
		}
		if got, want := small.Bounds(), image.Rect(0, 0, ceilDiv(size.X, 8), ceilDiv(size.Y, 8)); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
		if reference, err := stdjpeg.Decode(bytes.NewReader(data)); err == nil && reference.Bounds() != whole.Bounds() {
			t.Fatalf("%v, but %v by the standard library", whole.Bounds(), reference.Bounds())
		}
	})
}

// dimensions returns those of the frame header, as far as the picture is valid up to it.
func dimensions(data []byte) image.Point {
	d := &decoder{src: bufio.NewReader(bytes.NewReader(data))}
	if _, err := d.src.Discard(2); err != nil {
		return image.Point{}
	}
	for d.frame.components == nil {
		marker, err := d.nextMarker()
		if err != nil || marker == markerEOI || d.segment(marker) != nil {
			break
		}
	}
	return image.Pt(d.frame.width, d.frame.height)
}
