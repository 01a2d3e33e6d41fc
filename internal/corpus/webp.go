package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"gatehouse/internal/apperr"
)

// The flags of an extended WebP.
const (
	webpAnimated = 1 << 1
	webpXMP      = 1 << 2
	webpEXIF     = 1 << 3
	webpAlpha    = 1 << 4
	webpICC      = 1 << 5
)

// riff is a chunk, with the padding of one of odd length.
func riff(name string, content ...[]byte) []byte {
	body := join(content...)
	b := join([]byte(name), le32(len(body)), body)
	return append(b, make([]byte, len(body)%2)...)
}

func webpFile(chunks ...[]byte) []byte { return webpFileOf(len(join(chunks...))+4, chunks...) }

// webpFileOf says another length than it has.
func webpFileOf(length int, chunks ...[]byte) []byte {
	return join([]byte("RIFF"), le32(length), []byte("WEBP"), join(chunks...))
}

// vp8x is the header of an extended WebP.
func vp8x(flags byte, width, height int) []byte {
	return riff("VP8X", []byte{flags, 0, 0, 0}, le24(width-1), le24(height-1))
}

// vp8l is a lossless picture of one colour. Each of its five codes has a single symbol, so that a pixel takes no bit.
func vp8l(width, height int) []byte {
	return vp8lOf(width, height, 0, func(w *bitWriter) {
		for _, symbol := range []uint32{0x52, 0xa0, 0x2d, 0xff} {
			w.write(0b101, 3) // a simple code of one symbol, which has eight bits
			w.write(symbol, 8)
		}
		w.write(0b0001, 4) // the code of distances: a symbol of one bit, which is 0
	})
}

// vp8lOf is a lossless picture with other codes.
func vp8lOf(width, height, version int, codes func(w *bitWriter)) []byte {
	var w bitWriter
	w.write(0x2f, 8)
	w.write(uint32(width-1), 14)
	w.write(uint32(height-1), 14)
	w.write(0, 1) // no transparency
	w.write(uint32(version), 3)
	w.write(0, 3) // no transform, no cache of colours, one set of codes
	codes(&w)
	return riff("VP8L", w.bytes)
}

// vp8 is the lossy picture of the fixture, with its header.
func vp8() []byte { return fixture("lossy.webp")[12:] }

// anim is the background and the number of repeats of an animation.
func anim() []byte { return riff("ANIM", make([]byte, 6)) }

// anmf is a frame of an animation.
func anmf(left, top, width, height int, picture ...[]byte) []byte {
	return riff("ANMF", le24(left/2), le24(top/2), le24(width-1), le24(height-1), le24(100), []byte{0}, join(picture...))
}

// extended is an ordinary picture with some chunks before and behind its pixels.
func extended(flags byte, before, behind []byte) []byte {
	return webpFile(vp8x(flags, width, height), before, vp8(), behind)
}

// webpPictures are odd in their container and their data.
func webpPictures() []Picture {
	s := &set{format: WebP}
	lossless := vp8l(width, height)
	s.stored("lossy", "an ordinary photograph", fixture("lossy.webp"))
	s.stored("lossless", "lossless", webpFile(lossless))
	s.stored("alpha", "lossy, with transparency", fixture("alpha.webp"))
	s.stored("extended", "an extended header that says nothing", extended(0, nil, nil))
	s.stored("extended-lossless", "an extended header before a lossless picture", webpFile(vp8x(0, width, height), lossless))
	s.stored("flags-lie", "flags of metadata that are not there", extended(webpXMP|webpEXIF, nil, nil))
	s.stored("one-pixel", "1 × 1", webpFile(vp8l(1, 1))).sized(1, 1)
	s.stored("widest", "16384 × 1, the widest there is", webpFile(vp8l(1<<14, 1))).sized(1<<14, 1)
	s.stored("highest", "1 × 16384, the highest there is", webpFile(vp8l(1, 1<<14))).sized(1, 1<<14)
	s.stored("at-the-limit", "50 million pixels in 36 bytes, the most that is taken", webpFile(vp8l(8192, 6400))).sized(8192, 6400)

	s.refused(apperr.TooManyPixels, "16383x16383", "268 million pixels in 36 bytes", webpFile(vp8l(16383, 16383)))
	s.refused(apperr.TooManyPixels, "past-the-limit", "one line more than 50 million pixels", webpFile(vp8l(8192, 6401)))
	s.refused(apperr.TooManyPixels, "lossy-16383x16383", "a lossy header that says 16383 × 16383", webpFile(patched(vp8(), 14, 0xff, 0x3f, 0xff, 0x3f)))
	s.refused(apperr.TooManyPixels, "canvas", "a canvas of 2²⁴ × 2²⁴ pixels", webpFile(vp8x(0, 1<<24, 1<<24), vp8()))
	s.damaged("canvas-other-size", "the canvas is larger than the picture", webpFile(vp8x(0, width+1, height), vp8()))
	s.damaged("canvas-small-picture-huge", "a small canvas before a huge picture", webpFile(vp8x(0, width, height), vp8l(16383, 16383)))
	s.damaged("lossy-no-width", "a lossy picture 0 pixels wide", webpFile(patched(vp8(), 14, 0, 0)))
	s.damaged("lossy-inter-frame", "a lossy frame that needs another", webpFile(patched(vp8(), 8, vp8()[8]|1)))
	s.damaged("lossy-no-start-code", "a lossy picture without its start code", webpFile(patched(vp8(), 11, 0, 0, 0)))
	s.damaged("lossy-short", "a lossy picture of 9 bytes", webpFile(riff("VP8 ", make([]byte, 9))))
	s.damaged("lossy-partition", "the first partition is longer than the picture", webpFile(patched(vp8(), 8, vp8()[8]|0xe0, 0xff, 0xff)))
	s.damaged("lossless-version", "a lossless picture of a later version", webpFile(vp8lOf(width, height, 1, func(w *bitWriter) { w.write(0, 32) })))
	s.damaged("lossless-signature", "a lossless picture without its signature", webpFile(patched(lossless, 8, 0)))
	s.damaged("lossless-short", "a lossless picture of 5 bytes", webpFile(riff("VP8L", lossless[8:13])))
	s.damaged("no-picture", "a header, and no picture", webpFile(vp8x(0, width, height)))
	s.damaged("two-pictures", "two pictures", webpFile(vp8(), vp8()))
	s.damaged("two-headers", "two extended headers", webpFile(vp8x(0, width, height), vp8x(0, width, height), vp8()))
	s.damaged("header-late", "the extended header comes behind the picture", webpFile(vp8(), vp8x(0, width, height)))
	s.damaged("header-short", "an extended header of 9 bytes", webpFile(riff("VP8X", make([]byte, 9)), vp8()))
	s.damaged("unknown-first", "the first chunk is one that nobody knows", webpFile(riff("ABCD", []byte("abcd")), vp8()))
	s.damaged("alpha-only", "transparency without a picture", webpFile(vp8x(webpAlpha, width, height), riff("ALPH", make([]byte, 1+width*height))))
	s.damaged("alpha-twice", "transparency of its own before a lossless picture", webpFile(vp8x(webpAlpha, width, height), riff("ALPH", make([]byte, 1+width*height)), lossless))
	s.damaged("empty", "an empty container", webpFile())

	s.withdrawn("lossy-garbage", "the data of a lossy picture is cut off, and the chunk is as short", webpFile(shortVP8()))
	s.withdrawn("lossless-garbage", "the codes of a lossless picture are random", webpFile(vp8lOf(width, height, 0, func(w *bitWriter) { w.bytes = append(w.bytes[:5], noise(60)...) })))
	s.withdrawn("lossless-cut", "the codes of a lossless picture stop", webpFile(riff("VP8L", lossless[8:15])))
	s.withdrawn("alpha-garbage", "the transparency is random", garbledAlpha())

	webpContainers(s)
	return s.pictures
}

// shortVP8 is a lossy picture that lost the second half of its first partition, which it says is shorter.
func shortVP8() []byte {
	data := vp8()[8:]
	const header = 10
	tag := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
	data = join(le24(tag&0x1f|2<<5), data[3:header], data[header:header+3])
	return riff("VP8 ", data)
}

// garbledAlpha has a compressed transparency that is random.
func garbledAlpha() []byte {
	data := fixture("alpha.webp")
	at := bytes.Index(data, []byte("ALPH")) + 8
	length := int(binary.LittleEndian.Uint32(data[at-4:]))
	return patched(data, at, append([]byte{1}, bytes.Repeat([]byte{0xff}, length-1)...)...)
}

// webpContainers adds containers that are cut or say a wrong length.
func webpContainers(s *set) {
	lossy := vp8()
	s.stored("no-last-padding", "the last chunk is of odd length, and nothing follows", webpFileOf(4+len(lossy)+len(riff("zzzz", []byte("abc")))-1, lossy, riff("zzzz", []byte("abc"))[:11]))
	s.stored("padding-hides", "the padding of a chunk is not zero", webpFile(lossy, patched(riff("zzzz", []byte("abc")), 11, 'S')))
	s.damaged("length-0", "the container says that it is empty", webpFileOf(0, lossy))
	s.damaged("length-4", "the container says that it holds its name only", webpFileOf(4, lossy))
	s.damaged("length-short", "the container ends within the picture", webpFileOf(50, lossy))
	s.damaged("length-long", "the container is longer than the file", webpFileOf(len(lossy)+100, lossy))
	s.damaged("length-negative", "the container has a length of -1", webpFileOf(-1, lossy))
	s.damaged("chunk-long", "the last chunk is longer than its container", webpFile(lossy, []byte("EXIF\xff\x00\x00\x00")))
	s.damaged("chunk-negative", "the last chunk has a length of -1", webpFile(lossy, []byte("EXIF\xff\xff\xff\xff")))
	s.damaged("chunk-head-cut", "the container ends within the head of a chunk", webpFile(lossy, []byte("EXIF")))
	s.refused(apperr.NotAnImage, "rifx", "the container of the other byte order", replaced(fixture("lossy.webp"), "RIFF", "RIFX")).Format = Other
	s.refused(apperr.NotAnImage, "after-junk", "a byte before an ordinary picture", []byte{0}, fixture("lossy.webp")).Format = Other
	whole := extended(webpEXIF, nil, riff("EXIF", orientedEXIF(binary.BigEndian, 1)))
	picture := 30 + len(lossy)
	s.cuts(12, []part{
		{"container", whole[:12]},
		{"header", whole[12:30]},
		{"picture-head", whole[30:38]},
		{"picture-header", whole[38:48]},
		{"picture", whole[48:picture]},
		{"exif", whole[picture:]},
	})
	s.stored("called-gif", "its uploader calls it a GIF", fixture("lossy.webp")).Extension = "gif"
}

// webpAnimations have many frames, or strange ones.
func webpAnimations() []Picture {
	s := &set{format: WebP}
	header := vp8x(webpAnimated, width, height)
	pixel, whole := anmf(2, 4, 1, 1, vp8l(1, 1)), anmf(0, 0, width, height, vp8l(width, height))
	s.stored("animated", "three lossy frames", fixture("animated.webp"))
	s.stored("animated-lossless", "two lossless frames", webpFile(header, anim(), whole, pixel))
	s.stored("animated-mixed", "a lossy frame and a lossless one", webpFile(header, anim(), anmf(0, 0, width, height, vp8()), pixel))
	s.stored("animated-1000", "as many frames as may be", webpFile(header, anim(), whole, bytes.Repeat(pixel, MaxFrames-1)))
	s.refused(apperr.TooManyPixels, "animated-1001", "one frame too many", webpFile(header, anim(), whole, bytes.Repeat(pixel, MaxFrames)))
	const wide, high = 8192, 6400
	s.refused(apperr.TooManyPixels, "animated-pixels", "frames that have more pixels together than a picture may have", webpFile(vp8x(webpAnimated, wide, high), anim(), bytes.Repeat(anmf(0, 0, wide, high, vp8l(wide, high)), 2)))
	s.damaged("animated-outside", "a frame beyond the edge of the canvas", webpFile(header, anim(), anmf(2, 0, width, height, vp8l(width, height))))
	s.damaged("animated-far", "a frame at 2²⁵, 2²⁵", webpFile(header, anim(), anmf(1<<25-2, 1<<25-2, 1, 1, vp8l(1, 1))))
	s.damaged("animated-empty-frame", "a frame without a picture", webpFile(header, anim(), anmf(0, 0, width, height)))
	s.damaged("animated-two-in-a-frame", "a frame with two pictures", webpFile(header, anim(), anmf(0, 0, width, height, vp8l(width, height), vp8l(width, height))))
	s.damaged("animated-other-size", "a frame that says another size than its picture", webpFile(header, anim(), anmf(0, 0, 10, 10, vp8l(9, 10))))
	s.damaged("animated-bomb-in-frame", "a frame of one pixel with a picture of 268 million", webpFile(header, anim(), anmf(0, 0, 1, 1, vp8l(16383, 16383))))
	s.damaged("animated-nested", "a frame within a frame", webpFile(header, anim(), anmf(0, 0, width, height, whole)))
	s.damaged("animated-none", "an animation of no frames", webpFile(header, anim()))
	s.damaged("animated-short-frame", "a frame of 15 bytes", webpFile(header, anim(), riff("ANMF", make([]byte, 15))))
	s.damaged("animated-control-only", "the background of an animation in a picture that does not move, which some ignore", extended(0, anim(), nil))
	s.damaged("animated-still", "a picture outside of the frames of an animation", webpFile(header, anim(), vp8()))
	s.damaged("animated-unannounced", "frames in a picture that says it does not move", webpFile(vp8x(0, width, height), whole))
	s.damaged("animated-no-control", "frames before their background and repeats", webpFile(header, whole))
	s.withdrawn("animated-garbage", "the second frame is random", webpFile(header, anim(), whole, anmf(0, 0, 4, 4, vp8lOf(4, 4, 0, func(w *bitWriter) { w.bytes = append(w.bytes[:5], noise(60)...) }))))
	return s.pictures
}

// webpMetadataPictures have metadata of each kind, and are other files too.
func webpMetadataPictures() []Picture {
	s := &set{format: WebP}
	for orientation := 1; orientation <= 8; orientation++ {
		s.stored(fmt.Sprintf("orientation-%d", orientation), "turned, by EXIF", extended(webpEXIF, nil, riff("EXIF", orientedEXIF(binary.LittleEndian, orientation)))).turned(orientation)
	}
	s.stored("orientation-prefixed", "turned, by EXIF with the prefix of JPEG's", extended(webpEXIF, nil, riff("EXIF", []byte("Exif\x00\x00"), orientedEXIF(binary.BigEndian, 6)))).turned(6)
	s.stored("exif", "a position, a camera, a maker's note and a thumbnail", extended(webpEXIF, nil, riff("EXIF", privateEXIF(6)))).turned(6).hides(exifSecrets...)
	s.stored("exif-plain", "EXIF behind a picture without an extended header", webpFile(vp8(), riff("EXIF", privateEXIF(1)))).hides(exifSecrets...)
	s.stored("exif-garbage", "EXIF of random bytes", extended(webpEXIF, nil, riff("EXIF", noise(200)))).hides(string(noise(200)))
	s.stored("xmp", "a packet of XMP", extended(webpXMP, nil, riff("XMP ", xmp("SecretXMP")))).hides("SecretXMP", "XMP ")
	s.stored("icc", "a colour profile", extended(webpICC, riff("ICCP", profile()), nil)).keeps(string(profile()))
	s.stored("icc-behind", "a colour profile behind the picture, which nobody heeds", extended(webpICC, nil, riff("ICCP", []byte("SecretProfile")))).hides("SecretProfile")
	s.stored("exif-twice", "two orientations, of which the first counts", extended(webpEXIF, nil, join(riff("EXIF", orientedEXIF(binary.LittleEndian, 6)), riff("EXIF", orientedEXIF(binary.LittleEndian, 1))))).turned(6)
	s.stored("exif-large", "EXIF of 100 KB", extended(webpEXIF, nil, riff("EXIF", orientedEXIF(binary.LittleEndian, 6), bytes.Repeat([]byte("Secret"), 17_000)))).turned(6).hides("SecretSecret")
	s.stored("unknown", "chunks that nobody knows, before and behind the picture", extended(0, riff("zzZz", []byte("SecretBefore")), riff("zzZz", []byte("SecretBehind")))).hides("SecretBefore", "SecretBehind")
	s.stored("unknown-in-frame", "a chunk that nobody knows in a frame of an animation", webpFile(vp8x(webpAnimated, width, height), anim(), anmf(0, 0, width, height, vp8l(width, height), riff("zzZz", []byte("SecretFrame"))))).hides("SecretFrame")
	s.stored("html-in-xmp", "a page as XMP", extended(webpXMP, nil, riff("XMP ", []byte(page)))).hides("SecretScript")
	for _, t := range trailers() {
		s.stored("then-"+t.name, "behind the picture comes "+t.name, fixture("lossy.webp"), t.data).hides(t.secret)
	}
	return s.pictures
}
