package corpus

import (
	"bytes"
	"compress/lzw"
	"fmt"

	"gatehouse/internal/apperr"
)

// gifPalette has four colours.
const gifPalette = "\x10\x20\x30\xa0\x52\x2d\x2d\x52\xa0\xf0\xf0\xe0"

const gifEnd = ";"

// gifHead is the header and the screen, with the palette.
func gifHead(width, height int) []byte {
	return join([]byte("GIF89a"), le16(width), le16(height), []byte{0xf1, 0, 0}, []byte(gifPalette))
}

// gifControl says how long the next frame is shown and what becomes of it; flags has the disposal and transparency.
func gifControl(flags byte) []byte { return []byte{0x21, 0xf9, 4, flags, 10, 0, 3, 0} }

// blocks are data in blocks of at most 255 bytes, and the empty one that ends them.
func blocks(data []byte) []byte {
	var b []byte
	for len(data) > 0 {
		n := min(len(data), 255)
		b = append(append(b, byte(n)), data[:n]...)
		data = data[n:]
	}
	return append(b, 0)
}

// trimEnd leaves out the empty block at the end.
func trimEnd(blocks []byte) []byte { return blocks[:len(blocks)-1] }

// gifPixels are the compressed pixels of a frame, each one of four colours.
func gifPixels(count int) []byte {
	var b bytes.Buffer
	w := lzw.NewWriter(&b, lzw.LSB, 2)
	pixels := make([]byte, count)
	for i := range pixels {
		pixels[i] = byte(i*i/7) & 3
	}
	w.Write(pixels) // a buffer takes all
	w.Close()
	return b.Bytes()
}

// gifDescriptor is the header of a frame.
func gifDescriptor(left, top, width, height int, flags byte) []byte {
	return join([]byte{0x2c}, le16(left), le16(top), le16(width), le16(height), []byte{flags})
}

func gifFrame(left, top, width, height int) []byte {
	return gifFrameOf(gifDescriptor(left, top, width, height, 0), gifPixels(width*height))
}

func gifFrameOf(descriptor, data []byte) []byte {
	return join(descriptor, []byte{2}, blocks(data))
}

// extension is a block of some kind.
func extension(label byte, data ...[]byte) []byte {
	return join([]byte{0x21, label}, join(data...))
}

// gifFile is an ordinary picture with some blocks before its only frame.
func gifFile(before ...[]byte) []byte {
	return join(gifHead(width, height), join(before...), gifFrame(0, 0, width, height), []byte(gifEnd))
}

// gifOf is a picture of the usual size of other blocks.
func gifOf(parts ...[]byte) []byte {
	return join(gifHead(width, height), join(parts...), []byte(gifEnd))
}

// gifPictures are odd in their screen, their blocks and their data.
func gifPictures() []Picture {
	s := &set{format: GIF}
	frame, pixels := gifFrame(0, 0, width, height), gifPixels(width*height)
	descriptor := gifDescriptor(0, 0, width, height, 0)
	s.stored("static", "one frame", gifFile())
	s.stored("87a", "the older version", replaced(gifFile(), "GIF89a", "GIF87a"))
	s.stored("transparent", "a transparent colour", gifFile(gifControl(1)))
	s.stored("interlaced", "lines in another order", gifOf(gifFrameOf(gifDescriptor(0, 0, width, height, 0x40), pixels)))
	s.stored("local-palette", "a palette of its own for the frame", gifOf(descriptor[:9], []byte{0x81}, []byte(gifPalette), []byte{2}, blocks(pixels)))
	s.stored("one-pixel", "1 × 1", gifHead(1, 1), gifFrame(0, 0, 1, 1), []byte(gifEnd)).sized(1, 1)
	s.stored("one-line", "65535 × 1", gifHead(MaxSide, 1), gifFrame(0, 0, MaxSide, 1), []byte(gifEnd)).sized(MaxSide, 1)
	s.stored("small-frame", "a frame that covers a corner of the screen", gifOf(gifFrame(3, 2, 5, 4)))
	s.stored("control-behind", "control of a frame that does not come", gifOf(frame, gifControl(4)))
	s.withdrawn("data-trailing", "a block behind the end of the codes", gifOf(descriptor, []byte{2}, trimEnd(blocks(pixels)), blocks([]byte("trailing"))))
	s.stored("bytewise", "a block for each byte of the data", gifOf(descriptor, []byte{2}, bytewise(pixels), []byte{0}))
	s.stored("two-controls", "two blocks of control before a frame", gifFile(gifControl(0), gifControl(4)))

	s.refused(apperr.TooManyPixels, "huge-screen", "65535 × 65535, of which a frame covers one pixel", gifHead(MaxSide, MaxSide), gifFrame(0, 0, 1, 1), []byte(gifEnd))
	s.refused(apperr.TooManyPixels, "past-the-limit", "one line more than 50 million pixels", gifHead(8192, 6401), gifFrame(0, 0, 1, 1), []byte(gifEnd))
	s.damaged("no-width", "0 pixels wide", gifHead(0, height), gifFrame(0, 0, 1, 1), []byte(gifEnd))
	s.damaged("no-height", "0 pixels high", gifHead(width, 0), gifFrame(0, 0, 1, 1), []byte(gifEnd))
	s.damaged("outside", "a frame beyond the edge of the screen", gifOf(gifFrame(1, 0, width, height)))
	s.damaged("outside-far", "a frame at 65535, 65535", gifOf(gifFrame(MaxSide, MaxSide, 1, 1)))
	s.damaged("empty-frame-size", "a frame of 0 × 0 pixels", gifOf(gifFrameOf(gifDescriptor(0, 0, 0, 0, 0), gifPixels(1))))
	s.damaged("no-data", "a frame without data", gifOf(descriptor, []byte{2, 0}))
	s.damaged("no-frame", "no frame", gifOf())
	s.damaged("code-size-0", "codes of no bits", gifOf(descriptor, []byte{0}, blocks(pixels)))
	s.damaged("code-size-1", "codes of one bit", gifOf(descriptor, []byte{1}, blocks(pixels)))
	s.damaged("code-size-9", "codes of nine bits", gifOf(descriptor, []byte{9}, blocks(pixels)))
	s.damaged("code-size-255", "codes of 255 bits", gifOf(descriptor, []byte{255}, blocks(pixels)))
	s.damaged("no-palette", "no palette at all", []byte("GIF89a"), le16(width), le16(height), []byte{0, 0, 0}, frame, []byte(gifEnd))
	s.damaged("block-unknown", "a block that there is not", gifFile([]byte{0x3f, 0}))
	s.damaged("control-length", "a block of control of three bytes", gifFile([]byte{0x21, 0xf9, 3, 0, 10, 0, 0}))
	s.damaged("end-only", "the end follows the screen of an empty file", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"))
	s.refused(apperr.NotAnImage, "90a", "a version that there is not", replaced(gifFile(), "GIF89a", "GIF90a")).Format = Other

	gifData(s)
	return append(s.pictures, gifMetadataPictures()...)
}

// gifData adds data that does not decode, and cuts.
func gifData(s *set) {
	pixels, descriptor := gifPixels(width*height), gifDescriptor(0, 0, width, height, 0)
	s.withdrawn("data-short", "a few pixels are missing", gifOf(gifFrameOf(descriptor, gifPixels(width*height-40))))
	s.withdrawn("data-cut", "the codes stop halfway", gifOf(gifFrameOf(descriptor, pixels[:len(pixels)/2])))
	s.withdrawn("data-long", "more pixels than the frame has", gifOf(gifFrameOf(descriptor, gifPixels(width*height+40))))
	s.withdrawn("data-garbage", "the codes refer to others that are not there yet", gifOf(gifFrameOf(descriptor, bytes.Repeat([]byte{0xfe}, 60))))
	s.withdrawn("colors-missing", "a palette of two colours, and pixels of four", []byte("GIF89a"), le16(width), le16(height), []byte{0xf0, 0, 0}, []byte(gifPalette)[:6], gifFrame(0, 0, width, height), []byte(gifEnd))

	s.cuts(6, []part{
		{"magic", []byte("GIF89a")},
		{"screen", gifHead(width, height)[6:13]},
		{"palette", []byte(gifPalette)},
		{"control", gifControl(0)},
		{"descriptor", descriptor},
		{"code-size", []byte{2}},
		{"data", blocks(pixels)},
		{"comment", extension(0xfe, blocks([]byte("comment")))},
		{"end", []byte(gifEnd)},
	})
}

// bytewise puts each byte into a block of its own.
func bytewise(data []byte) []byte {
	var b []byte
	for _, c := range data {
		b = append(b, 1, c)
	}
	return b
}

// loop makes an animation repeat for ever.
func loop() []byte {
	return extension(0xff, []byte("\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"))
}

// gifAnimations have many frames, or strange ones.
func gifAnimations() []Picture {
	s := &set{format: GIF}
	frames := func(count int) []byte {
		return bytes.Repeat(join(gifControl(4), gifFrame(3, 5, 1, 1)), count)
	}
	s.stored("animated", "three frames, each of which treats the one before otherwise", gifFile(loop(), gifControl(4), gifFrame(0, 0, width, height), gifControl(9), gifFrame(2, 2, 10, 10), gifControl(13))).keeps("NETSCAPE2.0")
	s.stored("animated-1000", "as many frames as may be", gifFile(frames(MaxFrames-1)))
	s.refused(apperr.TooManyPixels, "animated-1001", "one frame too many", gifFile(frames(MaxFrames)))
	s.refused(apperr.TooManyPixels, "animated-40000", "forty thousand frames", gifFile(frames(40_000)))
	const wide, high = 8192, 6400
	large := gifFrameOf(gifDescriptor(0, 0, wide, high, 0), gifPixels(16))
	s.refused(apperr.TooManyPixels, "animated-pixels", "frames that have more than ten times the pixels together", gifHead(wide, high), bytes.Repeat(large, 11), []byte(gifEnd))
	s.damaged("animated-outside", "the last frame lies beyond the edge of the screen", gifOf(gifFrame(0, 0, width, height), gifFrame(20, 10, 10, 10)))
	s.withdrawn("animated-short", "pixels of the second frame are missing", gifOf(gifFrame(0, 0, width, height), gifFrameOf(gifDescriptor(0, 0, width, height, 0), gifPixels(40))))
	return s.pictures
}

// gifMetadataPictures have metadata of each kind, and are other files too.
func gifMetadataPictures() []Picture {
	s := &set{format: GIF}
	s.stored("comment", "a comment", gifFile(extension(0xfe, blocks([]byte("SecretComment"))))).hides("SecretComment")
	s.stored("comment-long", "a comment of 100 KB", gifFile(extension(0xfe, blocks(bytes.Repeat([]byte("SecretComment"), 8000))))).hides("SecretComment")
	s.stored("comment-behind", "a comment behind the frame", gifOf(gifFrame(0, 0, width, height), extension(0xfe, blocks([]byte("SecretComment"))))).hides("SecretComment")
	s.stored("comment-after-control", "a comment between a frame and what controls it", gifFile(gifControl(1), extension(0xfe, blocks([]byte("SecretComment"))))).hides("SecretComment")
	s.stored("loop-long", "a second block behind the number of repeats", gifFile(extension(0xff, []byte("\x0bNETSCAPE2.0\x03\x01\x00\x00"), blocks([]byte("SecretLoop"))))).hides("SecretLoop").keeps("NETSCAPE2.0")
	s.stored("xmp", "a packet of XMP, which is not in blocks but looks so to readers", gifFile(gifXMP())).hides("SecretXMP")
	s.stored("plain-text", "text that is painted, which no browser does", gifFile(extension(0x01, []byte("\x0c"), make([]byte, 12), blocks([]byte("SecretPlainText"))))).hides("SecretPlainText")
	s.stored("application", "an application that nobody knows", gifFile(extension(0xff, []byte("\x0bUNKNOWN_1.0"), blocks([]byte("SecretApplication"))))).hides("SecretApplication")
	s.stored("icc", "a colour profile", gifFile(extension(0xff, []byte("\x0bICCRGBG1012"), blocks(profile())))).keeps(string(profile()))
	s.stored("extension-unknown", "a block of a kind that nobody knows", gifFile(extension(0x42, blocks([]byte("SecretExtension"))))).hides("SecretExtension")
	s.stored("script", "the width of the screen opens a comment of JavaScript", gifHead(0x2a2f, 16), gifFrame(0, 0, 1, 1), extension(0xfe, blocks([]byte(`*/=alert("SecretScript");/*`))), []byte(gifEnd)).sized(0x2a2f, 16).hides("SecretScript")
	s.stored("html-in-comment", "a page in a comment", gifFile(extension(0xfe, blocks([]byte(page))))).hides("SecretScript")
	s.stored("html-in-palette", "a page in the colours of the palette", []byte("GIF89a"), le16(width), le16(height), []byte{0xf4, 0, 0}, fmt.Appendf(nil, "%-96s", page), gifFrame(0, 0, width, height), []byte(gifEnd))
	for _, t := range trailers() {
		s.stored("then-"+t.name, "behind the picture comes "+t.name, gifFile(), t.data).hides(t.secret)
	}
	return s.pictures
}

// gifXMP is a packet of XMP, and the bytes that lead each reader of blocks to its end.
func gifXMP() []byte {
	b := join(extension(0xff, []byte("\x0bXMP DataXMP")), xmp("SecretXMP"), []byte{1})
	for i := 0xff; i >= 0; i-- {
		b = append(b, byte(i))
	}
	return append(b, 0)
}
