package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"gatehouse/internal/apperr"
)

// jpegPictures are variants of the format, and what is odd in the order and the data of its segments.
func jpegPictures() []Picture {
	s := &set{format: JPEG}
	jpegVariants(s)
	jpegOrder(s)
	jpegScans(s)
	s.cuts(3, segments())
	return s.pictures
}

// jpegVariants adds what is unusual, but a JPEG.
func jpegVariants(s *set) {
	cmyk := fixture("cmyk.jpg")
	s.stored("baseline", "an ordinary photograph", baseline())
	s.stored("gray", "one component", grayJPEG()).sized(9, 7)
	s.stored("progressive", "several scans, each finer than the one before", fixture("progressive.jpg"))
	s.stored("cmyk", "four components, inverted as Adobe does it", cmyk)
	s.stored("ycck", "four components, the first three as brightness and colour", replaced(cmyk, "Adobe\x00\x64\x00\x00\x00\x00\x00", "Adobe\x00\x64\x00\x00\x00\x00\x02"))
	s.stored("adobe-rgb", "Adobe's segment says that the components are red, green and blue", withSegments(segment(markerAPP14, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")))).keeps("Adobe\x00\x64")
	s.stored("rgb-by-name", "the components are called R, G and B", flat(component{'R', 0x11}, component{'G', 0x11}, component{'B', 0x11}).encode())
	s.stored("444", "no subsampling", flat(ycbcr...).encode())
	for _, sampling := range []byte{0x12, 0x21, 0x22, 0x41, 0x42} {
		s.stored(fmt.Sprintf("subsampled-%02x", sampling), "colour is coarser than brightness", flat(component{1, sampling}, component{2, 0x11}, component{3, 0x11}).encode())
	}
	s.stored("gray-sampled-22", "sampling factors of a single component mean nothing", flat(component{1, 0x22}).encode())
	s.stored("extended", "an extended frame of 8 bits with quantization tables of 16", flatJPEG{frame: markerSOF1, width: width, height: height, components: gray, wideTables: true}.encode())
	s.stored("restarts", "restart markers after every second unit", flatJPEG{width: 200, height: 100, components: ycbcr, restart: 2}.encode()).sized(200, 100)
	s.stored("separate-scans", "a baseline picture with a scan for each component", flatJPEG{width: width, height: height, components: ycbcr, separate: true}.encode())
	s.stored("one-pixel", "1 × 1", flatJPEG{width: 1, height: 1, components: ycbcr}.encode()).sized(1, 1)
	s.stored("one-line", "65535 × 1", flatJPEG{width: MaxSide, height: 1, components: gray}.encode()).sized(MaxSide, 1)
	s.stored("one-column", "1 × 65535", flatJPEG{width: 1, height: MaxSide, components: gray}.encode()).sized(1, MaxSide)
	s.withdrawn("cmyk-without-adobe", "four components, and nothing says of which colours", withoutAdobe(cmyk))
}

// jpegOrder adds what is between the segments or missing among them.
func jpegOrder(s *set) {
	photo := baseline()
	s.stored("fill-bytes", "100,000 fill bytes before a marker", jpegMagic, bytes.Repeat([]byte{0xff}, 100_000), photo[2:])
	s.stored("many-comments", "5,000 empty comments", withSegments(bytes.Repeat(segment(markerCOM), 5000)))
	s.stored("late-comment", "a comment after the frame", without("sos", segment(markerCOM, []byte("SecretLate")), partOf("sos"))).hides("SecretLate")
	s.stored("comment-after-scan", "a comment between the scan and the end", without("eoi", segment(markerCOM, []byte("SecretLast")), jpegEnd)).hides("SecretLast")
	s.stored("restart-interval-zero", "it says that there are no restarts", withSegments(segment(markerDRI, be16(0))))
	s.stored("stray-bytes", "bytes between two segments, which decoders skip", jpegMagic, segments()[1].data, []byte("SecretStray"), photo[2+len(segments()[1].data):]).hides("SecretStray")
	s.damaged("magic-only", "its magic number, and nothing else", []byte("\xff\xd8\xff"))
	s.damaged("start-and-end", "nothing between the beginning and the end", jpegMagic, jpegEnd)
	s.damaged("endless-fill", "fill bytes up to the end", jpegMagic, bytes.Repeat([]byte{0xff}, 70_000))
	s.damaged("no-scan", "tables and a frame, but no scan", upTo("sos"), jpegEnd)
	s.damaged("scan-before-frame", "the scan comes before the frame", without("sof"))
	s.damaged("two-frames", "a second frame of another size", without("sos", patched(partOf("sof"), 5, 0, 99, 0, 99), partOf("sos")))
	s.damaged("two-beginnings", "a beginning within the picture", withSegments(jpegMagic))
	s.withdrawn("no-quantization", "no quantization table", without("dqt"))
	s.withdrawn("no-huffman", "no Huffman table", without("dht"))
}

// jpegScans adds what is odd in the scans and their data.
func jpegScans(s *set) {
	scan := partOf("scan")
	half, rest := scan[:len(scan)/2], scan[len(scan)/2:]
	s.stored("restart-before-end", "a restart marker where none is due", without("eoi", []byte{0xff, markerRST0}, jpegEnd))
	s.withdrawn("bad-huffman-code", "the data of the scan is a code that no table has", replaced(flat(ycbcr...).encode(), "\x3f\x00\x00\x00", "\x3f\x00\xff\x00"))
	s.withdrawn("short-scan", "half of the data of the scan is missing, its end is there", without("scan", half))
	s.stored("noise", "the data of the scan is random, which decodes to something", without("scan", bytes.ReplaceAll(noise(500), []byte{0xff}, []byte{0xfe})))
	s.withdrawn("missing-scan", "no scan of the colours, only of the brightness", join(jpegMagic, flat(ycbcr...).tables(), flat(ycbcr...).header(), flat(ycbcr...).scan(gray, 6)), jpegEnd)
	s.withdrawn("comment-within-scan", "a comment in the middle of the data of the scan", without("scan", half, segment(markerCOM, []byte("SecretMiddle")), rest))
	s.damaged("fill-within-scan", "a fill byte before a byte of data that needs to be escaped", without("scan", half, []byte{0xff, 0xff, 0}, rest))
	s.damaged("empty-scan", "a scan without data", without("scan"))
	s.refused(apperr.TooManyPixels, "thousand-scans", "a progressive picture of a thousand scans, each of which costs a pass", flatJPEG{
		width: width, height: height, components: gray, frame: markerSOF2, scans: bytes.Repeat(refinement(6, 1), 1000),
	}.encode())
}

// jpegHeaderPictures have wrong lengths and frames that lie or cost too much.
func jpegHeaderPictures() []Picture {
	s := &set{format: JPEG}
	sof, sos, dqt := partOf("sof"), partOf("sos"), partOf("dqt")

	s.refused(apperr.TooManyPixels, "65500x65500", "the frame says 65500 × 65500", flatJPEG{width: 65500, height: 65500, components: ycbcr, scans: noise(64)}.encodeHeader())
	s.refused(apperr.TooManyPixels, "past-the-limit", "one line of blocks more than 50 million pixels", flatJPEG{width: 8192, height: 6401, components: gray}.encode())
	s.damaged("no-width", "0 pixels wide", without("sof", patched(sof, 7, 0, 0)))
	s.damaged("no-height", "0 pixels high, and nothing says more", without("sof", patched(sof, 5, 0, 0)))
	s.damaged("height-behind-scan", "the height comes behind the scan, which nobody supports", without("sof", patched(sof, 5, 0, 0))[:len(baseline())-2], segment(markerDNL, be16(height)), jpegEnd)

	for _, f := range []struct {
		frame byte
		name  string
	}{
		{0xc3, "lossless"}, {0xc5, "differential"}, {0xc6, "differential-progressive"}, {0xc7, "differential-lossless"},
		{0xca, "progressive-arithmetic"}, {0xcb, "lossless-arithmetic"}, {0xcf, "differential-arithmetic"},
	} {
		s.refused(apperr.NotAnImage, f.name, "no browser shows a frame of this kind", without("sof", patched(sof, 1, f.frame)))
	}
	s.refused(apperr.NotAnImage, "arithmetic", "its data is coded arithmetically", fixture("arithmetic.jpg"))
	s.refused(apperr.NotAnImage, "12-bit", "12 bits a sample", flatJPEG{frame: markerSOF1, precision: 12, width: width, height: height, components: gray}.encode())
	s.refused(apperr.NotAnImage, "two-components", "neither gray nor colour", flat(gray[0], component{2, 0x11}).encode())
	s.refused(apperr.NotAnImage, "five-components", "more components than any model of colour", flat(ycbcr[0], ycbcr[1], ycbcr[2], component{4, 0x11}, component{5, 0x11}).encode())
	s.refused(apperr.NotAnImage, "no-components", "a frame without components", without("sof", segment(markerSOF0, sof[4:9], []byte{0})))

	s.damaged("same-component-twice", "two components with the same name", without("sof", patched(sof, 13, sof[10])))
	s.damaged("no-sampling", "a sampling factor of 0", without("sof", patched(sof, 11, 0x00)))
	s.damaged("sampling-five", "a sampling factor of 5", without("sof", patched(sof, 11, 0x55)))
	s.damaged("no-such-table", "a component asks for quantization table 4", without("sof", patched(sof, 12, 4)))
	s.refused(apperr.NotAnImage, "frame-too-short", "the frame has fewer components than it says", without("sof", segment(markerSOF0, sof[4:len(sof)-3])))
	s.damaged("frame-too-long", "bytes behind the components of the frame", without("sof", segment(markerSOF0, sof[4:], []byte{1, 2, 3})))
	s.damaged("length-0", "a segment of length 0", withSegments([]byte{0xff, markerCOM, 0, 0}))
	s.damaged("length-1", "a segment of length 1", withSegments([]byte{0xff, markerCOM, 0, 1}))
	s.damaged("length-past-end", "a segment longer than the file", jpegMagic, []byte{0xff, markerCOM, 0xff, 0xff}, baseline()[2:])
	s.withdrawn("quantization-too-short", "a quantization table of 10 bytes", without("dqt", segment(markerDQT, dqt[4:14])))
	s.withdrawn("huffman-too-long", "a Huffman table that says it has more than 256 codes", without("dht", segment(markerDHT, []byte{0}, bytes.Repeat([]byte{0xff}, 16), make([]byte, 400))))
	s.withdrawn("huffman-overfull", "a Huffman table with three codes of one bit", without("dht", segment(markerDHT, []byte{0, 3}, make([]byte, 15), []byte{1, 2, 3})))
	s.damaged("scan-header-too-short", "the header of the scan lacks a byte", without("sos", segment(markerSOS, sos[4:len(sos)-1])))
	s.damaged("scan-no-components", "a scan of no components", without("sos", segment(markerSOS, []byte{0, 0, 63, 0})))
	s.withdrawn("scan-unknown-component", "a scan of a component that the frame has not", without("sos", patched(sos, 5, 99)))
	s.damaged("scan-of-second-frame", "a frame between two scans", without("eoi", sof, sos, partOf("scan"), jpegEnd))
	s.damaged("marker-reserved", "a reserved marker", withSegments([]byte{0xff, 0x02, 0, 2}))
	s.damaged("jpeg-ls", "a frame of another standard", without("sof", patched(sof, 1, 0xf7)))
	s.damaged("marker-tem", "a marker of arithmetic coding's own", withSegments([]byte{0xff, markerTEM}))
	s.damaged("marker-dnl-first", "a number of lines before the frame", withSegments(segment(markerDNL, be16(height))))
	s.withdrawn("restart-length", "a restart interval of three bytes", withSegments(segment(markerDRI, []byte{0, 0, 0})))
	s.refused(apperr.NotAnImage, "dac-unused", "conditions of arithmetic coding in a picture that has none", withSegments(segment(markerDAC, []byte{0, 0x10})))
	s.refused(apperr.NotAnImage, "after-junk", "a byte before an ordinary photograph", []byte{0}, baseline()).Format = Other
	return s.pictures
}

// jpegMetadataPictures have metadata of each kind, and EXIF that is hard to read.
func jpegMetadataPictures() []Picture {
	s := &set{format: JPEG}
	little, big := binary.LittleEndian, binary.BigEndian
	for orientation := 1; orientation <= 8; orientation++ {
		s.stored(fmt.Sprintf("orientation-%d-little", orientation), "turned, the least significant byte first", withSegments(exifSegment(orientedEXIF(little, orientation)))).turned(orientation)
		s.stored(fmt.Sprintf("orientation-%d-big", orientation), "turned, the most significant byte first", withSegments(exifSegment(orientedEXIF(big, orientation)))).turned(orientation)
	}
	s.stored("exif", "a position, a camera, a maker's note and a thumbnail", withSegments(exifSegment(privateEXIF(6)))).turned(6).hides(exifSecrets...)
	s.stored("xmp", "a packet of XMP", withSegments(xmpSegment(xmp("SecretXMP")))).hides("SecretXMP", "adobe:ns:meta")
	s.stored("xmp-extended", "XMP that goes on in a second segment", withSegments(
		xmpSegment(xmp("SecretXMP")),
		segment(markerAPP1, []byte("http://ns.adobe.com/xmp/extension/\x00"), []byte(strings.Repeat("A", 32)), be32(14), be32(0), []byte("SecretExtended")),
	)).hides("SecretXMP", "SecretExtended")
	s.stored("iptc", "a caption of IPTC", withSegments(segment(markerAPP13, iptc("SecretCaption")))).hides("SecretCaption", "Photoshop")
	s.stored("comment", "a comment", withSegments(segment(markerCOM, []byte("SecretComment")))).hides("SecretComment")
	s.stored("icc", "a colour profile", withSegments(iccSegments(profile()))).keeps(string(profile()))
	s.stored("icc-pieces", "a colour profile in two pieces", withSegments(iccSegments(profile()[:100], profile()[100:]))).keeps(string(profile()[:100]), string(profile()[100:]))
	s.stored("icc-with-html", "a page where a colour profile should be", withSegments(iccSegments([]byte(page))))
	s.stored("adobe-long", "bytes behind what Adobe's segment says", withSegments(segment(markerAPP14, []byte("Adobe\x00\x64\x00\x00\x00\x00\x01SecretAdobe")))).hides("SecretAdobe")
	s.stored("jfif-thumbnail", "a thumbnail in the segment of JFIF", withSegments(segment(markerAPP0, []byte("JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x02\x02SecretPixels")))).hides("SecretPixels")
	s.stored("jfxx-thumbnail", "a thumbnail in the segment behind that of JFIF", withSegments(
		segment(markerAPP0, []byte("JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00")),
		segment(markerAPP0, []byte("JFXX\x00\x10"), jpegMagic, segment(markerCOM, []byte("SecretJFXX")), baseline()[2:]),
	)).hides("SecretJFXX")
	s.stored("mpf", "a second picture behind the first, and a directory of both", multiPicture()).hides("MPF\x00", "SecretSecond")
	s.stored("flashpix", "a segment of FlashPix", withSegments(segment(markerAPP2, []byte("FPXR\x00SecretFPX")))).hides("SecretFPX")
	s.stored("ducky", "what Photoshop's “save for web” writes", withSegments(segment(markerAPP12, []byte("Ducky\x00SecretDucky")))).hides("SecretDucky")
	for marker := byte(0xe3); marker <= 0xef; marker++ {
		secret := fmt.Sprintf("SecretAPP%d", marker-markerAPP0)
		s.stored(fmt.Sprintf("app%d", marker-markerAPP0), "a segment of an application that nobody knows", withSegments(segment(marker, []byte("Unknown\x00"+secret)))).hides(secret)
	}
	s.stored("exif-longest", "EXIF as long as a segment can be", withSegments(exifSegment(join(orientedEXIF(big, 6), bytes.Repeat([]byte("Secret"), 10917)[:65535-2-6-26])))).turned(6).hides("SecretSecret")
	s.stored("exif-behind-scan", "EXIF behind the pixels, which nobody heeds", without("eoi", exifSegment(privateEXIF(6)), jpegEnd)).hides(exifSecrets...)
	s.stored("motion-photo", "a film behind the picture", baseline(), []byte("\x00\x00\x00\x18ftypmp42SecretFilm")).hides("SecretFilm")
	s.stored("samsung-trailer", "a trailer of the maker behind the picture", baseline(), []byte("\x00\x00\x01\x0aSecretTrailerSEFH\x00\x00\x00\x00SEFT")).hides("SecretTrailer")
	hostileEXIF(s)
	return s.pictures
}

// hostileEXIF adds EXIF that readers loop in, fail at or disagree about. The picture is none the worse for it.
func hostileEXIF(s *set) {
	order := binary.BigEndian
	add := func(name, why string, exif []byte) *Picture {
		return s.stored("exif-"+name, why, withSegments(exifSegment(exif)))
	}
	looping := orientedEXIF(order, 1)
	order.PutUint32(looping[8+2+12:], 8)
	add("loop", "the next directory is the first one", looping)
	add("loop-sub", "the directory of the camera's settings is the first one", tiff(order, short(order, tagOrientation, 1), tag{id: tagExifIFD, kind: kindLong, count: 1, value: be32(8)}))
	add("empty", "nothing", nil)
	add("garbage", "random bytes", noise(300)).hides(string(noise(300)))
	add("offset-past-end", "the first directory lies behind the end", patched(orientedEXIF(order, 1), 4, 0x7f, 0xff, 0xff, 0xff))
	add("offset-negative", "the first directory lies at 2³²-1", patched(orientedEXIF(order, 1), 4, 0xff, 0xff, 0xff, 0xff))
	add("count-huge", "65535 entries in a directory of one", patched(orientedEXIF(order, 1), 8, 0xff, 0xff))
	add("value-huge", "a text of 4 GB", tiff(order, tag{id: tagMaker, kind: kindASCII, count: 1<<32 - 1, value: []byte("Secret, at length\x00")})).hides("Secret, at length")
	add("orientation-0", "the orientation is 0", orientedEXIF(order, 0))
	add("orientation-9", "the orientation is 9", orientedEXIF(order, 9))
	add("orientation-65535", "the orientation is 65535", orientedEXIF(order, 65535))
	add("no-byte-order", "neither of the two byte orders", patched(orientedEXIF(order, 6), 0, 'X', 'X'))
	add("cut", "it ends within its first entry", orientedEXIF(order, 6)[:14])
	s.stored("exif-twice", "two orientations, of which the first counts", withSegments(exifSegment(orientedEXIF(order, 6)), exifSegment(orientedEXIF(order, 1)))).turned(6)
}

// jpegPolyglots are other files too.
func jpegPolyglots() []Picture {
	s := &set{format: JPEG}
	for _, t := range trailers() {
		s.stored("then-"+t.name, "behind the picture comes "+t.name, baseline(), t.data).hides(t.secret)
	}
	s.stored("html-in-comment", "a page in a comment", withSegments(segment(markerCOM, []byte(page)))).hides("SecretScript")
	s.stored("pdf-in-comment", "a document in a comment, near enough to the beginning for readers of PDF", withSegments(segment(markerCOM, []byte(document)))).hides("SecretDocument", "%PDF")
	s.stored("php-in-comment", "a script for servers in a comment", withSegments(segment(markerCOM, []byte(`<?php echo "SecretPHP"; ?>`)))).hides("SecretPHP")
	s.stored("script-in-app0", "the length of the first segment opens a comment of JavaScript", withSegments(segment(markerAPP0, make([]byte, 0x2f2a-2)), segment(markerCOM, []byte(`*/=alert("SecretScript")/*`)))).hides("SecretScript")
	s.stored("archive-in-comment", "an archive in a comment", withSegments(segment(markerCOM, archive()))).hides("SecretEntry")
	s.stored("exif-with-html", "a page in the camera's name", withSegments(exifSegment(tiff(binary.LittleEndian, text(tagModel, page))))).hides("SecretScript")
	claimed := s.stored("called-png", "its uploader calls it a PNG", baseline())
	claimed.Extension = "png"
	return s.pictures
}
