package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

// secret stands in every place where a picture may say something.
const secret = "SECRET"

// secretExif is what a phone says of a photograph that it held on its side.
func secretExif(order exifOrder, orientation uint16) string {
	return exifBlock(order,
		[]exifTag{
			textTag(0x010e, secret+" description"), textTag(tagMake, secret+" maker"), textTag(tagModel, "model "+secret),
			shortTag(order, tagOrientation, orientation), textTag(0x013b, secret+" artist"),
		}, []exifTag{
			textTag(tagDateTimeOriginal, "2024:05:06 07:08:09"), textTag(tagOffsetOriginal, "+08:00"),
			{0x927c, 7, 20, secret + " of its maker!"}, {0x9286, 7, 22, "ASCII\x00\x00\x00" + secret + " comment"},
		}, []exifTag{
			textTag(1, "N"), {2, 5, 3, repeated(secret, 24)},
			textTag(3, "E"), {4, 5, 3, repeated(secret, 24)},
		})
}

const secretXMP = `<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">` + secret + `</x:xmpmeta>`

// wantSecretInfo is what is to be known of a picture with secretExif.
func wantSecretInfo(s sample, orientation int) Info {
	want := s.want
	want.Orientation = orientation
	want.Camera = secret + " maker model " + secret
	want.TakenAt = time.Date(2024, 5, 5, 23, 8, 9, 0, time.UTC)
	if orientation >= 5 {
		want.Width, want.Height = want.Height, want.Width
	}
	return want
}

// dirtySamples are the samples with metadata of every kind.
func dirtySamples(tb testing.TB) []sample {
	tb.Helper()
	var dirty []sample
	for i, s := range samples(tb) {
		orientation := 1 + i%8
		order := exifOrders[i%2]
		s.clean = s.data
		switch s.format {
		case JPEG:
			s = dirtyJPEG(s, order, orientation)
		case PNG:
			s = dirtyPNG(s, order, orientation)
		case GIF:
			s.data = dirtyGIF(s.data)
		case WebP:
			s = dirtyWebP(s, order, orientation)
		}
		s.name = "dirty " + s.name
		dirty = append(dirty, s)
	}
	return dirty
}

// afterJFIF is the offset after the start of a JPEG and its JFIF segment, if it has one.
func afterJFIF(data []byte) int {
	if data[3] == markerAPP0 {
		return 2 + 2 + int(binary.BigEndian.Uint16(data[4:]))
	}
	return 2
}

func dirtyJPEG(s sample, order exifOrder, orientation int) sample {
	start := afterJFIF(s.data)
	var more [][]byte
	if start > 2 { // a thumbnail of 3 × 2 pixels
		jfif := string(s.data[6:start-2]) + "\x03\x02" + repeated(secret, 18)
		more = append(more, s.data[:2], jpegSegment(markerAPP0, jfif))
	} else {
		more = append(more, s.data[:2])
	}
	more = append(more,
		jpegSegment(markerAPP0, "JFXX\x00\x13\x01\x01"+secret[:3]),
		jpegSegment(markerAPP1, exifMagic+secretExif(order, uint16(orientation))),
		jpegSegment(markerAPP1, exifMagic+secretExif(order, 8)),
		jpegSegment(markerAPP1, "http://ns.adobe.com/xap/1.0/\x00"+secretXMP),
		jpegSegment(markerAPP1, "http://ns.adobe.com/xmp/extension/\x00"+repeated("0", 32)+"\x00\x00\x00\x06\x00\x00\x00\x00"+secret),
		jpegSegment(markerAPP2, "MPF\x00MM\x00*\x00\x00\x00\x08"+secret),
		jpegSegment(markerAPP2, "FPXR\x00"+secret),
		jpegSegment(markerAPP2, "ICC_PROFILE\x00"), // without its number
		jpegSegment(0xed, "Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x0b\x1c\x02\x19\x00\x06"+secret+"\x00"),
		jpegSegment(markerAPP14, "Ducky"+secret),
		jpegSegment(markerCOM, secret+" comment"),
		[]byte("stray "+secret+"\xff\x00\xff\xd3"),
	)
	for marker := byte(markerAPP0); marker <= markerAPP15; marker++ {
		more = append(more, jpegSegment(marker, secret))
	}
	rest := s.data[start:]
	if i := bytes.LastIndex(rest, []byte{0xff, markerSOS}); bytes.Count(rest, []byte{0xff, markerSOS}) > 1 {
		comment := jpegSegment(markerCOM, secret) // between scans
		lateExif := jpegSegment(markerAPP1, exifMagic+secretExif(order, 7))
		rest = insert(rest, i, comment, lateExif, []byte(secret))
	}
	s.data = join(join(more...), rest)
	s.want = wantSecretInfo(s, orientation)
	if orientation > 1 {
		s.clean = insert(s.clean, start, jpegSegment(markerAPP1, exifMagic+orientationBlock(orientation)))
	}
	return s
}

func dirtyPNG(s sample, order exifOrder, orientation int) sample {
	const afterHeader = 8 + 25
	more := [][]byte{
		pngChunk("tEXt", "Comment\x00"+secret),
		pngChunk("zTXt", "Comment\x00\x00"+secret),
		pngChunk("iTXt", "XML:com.adobe.xmp\x00\x00\x00\x00\x00"+secretXMP),
		pngChunk("tIME", secret+"!"),
		pngChunk("gAMA", secret), // too long
		pngChunk("caBX", secret), pngChunk("iDOT", secret), pngChunk("prVt", secret),
		pngChunk("oFFs", secret), pngChunk("sPLT", secret), pngChunk("dSIG", secret),
	}
	exif := pngChunk("eXIf", secretExif(order, uint16(orientation)))
	end := len(s.data) - 12
	late := [][]byte{pngChunk("iCCP", secret), pngChunk("eXIf", secretExif(order, 8)), pngChunk("tEXt", secret)}
	s.data = join(s.data[:afterHeader], join(more...), exif, s.data[afterHeader:end], join(late...), s.data[end:])
	s.want = wantSecretInfo(s, orientation)
	if orientation > 1 {
		s.clean = insert(s.clean, afterHeader, pngChunk("eXIf", orientationBlock(orientation)))
	}
	return s
}

func dirtyGIF(data []byte) []byte {
	start := 13 + int(gifColorTable(data[10]))
	end := len(data) - 1
	control := "!\xf9\x04\x09\x00\x00\x00\x00"
	more := [][]byte{
		gifBlocks("!\xfe", secret+" comment", repeated(secret, 1000)),
		gifBlocks("!\xff\x0bXMP DataXMP", secretXMP),
		gifBlocks("!\xff\x0bMGK8BIM0000", secret),
		gifBlocks("!\xff", secret),
		gifBlocks("!\x01\x0c\x00\x00\x00\x00\x08\x00\x08\x00\x08\x08\x01\x00", secret),
	}
	return join(data[:start], join(more...), data[start:end], gifBlocks("!\xfe", secret), []byte(control), data[end:])
}

func dirtyWebP(s sample, order exifOrder, orientation int) sample {
	unknown := riff("SECR", secret)
	exif := riff("EXIF", secretExif(order, uint16(orientation)))
	more := [][]byte{riff("XMP ", secretXMP), exif, riff("EXIF", secretExif(order, 8)), riff("ICCP", secret), unknown}
	start, isExtended := 12, string(s.data[12:16]) == "VP8X"
	if !isExtended { // without an extended header, the rest has no meaning
		s.data = riffFile(s.data[12:], join(more...))
		return s
	}
	start += 18
	body := s.data[start:]
	if strings.HasPrefix(s.name, "animated") {
		body = withUnknownInFrames(body, unknown)
	}
	s.data = riffFile(patched(s.data[12:start], 8, s.data[20]|0x2c), unknown, body, join(more...))
	s.want = wantSecretInfo(s, orientation)
	if orientation > 1 {
		header := patched(s.clean[12:start], 8, s.clean[20]|webpExif)
		s.clean = riffFile(header, s.clean[start:], riff("EXIF", orientationBlock(orientation)))
	}
	return s
}

// withUnknownInFrames puts a chunk at the end of each frame.
func withUnknownInFrames(chunks, unknown []byte) (out []byte) {
	for len(chunks) > 0 {
		length := 8 + int(binary.LittleEndian.Uint32(chunks[4:]))
		content := string(chunks[8:length])
		if name := string(chunks[:4]); name == "ANMF" {
			content += string(unknown)
			out = append(out, riff(name, content)...)
		} else {
			out = append(out, chunks[:length+length%2]...)
		}
		chunks = chunks[length+length%2:]
	}
	return out
}

func TestCleanLeavesNoMetadata(t *testing.T) {
	for _, s := range dirtySamples(t) {
		t.Run(s.name, func(t *testing.T) {
			data := append(bytes.Clone(s.data), secret...)
			out, info := mustClean(t, data)
			if bytes.Contains(out, []byte(secret)) || !bytes.Equal(out, s.clean) {
				t.Errorf("%d bytes stay, want %d", len(out), len(s.clean))
			}
			if info != s.want {
				t.Errorf("%+v, want %+v", info, s.want)
			}
			if again, _ := mustClean(t, out); !bytes.Equal(again, out) {
				t.Error("cleaned twice it is another")
			}
			if s.want.Frames == 1 || s.format != WebP {
				wantSamePixels(t, out, s.data)
			}
		})
	}
}

func TestCleanKeepsEveryOrientation(t *testing.T) {
	for _, s := range samples(t) {
		if s.format == GIF || s.format == WebP && string(s.data[12:16]) != "VP8X" {
			continue // they know no Exif
		}
		for orientation := 1; orientation <= 8; orientation++ {
			for _, order := range exifOrders {
				t.Run(fmt.Sprint(s.name, " ", orientation, " ", order), func(t *testing.T) {
					s := s
					s.clean = s.data
					switch s.format {
					case JPEG:
						s = dirtyJPEG(s, order, orientation)
					case PNG:
						s = dirtyPNG(s, order, orientation)
					case WebP:
						s = dirtyWebP(s, order, orientation)
					}
					if out, info := mustClean(t, s.data); info != s.want || !bytes.Equal(out, s.clean) {
						t.Errorf("%+v in %d bytes, want %+v in %d", info, len(out), s.want, len(s.clean))
					}
				})
			}
		}
	}
}

// allowedTags are what exiftool may say of a cleaned picture, group by group; * stands for all.
var allowedTags = map[string][]string{
	"ExifTool": {"ExifToolVersion"},
	"System":   {"*"}, // of the file
	"File": {"FileType", "FileTypeExtension", "MIMEType", "ImageWidth", "ImageHeight", "EncodingProcess", "BitsPerSample",
		"ColorComponents", "YCbCrSubSampling", "ExifByteOrder"},
	"Composite":  {"ImageSize", "Megapixels", "Duration"},
	"IFD0":       {"Orientation"},
	"JFIF":       {"JFIFVersion", "ResolutionUnit", "XResolution", "YResolution"},
	"Adobe":      {"DCTEncodeVersion", "APP14Flags0", "APP14Flags1", "ColorTransform"},
	"ICC-header": {"*"}, "ICC_Profile": {"*"},
	"PNG": {"ImageWidth", "ImageHeight", "BitDepth", "ColorType", "Compression", "Filter", "Interlace", "Palette", "Gamma",
		"BackgroundColor", "ProfileName", "SRGBRendering", "WhitePointX", "WhitePointY", "RedX", "RedY", "GreenX", "GreenY",
		"BlueX", "BlueY", "SignificantBits", "Transparency", "AnimationFrames", "AnimationPlays"},
	"PNG-pHYs": {"PixelsPerUnitX", "PixelsPerUnitY", "PixelUnits"},
	"GIF": {"GIFVersion", "ImageWidth", "ImageHeight", "HasColorMap", "ColorResolutionDepth", "BitsPerPixel",
		"BackgroundColor", "AnimationIterations", "FrameCount", "Duration", "TransparentColor"},
	"RIFF": {"VP8Version", "ImageWidth", "ImageHeight", "HorizontalScale", "VerticalScale", "WebP_Flags", "AlphaIsUsed",
		"BackgroundColor", "AnimationLoopCount", "FrameCount", "Duration", "AlphaPreprocessing", "AlphaFiltering", "AlphaCompression"},
}

// TestExiftoolFindsNoMetadata lets exiftool write all that it can into pictures, and look for it after Clean.
func TestExiftoolFindsNoMetadata(t *testing.T) {
	dir := t.TempDir()
	var all []sample
	for _, s := range samples(t) {
		s.name = "written " + s.name
		writeFile(t, filepath.Join(dir, s.name), s.data)
		all = append(all, s)
	}
	exiftool(t, "-overwrite_original", "-m", "-q", "-Orientation#=6", "-EXIF:GPSLatitude=31.2", "-EXIF:GPSLatitudeRef=N",
		"-EXIF:GPSLongitude=121.5", "-EXIF:GPSLongitudeRef=E", "-EXIF:Make="+secret, "-EXIF:Model="+secret, "-EXIF:UserComment="+secret,
		"-EXIF:Artist="+secret, "-EXIF:DateTimeOriginal=2024:05:06 07:08:09", "-XMP:Creator="+secret, "-XMP:GPSLatitude=31.2",
		"-IPTC:Keywords="+secret, "-IPTC:City="+secret, "-Photoshop:URL="+secret, "-Comment="+secret, "-PNG:Author="+secret, dir)
	for i, s := range all {
		all[i].data = readFile(t, filepath.Join(dir, s.name))
		if !bytes.Contains(all[i].data, []byte(secret)) {
			t.Errorf("exiftool wrote nothing into %s", s.name)
		}
	}
	all = append(all, dirtySamples(t)...)
	wantOrientation := map[string]int{}
	for _, s := range all {
		out, info := mustClean(t, s.data)
		if bytes.Contains(out, []byte(secret)) {
			t.Errorf("%s: a secret is left", s.name)
		}
		wantOrientation[s.name] = info.Orientation
		writeFile(t, filepath.Join(dir, s.name), out)
	}
	wantAllowedTags(t, dir, wantOrientation)
}

func wantAllowedTags(t *testing.T, dir string, wantOrientation map[string]int) {
	t.Helper()
	var files []map[string]any
	if err := json.Unmarshal(exiftool(t, "-G1", "-a", "-s", "-j", "-n", "-u", "-ee", dir), &files); err != nil {
		t.Fatal(err)
	}
	if len(files) != len(wantOrientation) {
		t.Errorf("%d files, want %d", len(files), len(wantOrientation))
	}
	for _, tags := range files {
		name := filepath.Base(tags["SourceFile"].(string))
		delete(tags, "SourceFile")
		orientation := 1
		for key, value := range tags {
			group, tag, _ := strings.Cut(key, ":")
			if allowed := allowedTags[group]; !slices.Contains(allowed, tag) && !slices.Contains(allowed, "*") {
				t.Errorf("%s: %s is left: %v", name, key, value)
			}
			if key == "IFD0:Orientation" {
				orientation = int(value.(float64))
			}
		}
		if orientation != wantOrientation[name] {
			t.Errorf("%s: orientation %d, want %d", name, orientation, wantOrientation[name])
		}
	}
}

// exiftool runs the program and returns what it says.
func exiftool(t *testing.T, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("exiftool")
	if err != nil && !dbtest.NoSkip() {
		t.Skip("SKIP: no exiftool; install libimage-exiftool-perl (Debian)")
	}
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	command := exec.CommandContext(t.Context(), path, args...)
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		t.Fatalf("exiftool: %v: %s", err, said.Bytes())
	}
	return out
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
