package codec

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gatehouse/internal/apperr"
)

func TestRecognise(t *testing.T) {
	box := func(content string) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(8+len(content)))) + "ftyp" + content
	}
	tests := []struct {
		name, head string
		want       Format // empty if it is none
	}{
		{"jpeg", "\xff\xd8\xff\xe0", JPEG},
		{"png", "\x89PNG\r\n\x1a\n", PNG},
		{"gif of 1987", "GIF87a", GIF},
		{"gif", "GIF89a", GIF},
		{"webp", "RIFF\x24\x00\x00\x00WEBPVP8 ", WebP},
		{"heic", box("heic\x00\x00\x00\x00mif1heic"), HEIC},
		{"heic of many pictures", box("hevc\x00\x00\x00\x00mif1heic"), HEIC},
		{"heic by its compatible brand", box("mif1\x00\x00\x00\x00mif1heic"), HEIC},
		{"avif", box("avif\x00\x00\x00\x00avifmif1miaf"), AVIF},
		{"moving avif", box("avis\x00\x00\x00\x00avifavismsf1"), AVIF},
		{"avif by its compatible brand", box("mif1\x00\x00\x00\x00mif1avif"), AVIF},
		{"avif that can also be heic", box("avif\x00\x00\x00\x00heic"), AVIF},
		{"brand cut off", box("mif1\x00\x00\x00\x00heic")[:18], ""},
		{"brand behind the box", box("mif1\x00\x00\x00\x00") + "heic", ""},
		{"brand as version", box("mif1heicmif1"), ""},
		{"brand too far", box("mif1\x00\x00\x00\x00" + repeated("mif1", HeadSize) + "heic"), ""},
		{"mp4", box("isom\x00\x00\x02\x00isomiso2avc1mp41"), ""},
		{"jpeg xl", "\xff\x0a", ""},
		{"jpeg 2000", "\x00\x00\x00\x0cjP  \r\n\x87\n", ""},
		{"svg", `<svg xmlns="http://www.w3.org/2000/svg"/>`, ""},
		{"html", "<!doctype html><script>alert(1)</script>", ""},
		{"bmp", "BM\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""},
		{"tiff", "II*\x00\x08\x00\x00\x00", ""},
		{"icon", "\x00\x00\x01\x00\x01\x00", ""},
		{"another riff", "RIFF\x24\x00\x00\x00WAVEfmt ", ""},
		{"a picture after something else", " \xff\xd8\xff\xe0", ""},
		{"text", "hello, world", ""},
		{"two bytes", "\xff\xd8", ""},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := Recognise([]byte(test.head)); got != test.want || ok != (test.want != "") {
				t.Errorf("%q, %t, want %q", got, ok, test.want)
			}
		})
	}
}

func TestCleanRefusesJPEG(t *testing.T) {
	jpg, progressive := encodeJPEG(t, 24, 16), fixture(t, "progressive.jpg")
	frame := bytes.Index(jpg, []byte{0xff, markerSOF0})
	scan := bytes.Index(jpg, []byte{0xff, markerSOS})
	lastScan := progressive[bytes.LastIndex(progressive, []byte{0xff, markerSOS}) : len(progressive)-2]
	manyScans := insert(progressive, len(progressive)-2, bytes.Repeat(lastScan, maxScans))
	wantRefused(t, JPEG, []refusal{
		{"start and end only", []byte("\xff\xd8\xff\xd9\x00\x00\x00\x00\x00\x00\x00\x00"), apperr.ImageDamaged},
		{"no scan", join(jpg[:scan], []byte("\xff\xd9")), apperr.ImageDamaged},
		{"empty scan", join(jpg[:scan+14], []byte("\xff\xd9")), apperr.ImageDamaged},
		{"a scan before the frame", join(jpg[:frame], jpg[scan:]), apperr.ImageDamaged},
		{"two frames", join(jpg[:scan], jpg[frame:]), apperr.ImageDamaged},
		{"bad scan header", patched(jpg, scan+4, 7), apperr.ImageDamaged},
		{"scan of no component", join(jpg[:scan], []byte("\xff\xda\x00\x06\x00\x00\x3f\x00"), jpg[scan+14:]), apperr.ImageDamaged},
		{"scan header of nothing", join(jpg[:scan], []byte("\xff\xda\x00\x02"), jpg[scan+14:]), apperr.ImageDamaged},
		{"long scan header", patched(jpg, scan+2, 1), apperr.ImageDamaged},
		{"segment of length 1", patched(jpg, frame+2, 0, 1), apperr.ImageDamaged},
		{"long frame header", patched(jpg, frame+2, 0xff), apperr.ImageDamaged},
		{"no pixels", patched(jpg, frame+5, 0, 0), apperr.ImageDamaged},
		{"unknown marker", patched(jpg, frame+1, 0x02), apperr.ImageDamaged},
		{"escaped byte after fill bytes", insert(jpg, len(jpg)-2, []byte("\xff\xff\x00")), apperr.ImageDamaged},
		{"lossless", patched(jpg, frame+1, 0xc3), apperr.NotAnImage},
		{"arithmetic", patched(jpg, frame+1, 0xc9), apperr.NotAnImage},
		{"12 bits", patched(jpg, frame+4, 12), apperr.NotAnImage},
		{"too many pixels", patched(jpg, frame+5, 0xff, 0xff, 0xff, 0xff), apperr.TooManyPixels},
		{"too many scans", manyScans, apperr.TooManyPixels},
	})
}

func TestCleanRefusesPNG(t *testing.T) {
	pngData, animated := encodePNG(t, paint(24, 16)), animatedPNG(t, 3)
	signature, header := pngData[:8], pngData[8:33]
	data, end := pngChunk("IDAT", "x"), pngChunk("IEND", "")
	kind := func(depth, colorType byte) []byte {
		return join(signature, pngChunk("IHDR", "\x00\x00\x00\x01\x00\x00\x00\x01"+string([]byte{depth, colorType, 0, 0, 0})))
	}
	paletted, gray := kind(1, pngPaletted), kind(8, pngGray)
	palette := pngChunk("PLTE", "abcdef")
	moving := func(frames uint32) []byte {
		return join(signature, header, pngChunk("acTL", string(bigEndian(frames, 0))))
	}
	first := join(moving(2), frameControl(0, 24, 16, 0, 0), data)
	frame := func(sequence uint32) []byte { return pngChunk("fdAT", string(bigEndian(sequence))+"x") }
	wantRefused(t, PNG, []refusal{
		{"no header", join(signature, pngData[33:]), apperr.ImageDamaged},
		{"two headers", join(signature, header, header, data, end), apperr.ImageDamaged},
		{"long header", join(signature, pngChunk("IHDR", string(pngData[16:29])+"x"), data, end), apperr.ImageDamaged},
		{"wrong sum", patched(pngData, 29, 1, 2, 3, 4), apperr.ImageDamaged},
		{"wrong sum of a comment", insert(pngData, 33, patched(pngChunk("tEXt", "a\x00b"), 8, 'x')), apperr.ImageDamaged},
		{"a changed byte", patched(pngData, 60, ^pngData[60]), apperr.ImageDamaged},
		{"no pixels", join(signature, pngChunk("IHDR", "\x00\x00\x00\x00\x00\x00\x00\x01\x08\x02\x00\x00\x00"), data, end), apperr.ImageDamaged},
		{"bad depth", join(kind(2, 2), data, end), apperr.ImageDamaged},
		{"bad color type", join(kind(8, 5), data, end), apperr.ImageDamaged},
		{"bad interlacing", join(signature, pngChunk("IHDR", "\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x02"), data, end), apperr.ImageDamaged},
		{"no data", join(signature, header, end), apperr.ImageDamaged},
		{"empty data", join(signature, header, pngChunk("IDAT", ""), end), apperr.ImageDamaged},
		{"data in two places", join(signature, header, data, pngChunk("tEXt", "a\x00b"), data, end), apperr.ImageDamaged},
		{"end with content", join(signature, header, data, pngChunk("IEND", "x")), apperr.ImageDamaged},
		{"no palette", join(paletted, data, end), apperr.ImageDamaged},
		{"palette too large", join(paletted, pngChunk("PLTE", "abcdefghi"), data, end), apperr.ImageDamaged},
		{"palette of half a color", join(paletted, pngChunk("PLTE", "abcd"), data, end), apperr.ImageDamaged},
		{"two palettes", join(paletted, palette, palette, data, end), apperr.ImageDamaged},
		{"palette of gray", join(gray, palette, data, end), apperr.ImageDamaged},
		{"palette behind the pixels", join(signature, header, data, palette, end), apperr.ImageDamaged},
		{"transparency without palette", join(paletted, pngChunk("tRNS", ""), data, end), apperr.ImageDamaged},
		{"transparency too large", join(paletted, palette, pngChunk("tRNS", repeated("x", 257)), data, end), apperr.ImageDamaged},
		{"transparency of one gray", join(gray, pngChunk("tRNS", "x"), data, end), apperr.ImageDamaged},
		{"transparency of a gray as color", join(signature, header, pngChunk("tRNS", "xx"), data, end), apperr.ImageDamaged},
		{"transparency twice", join(kind(8, pngTrueAlpha), pngChunk("tRNS", "xxxxxx"), data, end), apperr.ImageDamaged},
		{"transparency behind the pixels", join(gray, data, pngChunk("tRNS", "xx"), end), apperr.ImageDamaged},
		{"huge chunk", join(signature, header, []byte("\xff\xff\xff\xffIDAT")), apperr.ImageDamaged},
		{"unknown critical chunk", insert(pngData, 33, pngChunk("JDAT", "x")), apperr.NotAnImage},
		{"for iOS", insert(pngData, 8, pngChunk("CgBI", "xxxx")), apperr.NotAnImage},
		{"too many pixels", join(signature, pngChunk("IHDR", "\x00\x00\xea\x60\x00\x00\xea\x60\x08\x02\x00\x00\x00")), apperr.TooManyPixels},
		{"one long line", join(signature, pngChunk("IHDR", "\x00\x01\x00\x00\x00\x00\x00\x01\x08\x02\x00\x00\x00")), apperr.TooManyPixels},

		{"no frames", join(moving(0), data, end), apperr.ImageDamaged},
		{"4 billion frames", join(moving(1<<32-1), data, end), apperr.TooManyPixels},
		{"fewer frames than said", join(first, end), apperr.ImageDamaged},
		{"more frames than said", join(first, frameControl(1, 1, 1, 0, 0), frame(2), frameControl(3, 1, 1, 0, 0), frame(4), end), apperr.ImageDamaged},
		{"two animations", insert(animated, 33, animated[33:33+20]), apperr.ImageDamaged},
		{"long animation control", join(signature, header, pngChunk("acTL", "123456789"), data, end), apperr.ImageDamaged},
		{"the first frame smaller", join(moving(1), frameControl(0, 23, 16, 0, 0), data, end), apperr.ImageDamaged},
		{"a frame outside", join(first, frameControl(1, 24, 16, 1, 0), frame(2), end), apperr.ImageDamaged},
		{"a frame far outside", join(first, frameControl(1, 24, 16, 1<<32-1, 0), frame(2), end), apperr.ImageDamaged},
		{"a frame of no pixels", join(first, frameControl(1, 0, 16, 0, 0), frame(2), end), apperr.ImageDamaged},
		{"a frame without data", join(first, frameControl(1, 1, 1, 0, 0), end), apperr.ImageDamaged},
		{"a frame of empty data", join(first, frameControl(1, 1, 1, 0, 0), pngChunk("fdAT", string(bigEndian(2))), end), apperr.ImageDamaged},
		{"data without a frame", join(first, frame(1), frameControl(2, 1, 1, 0, 0), frame(3), end), apperr.ImageDamaged},
		{"frames out of order", join(first, frameControl(2, 1, 1, 0, 0), frame(1), end), apperr.ImageDamaged},
		{"short frame control", join(moving(1), pngChunk("fcTL", string(bigEndian(0, 24, 16))), data, end), apperr.ImageDamaged},
		{"bad disposal", join(moving(1), pngChunk("fcTL", string(bigEndian(0, 24, 16, 0, 0, 0))+"\x03\x00"), data, end), apperr.ImageDamaged},
	})
}

func TestCleanRefusesGIF(t *testing.T) {
	gifData := encodeGIF(t, 24, 16, 1)
	const colorless = "GIF89a\x01\x00\x01\x00\x00\x00\x00"
	const screen = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
	const frame = ",\x00\x00\x00\x00\x01\x00\x01\x00\x00"
	wantRefused(t, GIF, []refusal{
		{"60,000 × 60,000", patched(gifData, 6, 0x60, 0xea, 0x60, 0xea), apperr.TooManyPixels},
		{"no pixels", patched(gifData, 6, 0, 0), apperr.ImageDamaged},
		{"a frame outside", patched(gifData, 6, 23, 0), apperr.ImageDamaged},
		{"no frame", []byte(screen + ";"), apperr.ImageDamaged},
		{"no color table", []byte(colorless + frame + "\x02\x02\x44\x01\x00;"), apperr.ImageDamaged},
		{"a frame of no pixels", []byte(screen + ",\x00\x00\x00\x00\x00\x00\x01\x00\x00\x02\x02\x44\x01\x00;"), apperr.ImageDamaged},
		{"an empty frame", []byte(screen + frame + "\x02\x00;"), apperr.ImageDamaged},
		{"bad code size", []byte(screen + frame + "\x0d\x01\x00\x00;"), apperr.ImageDamaged},
		{"bad graphic control", []byte(screen + "!\xf9\x03\x00\x00\x00\x00" + frame + "\x02\x02\x44\x01\x00;"), apperr.ImageDamaged},
		{"graphic control of two blocks", []byte(screen + "!\xf9\x04\x00\x00\x00\x00\x01x\x00" + frame + "\x02\x02\x44\x01\x00;"), apperr.ImageDamaged},
		{"unknown block", []byte(screen + "?"), apperr.ImageDamaged},
	})
}

func TestCleanRefusesWebP(t *testing.T) {
	lossy, lossless, animated := fixture(t, "lossy.webp"), fixture(t, "lossless.webp"), fixture(t, "animated.webp")
	still, alpha := lossy[12:], riff("ALPH", "\x00x")
	anim := riff("ANIM", "\x00\x00\x00\x00\x00\x00")
	box := "\x00\x00\x00\x00\x00\x00\x17\x00\x00\x0f\x00\x00\x64\x00\x00\x00"
	frame := riff("ANMF", box+string(still))
	wantRefused(t, WebP, []refusal{
		{"empty", riffFile(), apperr.ImageDamaged},
		{"length 0", []byte("RIFF\x00\x00\x00\x00WEBP"), apperr.ImageDamaged},
		{"no picture", riffFile(extended(0, 24, 16)), apperr.ImageDamaged},
		{"unknown first chunk", riffFile(riff("ABCD", ""), still), apperr.ImageDamaged},
		{"container ends in a chunk header", riffFile(still, []byte("EXIF")), apperr.ImageDamaged},
		{"chunk longer than the container", riffFile(still, []byte("EXIF\xff\x00\x00\x00")), apperr.ImageDamaged},
		{"two pictures", riffFile(still, still), apperr.ImageDamaged},
		{"two pictures in an extended file", riffFile(extended(0, 24, 16), still, still), apperr.ImageDamaged},
		{"two headers", riffFile(extended(0, 24, 16), extended(0, 24, 16), still), apperr.ImageDamaged},
		{"header behind the picture", riffFile(still, extended(0, 24, 16)), apperr.ImageDamaged},
		{"canvas of another size", riffFile(extended(0, 25, 16), still), apperr.ImageDamaged},
		{"no key frame", patched(lossy, 20, lossy[20]|1), apperr.ImageDamaged},
		{"first partition longer than the picture", patched(lossy, 21, 0xff, 0xff), apperr.ImageDamaged},
		{"short picture", riffFile(riff("VP8 ", repeated("\x00", 9))), apperr.ImageDamaged},
		{"short lossless picture", riffFile(riff("VP8L", "\x2f\x00\x00\x00\x00")), apperr.ImageDamaged},
		{"lossless of a later version", riffFile(riff("VP8L", "\x2f\x00\x00\x00\x20\x00")), apperr.ImageDamaged},
		{"two transparencies", riffFile(extended(webpAlpha, 24, 16), alpha, alpha, still), apperr.ImageDamaged},
		{"empty transparency", riffFile(extended(webpAlpha, 24, 16), riff("ALPH", ""), still), apperr.ImageDamaged},
		{"transparency of lossless", riffFile(extended(webpAlpha, 24, 16), alpha, lossless[12:]), apperr.ImageDamaged},
		{"too many pixels, lossy", patched(lossy, 26, 0xff, 0x3f, 0xff, 0x3f), apperr.TooManyPixels},
		{"too many pixels, lossless", riffFile(riff("VP8L", "\x2f\xff\xff\xff\x0f\x00")), apperr.TooManyPixels},
		{"too many pixels, extended", riffFile(riff("VP8X", "\x00\x00\x00\x00\x60\xea\x00\x60\xea\x00")), apperr.TooManyPixels},

		{"frames in a still picture", patched(animated, 20, 0), apperr.ImageDamaged},
		{"still picture in an animation", riffFile(extended(2, 24, 16), still), apperr.ImageDamaged},
		{"no animation chunk", riffFile(extended(2, 24, 16), frame), apperr.ImageDamaged},
		{"two animation chunks", riffFile(extended(2, 24, 16), anim, anim, frame), apperr.ImageDamaged},
		{"short animation chunk", riffFile(extended(2, 24, 16), riff("ANIM", "\x00"), frame), apperr.ImageDamaged},
		{"animation chunk of a still picture", riffFile(extended(0, 24, 16), anim, still), apperr.ImageDamaged},
		{"a frame outside", patched(animated, 24, 22), apperr.ImageDamaged},
		{"an empty frame", riffFile(extended(2, 24, 16), anim, riff("ANMF", box)), apperr.ImageDamaged},
		{"a short frame", riffFile(extended(2, 24, 16), anim, riff("ANMF", box[1:])), apperr.ImageDamaged},
		{"a frame of two pictures", riffFile(extended(2, 24, 16), anim, riff("ANMF", box+string(still)+string(still))), apperr.ImageDamaged},
		{"a frame of another size", riffFile(extended(2, 24, 16), anim, riff("ANMF", patchedBox(box)+string(still))), apperr.ImageDamaged},
	})
}

// patchedBox makes the box of a frame narrower.
func patchedBox(box string) string { return string(patched([]byte(box), 6, 0x16)) }

// refusal is a picture that Clean must not accept.
type refusal struct {
	name     string
	data     []byte
	wantCode apperr.Code
}

func wantRefused(t *testing.T, f Format, refusals []refusal) {
	t.Helper()
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			if _, _, _, err := clean(bytes.NewReader(r.data), f, wide); !apperr.Is(err, r.wantCode) {
				t.Errorf("error is %v, want code %d", err, r.wantCode)
			}
		})
	}
}

// TestCleanRewrites shows what becomes of oddities that are accepted.
func TestCleanRewrites(t *testing.T) {
	jpg, pngData, gifData := encodeJPEG(t, 24, 16), encodePNG(t, paint(24, 16)), encodeGIF(t, 24, 16, 1)
	lossy, lossless := fixture(t, "lossy.webp"), fixture(t, "lossless.webp")
	cmyk := fixture(t, "cmyk.jpg")
	adobe := bytes.Index(cmyk, []byte("\xff\xee\x00\x0eAdobe"))
	icc := jpegSegment(markerAPP2, "ICC_PROFILE\x00\x01\x01profile")
	profile := gifBlocks("!\xff\x0bICCRGBG1012", repeated("profile", 600))
	screenSize := 13 + int(gifColorTable(gifData[10]))
	bare := join(gifData[:screenSize], gifData[screenSize+8:]) // nothing controls the first frame
	loop := []byte("!\xff\x0bNETSCAPE2.0\x03\x01\x07\x00\x00")
	control := []byte("!\xf9\x04\x00\x0a\x00\x00\x00")
	comment := gifBlocks("!\xfe", "comment")
	still := lossy[12:]
	odd := riff("ICCP", "odd")
	tests := []struct {
		name       string
		data, want []byte
	}{
		{"jpeg: fill bytes before a marker", insert(jpg, 2, []byte{0xff, 0xff, 0xff}), jpg},
		{"jpeg: restart marker before the end", insert(jpg, len(jpg)-2, []byte{0xff, 0xd0}), insert(jpg, len(jpg)-2, []byte{0xff, 0xd0})},
		{"jpeg: profile", insert(jpg, 2, icc), insert(jpg, 2, icc)},
		{"jpeg: the largest Exif", insert(jpg, 2, jpegSegment(markerAPP1, exifMagic+orientationBlock(6)+repeated("x", 65533-32))),
			insert(jpg, 2, jpegSegment(markerAPP1, exifMagic+orientationBlock(6)))},
		{"jpeg: an empty Exif", insert(jpg, 2, jpegSegment(markerAPP1, exifMagic)), jpg},
		{"jpeg: an unreadable Exif before a readable one",
			insert(jpg, 2, jpegSegment(markerAPP1, exifMagic+"XX"), jpegSegment(markerAPP1, exifMagic+orientationBlock(3))),
			insert(jpg, 2, jpegSegment(markerAPP1, exifMagic+orientationBlock(3)))},
		{"jpeg: Adobe with more", join(cmyk[:adobe], jpegSegment(markerAPP14, string(cmyk[adobe+4:adobe+16])+"more"), cmyk[adobe+16:]), cmyk},
		{"jpeg: JFIF cut off", insert(jpg, 2, jpegSegment(markerAPP0, "JFIF\x00\x01\x01")), jpg},

		{"png: hints twice", insert(pngData, 33, pngChunk("sRGB", "\x00"), pngChunk("sRGB", "\x01")), insert(pngData, 33, pngChunk("sRGB", "\x00"))},
		{"png: profile", insert(pngData, 33, pngChunk("iCCP", "name\x00\x00x")), insert(pngData, 33, pngChunk("iCCP", "name\x00\x00x"))},
		{"png: profile behind the pixels", insert(pngData, len(pngData)-12, pngChunk("iCCP", "name\x00\x00x")), pngData},
		{"png: frames without animation", insert(pngData, 33, frameControl(0, 24, 16, 0, 0)), pngData},
		{"png: animation behind the pixels", insert(pngData, len(pngData)-12, pngChunk("acTL", string(bigEndian(1, 0))), frameControl(0, 24, 16, 0, 0)), pngData},
		{"png: Exif with magic behind the pixels", insert(pngData, len(pngData)-12, pngChunk("eXIf", exifMagic+orientationBlock(2))),
			insert(pngData, len(pngData)-12, pngChunk("eXIf", orientationBlock(2)))},

		{"gif: loop", insert(gifData, screenSize, loop), insert(gifData, screenSize, loop)},
		{"gif: loop and buffering", insert(gifData, screenSize, loop[:18], []byte("\x05\x02\x00\x00\x00\x00\x00")), insert(gifData, screenSize, loop)},
		{"gif: no loop", insert(gifData, screenSize, gifBlocks("!\xff\x0bNETSCAPE2.0", "\x02\x00\x00\x00\x00")), gifData},
		{"gif: profile", insert(gifData, screenSize, profile), insert(gifData, screenSize, profile)},
		{"gif: unknown extension", insert(gifData, screenSize, gifBlocks("!\xab\x02ab", "c")), gifData},
		{"gif: comment between control and frame", insert(bare, screenSize, control, comment), insert(bare, screenSize, control)},
		{"gif: two controls", insert(bare, screenSize, []byte("!\xf9\x04\x01\x0b\x00\x00\x00"), comment, control), insert(bare, screenSize, control)},
		{"gif: control without a frame", insert(gifData, len(gifData)-1, control), gifData},

		{"webp: no padding at the end", riffFile(extended(0x2c, 24, 16), still, []byte("ABCD\x01\x00\x00\x00x")), riffFile(extended(0, 24, 16), still)},
		{"webp: no padding of what stays", withRIFFLength(join(lossless[:12], riff("VP8L", string(lossless[20:])+"x"))[:len(lossless)+1]), riffFile(riff("VP8L", string(lossless[20:])+"x"))},
		{"webp: padding that is not zero", riffFile(extended(0x20, 24, 16), patched(odd, len(odd)-1, 'x'), still), riffFile(extended(0x20, 24, 16), odd, still)},
		{"webp: unknown chunk", riffFile(still, riff("ABCD", "abc")), lossy},
		{"webp: transparency behind the picture", riffFile(still, riff("ALPH", "\x00x")), lossy},
		{"webp: all flags", riffFile(extended(0xfd, 24, 16), still), riffFile(extended(0, 24, 16), still)},
		{"webp: missing flags", riffFile(extended(0, 24, 16), odd, lossless[12:]), riffFile(extended(0x30, 24, 16), odd, lossless[12:])},
		{"webp: profile behind the picture", riffFile(extended(0x20, 24, 16), still, odd), riffFile(extended(0, 24, 16), still)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, _ := mustClean(t, test.data); !bytes.Equal(got, test.want) {
				t.Errorf("%d bytes, want %d:\n%q\n%q", len(got), len(test.want), got, test.want)
			}
		})
	}
}

// withRIFFLength sets the length of a RIFF file.
func withRIFFLength(data []byte) []byte {
	binary.LittleEndian.PutUint32(data[4:], uint32(len(data)-8))
	return data
}

func TestCleanFindsTransparency(t *testing.T) {
	lossy := fixture(t, "lossy.webp")[12:]
	frame := riff("ANMF", "\x01\x00\x00\x00\x00\x00\x17\x00\x00\x0f\x00\x00\x64\x00\x00\x00"+string(lossy))
	gifData := encodeGIF(t, 24, 16, 1)
	screenSize := 13 + int(gifColorTable(gifData[10]))
	bare := join(gifData[:screenSize], gifData[screenSize+8:]) // nothing controls the first frame
	tests := []struct {
		name string
		data []byte
		want bool
	}{
		{"gif: control", insert(bare, screenSize, []byte("!\xf9\x04\x00\x00\x00\x00\x00")), false},
		{"gif: transparent control", insert(bare, screenSize, []byte("!\xf9\x04\x01\x00\x00\x00\x00")), true},
		{"gif: first frame smaller", patched(gifData, 6, 25, 0), true},
		{"png: transparency", insert(encodePNG(t, paint(24, 16)), 33, pngChunk("tRNS", "xxxxxx")), true},
		{"webp: flag only", riffFile(extended(webpAlpha, 24, 16), lossy), false},
		{"webp: ALPH", riffFile(extended(0, 24, 16), riff("ALPH", "\x00x"), lossy), true},
		{"webp: first frame smaller", riffFile(extended(webpAnimation, 26, 16), riff("ANIM", "\x00\x00\x00\x00\x00\x00"), frame), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, info := mustClean(t, test.data); info.Alpha != test.want {
				t.Errorf("transparent is %t, want %t", info.Alpha, test.want)
			}
		})
	}
}
