package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"gatehouse/internal/apperr"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// The colour types of PNG.
const (
	pngGray      = 0
	pngRGB       = 2
	pngPaletted  = 3
	pngGrayAlpha = 4
	pngRGBA      = 6
)

var pngChannels = map[byte]int{pngGray: 1, pngRGB: 3, pngPaletted: 1, pngGrayAlpha: 2, pngRGBA: 4}

// chunk is a chunk of PNG with its checksum.
func chunk(name string, content ...[]byte) []byte {
	body := join(content...)
	b := join(be32(len(body)), []byte(name), body)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// pngFile is a file of chunks.
func pngFile(chunks ...[]byte) []byte { return join([]byte(pngMagic), join(chunks...)) }

var pngEnd = chunk("IEND")

func ihdr(width, height int, depth, colorType, interlace byte) []byte {
	return chunk("IHDR", be32(width), be32(height), []byte{depth, colorType, 0, 0, interlace})
}

// idat is a chunk of data, which is compressed here.
func idat(raw []byte) []byte { return chunk("IDAT", deflated(raw)) }

// palette has as many colours.
func palette(colors int) []byte {
	b := make([]byte, 0, 3*colors)
	for i := range colors {
		b = append(b, byte(i*11), byte(i*7), byte(255-i))
	}
	return chunk("PLTE", b)
}

// pass is one of the seven pictures that an interlaced one is made of: where it starts, and how far its pixels are
// from each other.
type pass struct{ x, y, dx, dy int }

var (
	onePass = []pass{{0, 0, 1, 1}}
	adam7   = []pass{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
)

// rawPixels are the lines of a picture of some kind, without filters.
func rawPixels(width, height int, depth, colorType byte, passes []pass) []byte {
	var b []byte
	for _, p := range passes {
		if p.x >= width {
			continue
		}
		for y := p.y; y < height; y += p.dy {
			b = append(b, 0)
			bits := 8
			for x := p.x; x < width; x += p.dx {
				for channel := range pngChannels[colorType] {
					b, bits = appendSample(b, bits, depth, x*9+y*13+channel*40)
				}
			}
		}
	}
	return b
}

// appendSample appends a sample, the most significant bit first; used says how many bits of the last byte are.
func appendSample(b []byte, used int, depth byte, sample int) ([]byte, int) {
	if depth == 16 {
		return append(b, byte(sample), byte(sample*3)), 8
	}
	if used == 8 {
		b, used = append(b, 0), 0
	}
	used += int(depth)
	b[len(b)-1] |= byte(sample&(1<<depth-1)) << (8 - used)
	return b, used
}

// plainPNG is an ordinary picture.
func plainPNG() []byte {
	return pngFile(ihdr(width, height, 8, pngRGB, 0), plainData(), pngEnd)
}

func plainData() []byte { return idat(rawPixels(width, height, 8, pngRGB, onePass)) }

// withChunks puts chunks before the data of the ordinary picture.
func withChunks(chunks ...[]byte) []byte {
	return pngFile(ihdr(width, height, 8, pngRGB, 0), join(chunks...), plainData(), pngEnd)
}

// grayPNG is a gray picture of one bit a pixel with some data.
func grayPNG(width, height int, data ...[]byte) []byte {
	return pngFile(ihdr(width, height, 1, pngGray, 0), join(data...), pngEnd)
}

// zeroRows is the data of a black picture of one bit a pixel.
func zeroRows(width, height int) []byte {
	return chunk("IDAT", deflatedZeros((1+(width+7)/8)*height))
}

// pngPictures are all kinds of pixels, and data that is damaged or much.
func pngPictures() []Picture {
	s := &set{format: PNG}
	for _, kind := range []struct {
		colorType byte
		name      string
		depths    []byte
	}{
		{pngGray, "gray", []byte{1, 2, 4, 8, 16}},
		{pngRGB, "rgb", []byte{8, 16}},
		{pngPaletted, "paletted", []byte{1, 2, 4, 8}},
		{pngGrayAlpha, "gray-alpha", []byte{8, 16}},
		{pngRGBA, "rgba", []byte{8, 16}},
	} {
		for _, depth := range kind.depths {
			var colors []byte
			if kind.colorType == pngPaletted {
				colors = palette(1 << depth)
			}
			s.stored(fmt.Sprintf("%s-%d", kind.name, depth), fmt.Sprintf("%d bits a sample", depth),
				pngFile(ihdr(width, height, depth, kind.colorType, 0), colors, idat(rawPixels(width, height, depth, kind.colorType, onePass)), pngEnd))
			s.stored(fmt.Sprintf("%s-%d-interlaced", kind.name, depth), fmt.Sprintf("%d bits a sample, interlaced", depth),
				pngFile(ihdr(width, height, depth, kind.colorType, 1), colors, idat(rawPixels(width, height, depth, kind.colorType, adam7)), pngEnd))
		}
	}
	s.stored("interlaced-1x1", "interlaced, so that six of the seven passes are empty", pngFile(ihdr(1, 1, 8, pngRGB, 1), idat(make([]byte, 4)), pngEnd)).sized(1, 1)
	s.stored("one-line", "65535 × 1", grayPNG(MaxSide, 1, zeroRows(MaxSide, 1))).sized(MaxSide, 1)
	s.stored("one-column", "1 × 65535", grayPNG(1, MaxSide, zeroRows(1, MaxSide))).sized(1, MaxSide)
	pngBombs(s)
	pngData(s)
	return s.pictures
}

// pngBombs adds pictures that cost far more than their bytes.
func pngBombs(s *set) {
	s.refused(apperr.TooManyPixels, "50000x50000", "2.5 billion pixels in 300 KB", grayPNG(50000, 50000, zeroRows(50000, 50000)))
	s.refused(apperr.TooManyPixels, "65536x1", "one pixel wider than a side may be", grayPNG(MaxSide+1, 1, zeroRows(MaxSide+1, 1)))
	s.refused(apperr.TooManyPixels, "past-the-limit", "one line more than 50 million pixels", grayPNG(8192, 6401, zeroRows(8192, 6401)))
	s.stored("at-the-limit", "50 million pixels in 7 KB, the most that is taken", grayPNG(8192, 6400, zeroRows(8192, 6400))).sized(8192, 6400)
	s.refused(apperr.TooManyPixels, "largest-sides", "2³¹-1 × 2³¹-1", grayPNG(1<<31-1, 1<<31-1, zeroRows(1, 1)))
	s.withdrawn("too-much-data", "300 MB behind the data of 384 pixels", grayPNG(width, height, chunk("IDAT", deflatedZeros(300<<20))))
	bomb := deflatedZeros(300 << 20)
	s.stored("ztxt-bomb", "a text of 300 MB in 300 KB", withChunks(chunk("zTXt", []byte("Comment\x00\x00"), bomb))).hides("Comment\x00")
	s.stored("itxt-bomb", "a text of 300 MB in 300 KB, of the newer kind", withChunks(chunk("iTXt", []byte("Comment\x00\x01\x00\x00\x00"), bomb))).hides("Comment\x00")
	s.stored("iccp-bomb", "a colour profile of 300 MB in 300 KB", withChunks(chunk("iCCP", []byte("Bomb\x00\x00"), bomb))).keeps("Bomb\x00")
}

// pngData adds what is odd or wrong in the data of the pixels.
func pngData(s *set) {
	raw := rawPixels(width, height, 8, pngRGB, onePass)
	compressed := deflated(raw)
	of := func(data ...[]byte) []byte {
		return pngFile(ihdr(width, height, 8, pngRGB, 0), join(data...), pngEnd)
	}
	var bytewise []byte
	for _, c := range compressed {
		bytewise = append(bytewise, chunk("IDAT", []byte{c})...)
	}
	half := len(compressed) / 2
	s.stored("data-bytewise", "a chunk for each byte of the data", of(bytewise))
	s.stored("data-empty-chunks", "a thousand empty chunks of data before the first", of(bytes.Repeat(chunk("IDAT"), 1000), chunk("IDAT", compressed)))
	s.withdrawn("data-short", "the last line is missing", of(idat(raw[:len(raw)-73])))
	s.withdrawn("data-cut", "the compressed data stops halfway", of(chunk("IDAT", compressed[:half])))
	s.withdrawn("data-long", "a line too many", of(idat(append(raw, make([]byte, 73)...))))
	s.withdrawn("data-garbage", "the data is random", of(chunk("IDAT", noise(200))))
	s.withdrawn("data-uncompressed", "the data is not compressed", of(chunk("IDAT", raw)))
	s.withdrawn("data-wrong-sum", "the checksum of the data is wrong", of(chunk("IDAT", patched(compressed, len(compressed)-2, 1, 2))))
	s.withdrawn("data-changed", "a changed byte within the data", of(chunk("IDAT", patched(compressed, half, ^compressed[half]))))
	s.withdrawn("data-filter-5", "a filter that there is not", of(idat(patched(raw, 73, 5))))
	s.withdrawn("data-dictionary", "it was compressed with a dictionary that nobody has", of(chunk("IDAT", []byte{0x78, 0xbb, 1, 2, 3, 4}, compressed[2:])))
	s.stored("data-trailing", "bytes behind the end of the compressed data, which decoders skip", of(chunk("IDAT", compressed, []byte("trailing"))))
	s.stored("data-trailing-chunk", "a chunk of data behind the end of the compressed data, which decoders skip", of(chunk("IDAT", compressed), chunk("IDAT", []byte("trailing"))))
	s.withdrawn("data-one-byte", "a single byte of data", of(chunk("IDAT", []byte("x"))))
	s.damaged("data-none", "no data", of())
	s.damaged("data-empty", "an empty chunk of data", of(chunk("IDAT")))
	s.damaged("data-interrupted", "another chunk between two of data", of(chunk("IDAT", compressed[:half]), chunk("tEXt", []byte("a\x00b")), chunk("IDAT", compressed[half:])))
}

// pngChunkPictures are odd in their chunks and their headers.
func pngChunkPictures() []Picture {
	s := &set{format: PNG}
	header := ihdr(width, height, 8, pngRGB, 0)
	data := plainData()
	s.cuts(len(pngMagic), []part{
		{"signature", []byte(pngMagic)},
		{"header", header},
		{"text", chunk("tEXt", []byte("Comment\x00text"))},
		{"data-length", data[:4]},
		{"data-name", data[4:8]},
		{"data", data[8 : len(data)-4]},
		{"data-sum", data[len(data)-4:]},
		{"end", pngEnd},
	})
	s.damaged("no-header", "no header", pngFile(data, pngEnd))
	s.damaged("header-late", "the header is the second chunk", pngFile(chunk("tEXt", []byte("a\x00b")), header, data, pngEnd))
	s.damaged("two-headers", "two headers", pngFile(header, ihdr(99, 99, 8, pngRGB, 0), data, pngEnd))
	s.damaged("header-12", "a header of 12 bytes", pngFile(chunk("IHDR", header[8:20]), data, pngEnd))
	s.damaged("header-14", "a header of 14 bytes", pngFile(chunk("IHDR", header[8:21], []byte{0}), data, pngEnd))
	s.damaged("no-width", "0 pixels wide", pngFile(ihdr(0, height, 8, pngRGB, 0), data, pngEnd))
	s.damaged("no-height", "0 pixels high", pngFile(ihdr(width, 0, 8, pngRGB, 0), data, pngEnd))
	s.damaged("negative-width", "a width that looks negative", pngFile(ihdr(1<<31, height, 8, pngRGB, 0), data, pngEnd))
	s.damaged("depth-3", "3 bits a sample", pngFile(ihdr(width, height, 3, pngGray, 0), data, pngEnd))
	s.damaged("depth-16-paletted", "a palette with 16 bits a pixel", pngFile(ihdr(width, height, 16, pngPaletted, 0), palette(256), data, pngEnd))
	for _, colorType := range []byte{1, 5, 7, 255} {
		s.damaged(fmt.Sprintf("color-type-%d", colorType), "a colour type that there is not", pngFile(ihdr(width, height, 8, colorType, 0), data, pngEnd))
	}
	for i, name := range []string{"compression", "filter", "interlace"} {
		odd := patched(header[8:21], 10+i, 2)
		s.damaged(name+"-2", "a method of "+name+" that there is not", pngFile(chunk("IHDR", odd), data, pngEnd))
	}
	pngSums(s, header, data)
	pngPalettes(s)
	pngOddChunks(s, header, data)
	return s.pictures
}

// pngSums adds wrong checksums and lengths.
func pngSums(s *set, header, data []byte) {
	comment := chunk("tEXt", []byte("Comment\x00text"))
	wrong := func(chunk []byte) []byte { return patched(chunk, len(chunk)-1, ^chunk[len(chunk)-1]) }
	s.damaged("sum-header", "the header's checksum is wrong", pngFile(wrong(header), data, pngEnd))
	s.damaged("sum-data", "the data's checksum is wrong", pngFile(header, wrong(data), pngEnd))
	s.damaged("sum-text", "the checksum of a text is wrong", pngFile(header, wrong(comment), data, pngEnd))
	s.damaged("sum-end", "the end's checksum is wrong", pngFile(header, data, wrong(pngEnd)))
	s.damaged("length-long", "a text says that it is longer than it is", pngFile(header, patched(comment, 3, 200), data, pngEnd))
	s.damaged("length-short", "a text says that it is shorter than it is", pngFile(header, patched(comment, 3, 3), data, pngEnd))
	s.damaged("length-largest", "a text of 2³¹-1 bytes", pngFile(header, patched(comment, 0, 0x7f, 0xff, 0xff, 0xff), data, pngEnd))
	s.damaged("length-negative", "a text of -1 bytes", pngFile(header, patched(comment, 0, 0xff, 0xff, 0xff, 0xff), data, pngEnd))
}

// pngPalettes adds what is odd about palettes.
func pngPalettes(s *set) {
	header := ihdr(width, height, 8, pngPaletted, 0)
	data := idat(rawPixels(width, height, 8, pngPaletted, onePass))
	s.damaged("palette-none", "a paletted picture without a palette", pngFile(header, data, pngEnd))
	s.damaged("palette-empty", "a palette without colours", pngFile(header, palette(0), data, pngEnd))
	s.damaged("palette-odd", "a palette of 10 bytes", pngFile(header, chunk("PLTE", make([]byte, 10)), data, pngEnd))
	s.damaged("palette-long", "a palette of 257 colours", pngFile(header, palette(257), data, pngEnd))
	s.damaged("palette-twice", "two palettes", pngFile(header, palette(256), palette(256), data, pngEnd))
	s.damaged("palette-late", "a palette behind the data", pngFile(header, data, palette(256), pngEnd))
	s.damaged("palette-in-gray", "a palette in a gray picture", pngFile(ihdr(width, height, 8, pngGray, 0), palette(256), idat(rawPixels(width, height, 8, pngGray, onePass)), pngEnd))
	s.stored("palette-short", "a palette that lacks most of the colours in use", pngFile(header, palette(3), data, pngEnd))
	s.stored("palette-suggested", "a palette in a picture of true colours, which may have one", withChunks(palette(16)))
	s.stored("palette-transparent", "a palette with transparent colours", pngFile(header, palette(256), chunk("tRNS", []byte{0, 128, 255}), data, pngEnd))
	s.damaged("transparency-first", "the transparency comes before the palette", pngFile(header, chunk("tRNS", []byte{0}), palette(256), data, pngEnd))
	s.damaged("transparency-long", "more transparent colours than there are", pngFile(header, palette(2), chunk("tRNS", make([]byte, 257)), data, pngEnd))
	s.stored("transparent-gray", "a transparent shade of gray", pngFile(ihdr(width, height, 8, pngGray, 0), chunk("tRNS", be16(22)), idat(rawPixels(width, height, 8, pngGray, onePass)), pngEnd))
	s.stored("transparent-rgb", "a transparent colour", withChunks(chunk("tRNS", be16(9), be16(49), be16(89))))
	s.damaged("transparency-with-alpha", "a transparent colour in a picture that has an alpha channel", pngFile(ihdr(width, height, 8, pngRGBA, 0), chunk("tRNS", make([]byte, 6)), idat(rawPixels(width, height, 8, pngRGBA, onePass)), pngEnd))
}

// pngOddChunks adds chunks where they do not belong, and those that nobody knows.
func pngOddChunks(s *set, header, data []byte) {
	s.damaged("end-with-content", "an end with content", pngFile(header, data, chunk("IEND", []byte("x"))))
	s.damaged("no-end", "no end", pngFile(header, data))
	s.damaged("end-only", "an end and nothing else", pngFile(pngEnd))
	s.damaged("end-before-data", "the end comes before the data", pngFile(header, pngEnd, data))
	s.refused(apperr.NotAnImage, "critical-unknown", "a chunk that nobody knows, and that says nobody can do without it", withChunks(chunk("ABCD", []byte("x"))))
	s.refused(apperr.NotAnImage, "cgbi", "the PNG of iPhone apps, which only they can read", pngFile(chunk("CgBI", []byte{0x50, 0, 0x20, 2}), header, data, pngEnd))
	s.refused(apperr.NotAnImage, "name-not-letters", "a chunk whose name is not made of letters", withChunks(chunk("\x00\x01\x02\x03", []byte("x"))))
	s.stored("chunk-unknown", "a chunk that nobody knows or needs", withChunks(chunk("zzZz", []byte("SecretUnknown")))).hides("SecretUnknown")
	s.stored("many-chunks", "5,000 empty texts", withChunks(bytes.Repeat(chunk("tEXt", []byte("a\x00")), 5000)))
	s.stored("gamma", "gamma, chromaticities, resolution and a background", withChunks(chunk("gAMA", be32(45455)), chunk("cHRM", be32(31270), be32(32900), be32(64000), be32(33000), be32(30000), be32(60000), be32(15000), be32(6000)), chunk("pHYs", be32(2835), be32(2835), []byte{1}), chunk("bKGD", make([]byte, 6)))).keeps("gAMA")
	s.stored("srgb", "the colours are those of sRGB", withChunks(chunk("sRGB", []byte{0}))).keeps("sRGB")
	s.refused(apperr.NotAnImage, "after-junk", "a byte before an ordinary picture", []byte{0}, plainPNG()).Format = Other
	s.stored("called-jpg", "its uploader calls it a JPEG", plainPNG()).Extension = "jpg"
}

// fctl is the header of a frame of an animation.
func fctl(sequence, width, height, left, top int) []byte {
	return chunk("fcTL", be32(sequence), be32(width), be32(height), be32(left), be32(top), be16(1), be16(10), []byte{0, 0})
}

func actl(frames int) []byte { return chunk("acTL", be32(frames), be32(0)) }

// fdat is the data of a frame, of the usual size or of one pixel.
func fdat(sequence int, pixels []byte) []byte { return chunk("fdAT", be32(sequence), pixels) }

func wholeFrame() []byte { return deflated(rawPixels(width, height, 8, pngRGB, onePass)) }

func onePixel() []byte { return deflated(rawPixels(1, 1, 8, pngRGB, onePass)) }

// animation is a PNG with as many frames, the first of which is the picture itself; the others are a pixel each.
func animation(announced, frames int) []byte {
	chunks := [][]byte{ihdr(width, height, 8, pngRGB, 0), actl(announced), fctl(0, width, height, 0, 0), plainData()}
	pixel := onePixel()
	for i := range frames - 1 {
		chunks = append(chunks, fctl(1+2*i, 1, 1, i%width, i%height), fdat(2+2*i, pixel))
	}
	return pngFile(append(chunks, pngEnd)...)
}

// pngAnimations are APNG. What decodes only the picture itself sees none of their frames.
func pngAnimations() []Picture {
	s := &set{format: PNG}
	header, data := ihdr(width, height, 8, pngRGB, 0), plainData()
	first, pixel := fctl(0, width, height, 0, 0), onePixel()
	s.stored("animated", "three frames", animation(3, 3))
	s.stored("animated-hidden-picture", "the picture itself is not part of the animation", pngFile(header, actl(1), data, fctl(0, width, height, 0, 0), fdat(1, wholeFrame()), pngEnd))
	s.stored("animated-one-frame", "an animation of one frame", animation(1, 1))
	s.stored("animated-1000", "as many frames as may be", animation(MaxFrames, MaxFrames))
	s.refused(apperr.TooManyPixels, "animated-1001", "one frame too many", animation(MaxFrames+1, MaxFrames+1))
	s.refused(apperr.TooManyPixels, "animated-pixels", "frames that have more than ten times the pixels together", largeAnimation())
	s.damaged("animated-lies", "it announces three frames and has two", animation(3, 2))
	s.damaged("animated-none", "an animation of no frames", pngFile(header, actl(0), data, pngEnd))
	s.damaged("animated-outside", "a frame beyond the edge of the picture", pngFile(header, actl(2), first, data, fctl(1, width, height, 1, 0), fdat(2, wholeFrame()), pngEnd))
	s.damaged("animated-no-width", "a frame of no width", pngFile(header, actl(2), first, data, fctl(1, 0, height, 0, 0), fdat(2, pixel), pngEnd))
	s.damaged("animated-order", "the frames are not in order", pngFile(header, actl(2), first, data, fctl(5, 1, 1, 0, 0), fdat(2, pixel), pngEnd))
	s.damaged("animated-data-first", "data of a frame before any frame", pngFile(header, actl(1), fdat(0, pixel), data, pngEnd))
	s.stored("animated-control-late", "the announcement comes behind the data, where it means nothing", pngFile(header, data, actl(1), fctl(0, 1, 1, 0, 0), fdat(1, pixel), pngEnd)).hides("acTL", "fcTL", "fdAT")
	s.stored("animated-unannounced", "frames that nothing announces", pngFile(header, data, fctl(0, 1, 1, 0, 0), chunk("fdAT", be32(1), []byte("SecretFrame")), pngEnd)).hides("SecretFrame")
	s.damaged("animated-first-smaller", "the first frame is smaller than the picture that it is made of", pngFile(header, actl(1), fctl(0, 1, 1, 0, 0), data, pngEnd))
	s.damaged("animated-control-twice", "two announcements", pngFile(header, actl(1), actl(1), first, data, pngEnd))
	s.damaged("animated-empty-frame", "a frame without data", pngFile(header, actl(2), first, data, fctl(1, 1, 1, 0, 0), pngEnd))
	s.withdrawn("animated-garbage", "the data of the second frame is random", pngFile(header, actl(2), first, data, fctl(1, 1, 1, 0, 0), chunk("fdAT", be32(2), noise(50)), pngEnd))
	return s.pictures
}

// largeAnimation has eleven frames of 50 million pixels each.
func largeAnimation() []byte {
	const width, height, frames = 8192, 6400, 11
	zeros := deflatedZeros((1 + width/8) * height)
	chunks := [][]byte{ihdr(width, height, 1, pngGray, 0), actl(frames), fctl(0, width, height, 0, 0), chunk("IDAT", zeros)}
	for i := range frames - 1 {
		chunks = append(chunks, fctl(1+2*i, width, height, 0, 0), chunk("fdAT", be32(2+2*i), zeros))
	}
	return pngFile(append(chunks, pngEnd)...)
}

// pngMetadataPictures have metadata of each kind, and are other files too.
func pngMetadataPictures() []Picture {
	s := &set{format: PNG}
	for orientation := 1; orientation <= 8; orientation++ {
		s.stored(fmt.Sprintf("orientation-%d", orientation), "turned, by EXIF", withChunks(chunk("eXIf", orientedEXIF(binary.BigEndian, orientation)))).turned(orientation)
	}
	s.stored("orientation-behind", "turned, by EXIF behind the data", pngFile(ihdr(width, height, 8, pngRGB, 0), plainData(), chunk("eXIf", orientedEXIF(binary.LittleEndian, 6)), pngEnd)).turned(6)
	s.stored("exif", "a position, a camera, a maker's note and a thumbnail", withChunks(chunk("eXIf", privateEXIF(6)))).turned(6).hides(exifSecrets...)
	s.stored("exif-garbage", "EXIF of random bytes", withChunks(chunk("eXIf", noise(200)))).hides(string(noise(200)))
	hidden := deflated([]byte("SecretText, which nobody can see without a little work"))
	s.stored("text", "a text", withChunks(chunk("tEXt", []byte("Author\x00SecretText")))).hides("SecretText", "tEXt")
	s.stored("text-compressed", "a compressed text", withChunks(chunk("zTXt", []byte("Author\x00\x00"), hidden))).hides(string(hidden), "zTXt")
	s.stored("text-international", "a text of the newer kind", withChunks(chunk("iTXt", []byte("Author\x00\x00\x00zh\x00SecretKeyword\x00SecretText")))).hides("SecretKeyword", "SecretText", "iTXt")
	s.stored("text-behind", "a text behind the data", pngFile(ihdr(width, height, 8, pngRGB, 0), plainData(), chunk("tEXt", []byte("Author\x00SecretText")), pngEnd)).hides("SecretText")
	s.stored("xmp", "a packet of XMP", withChunks(chunk("iTXt", []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00"), xmp("SecretXMP")))).hides("SecretXMP")
	s.stored("raw-profile", "EXIF in hexadecimal digits, as ImageMagick writes it", withChunks(chunk("tEXt", fmt.Appendf(nil, "Raw profile type exif\x00\nexif\n%8d\n%x\n", len(privateEXIF(1)), privateEXIF(1))))).hides("Raw profile")
	s.stored("time", "when it was changed", withChunks(chunk("tIME", be16(2021), []byte{2, 3, 4, 5, 6}))).hides("tIME")
	s.stored("content-credentials", "who made it, in the chunk of C2PA", withChunks(chunk("caBX", []byte("SecretCredentials")))).hides("SecretCredentials")
	s.stored("icc", "a colour profile", withChunks(chunk("iCCP", []byte("Profile\x00\x00"), deflated(profile())))).keeps(string(deflated(profile())))
	s.stored("exif-large", "EXIF of 100 KB", withChunks(chunk("eXIf", orientedEXIF(binary.BigEndian, 6), bytes.Repeat([]byte("Secret"), 17_000)))).turned(6).hides("SecretSecret")
	s.stored("exif-twice", "two orientations, of which the first counts", withChunks(chunk("eXIf", orientedEXIF(binary.BigEndian, 6)), chunk("eXIf", orientedEXIF(binary.BigEndian, 1)))).turned(6)
	s.stored("icc-twice", "two colour profiles, of which the first counts", withChunks(chunk("iCCP", []byte("Profile\x00\x00"), deflated(profile())), chunk("iCCP", []byte("SecretProfile\x00\x00"), deflated(profile())))).hides("SecretProfile")
	s.stored("icc-behind", "a colour profile behind the data, which nobody heeds", pngFile(ihdr(width, height, 8, pngRGB, 0), plainData(), chunk("iCCP", []byte("SecretProfile\x00\x00"), deflated(profile())), pngEnd)).hides("SecretProfile")
	s.stored("suggested-palette", "a palette with a name", withChunks(chunk("sPLT", []byte("SecretPalette\x00\x08"), make([]byte, 6)))).hides("SecretPalette")
	s.stored("gamma-long", "more than a number in the chunk for gamma", withChunks(chunk("gAMA", be32(45455), []byte("SecretGamma")))).hides("SecretGamma")
	s.stored("php-in-text", "a script for servers in a text", withChunks(chunk("tEXt", []byte(`Comment`+"\x00"+`<?php echo "SecretPHP"; ?>`)))).hides("SecretPHP")
	s.stored("html-in-text", "a page in a text", withChunks(chunk("tEXt", []byte("Comment\x00"+page)))).hides("SecretScript")
	s.stored("html-in-palette", "a page in the colours of a palette that nobody needs", withChunks(chunk("PLTE", []byte(page + "   ")[:len(page)/3*3])))
	for _, t := range trailers() {
		s.stored("then-"+t.name, "behind the picture comes "+t.name, plainPNG(), t.data).hides(t.secret)
	}
	return s.pictures
}
