package codec

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/apperr"
)

// The fixtures were made by heif-enc of libheif 1.15 from painted quarters: red, green, blue and yellow.
//
//	heif-enc -q 60 turned.jpg -o rotated.heic    with an irot box added by hand; the JPEG had Exif with a position,
//	                                             a camera and another orientation, which does not count
//	heif-enc -q 60 displayp3.jpg -o grid.heic    with the profile "p3" of libvips
//	heif-enc -q 80 muted.png -o limited.heic     with a colr box added by hand: BT.709, limited range
//	heif-enc -q 40 halfclear.png -o alpha.heic
//	heif-enc -A -q 50 corners.png -o corners.avif
var (
	red, green   = color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 255, 0, 255}
	blue, yellow = color.NRGBA{0, 0, 255, 255}, color.NRGBA{255, 255, 0, 255}
)

func convert(t *testing.T, name string) ([]byte, Info) {
	t.Helper()
	var b bytes.Buffer
	info, err := Convert(t.Context(), &b, fixture(t, name), HEIC, roomy)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), info
}

func TestConvert(t *testing.T) {
	photo := Info{Width: 104, Height: 136, Orientation: 1, Frames: 1, Camera: "Acme Phone 1",
		TakenAt: time.Date(2024, 5, 5, 23, 8, 9, 0, time.UTC)}
	tests := []struct {
		name string
		want Info
		seen [4]color.NRGBA
	}{
		{"rotated.heic", photo, [4]color.NRGBA{green, yellow, red, blue}},
		{"grid.heic", Info{Width: 101, Height: 75, Orientation: 1, Frames: 1},
			[4]color.NRGBA{{234, 51, 35, 255}, {117, 251, 76, 255}, {0, 0, 245, 255}, {255, 255, 84, 255}}}, // as Display P3
		{"limited.heic", Info{Width: 128, Height: 128, Orientation: 1, Frames: 1},
			[4]color.NRGBA{{200, 60, 60, 255}, {60, 200, 60, 255}, {60, 60, 200, 255}, {200, 200, 60, 255}}},
		{"alpha.heic", Info{Width: 101, Height: 75, Orientation: 1, Frames: 1}, [4]color.NRGBA{red, green, blue, yellow}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data, info := convert(t, test.name)
			if info != test.want {
				t.Errorf("info is %+v, want %+v", info, test.want)
			}
			m, err := jpeg.Decode(bytes.NewReader(data))
			if err != nil || m.Bounds().Size() != image.Pt(test.want.Width, test.want.Height) {
				t.Fatalf("the JPEG is %v: %v", m.Bounds(), err)
			}
			wantCorners(t, m, test.seen, 32)
			if _, _, _, err := clean(bytes.NewReader(data), JPEG, roomy); err != nil {
				t.Errorf("Clean refuses it: %v", err)
			}
			if _, err := Check(bytes.NewReader(data), JPEG, 1, roomy); err != nil {
				t.Errorf("Check refuses it: %v", err)
			}
		})
	}
}

func TestConvertKeepsTheProfile(t *testing.T) {
	data, _ := convert(t, "grid.heic")
	got, err := (&source{r: bytes.NewReader(data)}).profile(JPEG)
	if err != nil || !bytes.Contains(fixture(t, "grid.heic"), got) || colorSpace(got) != "RGB " {
		t.Errorf("the profile has %d bytes: %v", len(got), err)
	}
	wantICC(t, data, JPEG, got)
}

func TestConvertLeavesNoMetadata(t *testing.T) {
	dir := t.TempDir()
	before, after := filepath.Join(dir, "before.heic"), filepath.Join(dir, "after.jpg")
	data, _ := convert(t, "rotated.heic")
	writeFile(t, before, fixture(t, "rotated.heic"))
	writeFile(t, after, data)
	if tags := string(exiftool(t, "-s", "-a", "-G1", "-ee", before)); !strings.Contains(tags, "GPSLatitude") {
		t.Errorf("the fixture has no position:\n%s", tags)
	}
	for line := range strings.Lines(string(exiftool(t, "-s", "-a", "-u", "-G1", "-ee", after))) {
		switch group, _, _ := strings.Cut(strings.Trim(line, "["), "]"); group {
		case "ExifTool", "System", "File", "Composite":
		default:
			t.Errorf("there is metadata: %s", line)
		}
	}
}

// TestConvertRefusesBeforeDecoding patches fixtures so that decoding them would cost more than they say. None of
// these reaches the decoder: with the context ended, that would be another error.
func TestConvertRefusesBeforeDecoding(t *testing.T) {
	rotated, grid := fixture(t, "rotated.heic"), fixture(t, "grid.heic")
	tests := []struct {
		name   string
		data   []byte
		format Format
		limits Limits
		want   apperr.Code
	}{
		{"too many pixels", rotated, HEIC, Limits{Pixels: 136*104 - 1, Side: 1000, Frames: 1}, apperr.TooManyPixels},
		{"too long a side", rotated, HEIC, Limits{Pixels: 1e6, Side: 135, Frames: 1}, apperr.TooManyPixels},
		{"a grid of too many pixels", grid, HEIC, Limits{Pixels: 101*75 - 1, Side: 1000, Frames: 1}, apperr.TooManyPixels},
		{"an item that says it is larger", sized(rotated, 1360, 1040), HEIC, roomy, apperr.ImageDamaged},
		{"a stream that is larger than its item", enlarged(t, rotated), HEIC, roomy, apperr.TooManyPixels},
		{"two pictures in an item", doubled(t, rotated), HEIC, roomy, apperr.ImageDamaged},
		{"a grid with a tile too few", patched(grid, bytes.Index(grid, []byte("dimg"))+7, 2), HEIC, roomy, apperr.ImageDamaged},
		{"an unknown kind of item", bytes.ReplaceAll(rotated, []byte("hvc1"), []byte("iovl")), HEIC, roomy, apperr.NotAnImage},
		{"a HEIC that calls itself AVIF", rotated, AVIF, roomy, apperr.ImageDamaged},
		{"an AVIF that calls itself HEIC", fixture(t, "corners.avif"), HEIC, roomy, apperr.ImageDamaged},
		{"nothing", nil, HEIC, roomy, apperr.ImageDamaged},
		{"only a beginning", rotated[:200], HEIC, roomy, apperr.ImageDamaged},
		{"no data", rotated[:len(rotated)-500], HEIC, roomy, apperr.ImageDamaged},
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Convert(ended, io.Discard, test.data, test.format, test.limits); !apperr.Is(err, test.want) {
				t.Errorf("got %v, want %d", err, test.want)
			}
		})
	}
}

// sized changes the size that the items say they have.
func sized(data []byte, width, height uint32) []byte {
	at := bytes.Index(data, []byte("ispe")) + 8
	return patched(data, at, bigEndian(width, height)...)
}

// enlarged makes the sequence parameters claim 65,536 pixels a side, and the part that is shown as large as before.
func enlarged(t *testing.T, data []byte) []byte {
	t.Helper()
	at := bytes.Index(data, []byte("\x42\x01\x01")) // the unit's header and the first byte of parameters
	length := int(binary.BigEndian.Uint16(data[at-2:]))
	unit := hevcUnescaped(data[at : at+length])
	if _, _, ok := hevcSequenceSize(unit); !ok {
		t.Fatal("the fixture has no sequence parameters")
	}
	const sizeAt = 8 * (2 + 1 + 12) // what follows: its number (1 bit), chroma (3 bits: 010), width and height
	bits := []byte("1" + "010" + exp(1<<16-1) + exp(1<<16-1) + "0")
	for i, bit := range bits {
		mask := byte(0x80) >> ((sizeAt + i) % 8)
		unit[(sizeAt+i)/8] &^= mask
		if bit == '1' {
			unit[(sizeAt+i)/8] |= mask
		}
	}
	copied := bytes.Clone(data)
	copy(copied[at:at+length], unit)
	return copied
}

// exp is a number in Exp-Golomb code.
func exp(n int) string {
	digits := ""
	for n++; n > 0; n /= 2 {
		digits = string(rune('0'+n%2)) + digits
	}
	return strings.Repeat("0", len(digits)-1) + digits
}

// doubled repeats the picture within its item. The file ends with it.
func doubled(t *testing.T, data []byte) []byte {
	t.Helper()
	h, err := readHEIF(data)
	if err != nil {
		t.Fatal(err)
	}
	e := h.extents[h.primary][0]
	const behind = 10 // the base of its offset
	at := bytes.Index(data, bigEndian(behind, uint32(e.length)))
	end := append(bytes.Clone(data), h.item(h.primary)...)
	end = append(end, h.item(h.primary)...)
	return patched(end, at, bigEndian(uint32(len(data))-uint32(e.offset)+behind, uint32(2*e.length))...)
}

// TestConvertMemory counts the pixels that are decoded, also those of transparency.
func TestConvertMemory(t *testing.T) {
	for name, pixels := range map[string]int64{"rotated.heic": 136 * 104, "grid.heic": 101 * 75, "alpha.heic": 2 * 101 * 75} {
		got, err := ConvertMemory(fixture(t, name), HEIC, roomy)
		if least := converterMemory + convertedPixel*pixels; err != nil || got < least || got > least+1<<20 {
			t.Errorf("%s takes %d bytes, %v, want %d or some more", name, got, err, least)
		}
	}
	if _, err := ConvertMemory(enlarged(t, fixture(t, "rotated.heic")), HEIC, roomy); !apperr.Is(err, apperr.TooManyPixels) {
		t.Errorf("got %v for a stream that is too large, want TooManyPixels", err)
	}
}

func TestConvertEndsWithItsContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Convert(ended, io.Discard, fixture(t, "rotated.heic"), HEIC, roomy)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestConvertGarbage(t *testing.T) {
	data := fixture(t, "rotated.heic")
	at := bytes.Index(data, []byte("mdat"))
	for i := len(data) - 40; i > at && i < len(data); i++ {
		data[i] ^= 0x5a
	}
	_, err := Convert(t.Context(), io.Discard, data, HEIC, roomy)
	if err != nil && !apperr.Is(err, apperr.ImageDamaged) {
		t.Errorf("got %v, want damaged or a picture", err)
	}
}

func TestCanConvert(t *testing.T) {
	if !CanConvert(HEIC) || CanConvert(JPEG) || CanConvert("") {
		t.Error("HEIC is what can be converted everywhere")
	}
	var b bytes.Buffer
	info, err := Convert(t.Context(), &b, fixture(t, "corners.avif"), AVIF, roomy)
	if !CanConvert(AVIF) {
		if !apperr.Is(err, apperr.ImageDamaged) {
			t.Errorf("got %v, want damaged", err)
		}
		return
	}
	if err != nil || info.Width != 136 || info.Height != 104 {
		t.Fatalf("the AVIF is %+v: %v", info, err)
	}
	wantCorners(t, decoded(t, b.Bytes(), JPEG), [4]color.NRGBA{red, green, blue, yellow}, 20)
}

// FuzzHEIF reads what decides whether the decoder may run.
func FuzzHEIF(f *testing.F) {
	for _, name := range []string{"rotated.heic", "grid.heic", "limited.heic", "alpha.heic", "corners.avif"} {
		f.Add(fixture(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []Format{HEIC, AVIF} {
			file, err := checkHEIF(data, format, heifBudget(Limits{Pixels: 1 << 16, Side: 1 << 10}))
			if err != nil {
				if !apperr.Is(err, apperr.ImageDamaged, apperr.TooManyPixels, apperr.NotAnImage) {
					t.Error(err)
				}
				continue
			}
			file.color()
			readExif(file.exif())
			if size := file.size(file.primary); size.X <= 0 || size.Y <= 0 || size.X*size.Y > 1<<16 {
				t.Errorf("a picture of %v is accepted", size)
			}
		}
	})
}
