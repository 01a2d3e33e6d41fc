package corpus

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"gatehouse/internal/apperr"
)

// page is what an attacker wants a browser to run on our host.
const page = `<!doctype html><html><script>alert("SecretScript")</script></html>`

// document is enough of a PDF for lenient readers.
const document = "%PDF-1.4\n1 0 obj<</Title(SecretDocument)>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"

// vector is a picture that can run scripts.
const vector = `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="16"><script>alert("SecretScript")</script></svg>`

// archive is a ZIP, which readers look for from the end of a file.
func archive() []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_, err := w.Create("SecretEntry")
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err) // a buffer takes all
	}
	return b.Bytes()
}

// trailer is what lies behind the end of a picture.
type trailer struct {
	name   string
	data   []byte
	secret string // in it
}

// trailers are the usual ones: each makes a picture a file of another kind too, or carries what nobody looks for.
func trailers() []trailer {
	return []trailer{
		{"html", []byte(page), "SecretScript"},
		{"zip", archive(), "SecretEntry"},
		{"pdf", []byte(document), "SecretDocument"},
		{"php", []byte(`<?php echo "SecretPHP"; ?>`), "SecretPHP"},
		{"zeros", make([]byte, 999), string(make([]byte, 999))},
		{"a-jpeg", join(jpegMagic, segment(markerCOM, []byte("SecretSecond")), baseline()[2:]), "SecretSecond"},
	}
}

// heifPictures are what telephones take. HEIC is converted at the door, so that nothing of the file survives; AVIF is
// refused, as nothing at hand decodes it.
func heifPictures() []Picture {
	s := &set{format: HEIC}
	tiny := fixture("tiny.heic")
	s.stored("tiny", "an ordinary photograph", tiny).sized(320, 256)
	s.stored("turned", "turned by a property, as telephones do it", fixture("turned.heic")).sized(768, 1280)
	s.stored("exif", "a position and a camera; its orientation is EXIF's, which does not count here", fixture("exif.heic")).sized(320, 256).hides("SecretModel", utf16LE("SecretAuthor"))
	s.stored("then-html", "behind the picture comes a page", tiny, []byte(page)).sized(320, 256).hides("SecretScript")
	s.damaged("65500x65500", "a property says 65500 × 65500, and the data 320 × 256", resizedHEIC(tiny, 65500, 65500))
	s.damaged("larger-size", "a property says that the picture is larger than its data", resizedHEIC(tiny, 1000, 1000))
	s.damaged("smaller-size", "a property says that the picture is smaller than its data, which costs what it does not say", resizedHEIC(fixture("turned.heic"), 16, 16))
	s.refused(apperr.NotAnImage, "narrow", "so narrow that the decoder at hand mixes up its rows", fixture("narrow.heic"))
	s.damaged("narrow-turned", "so narrow, once it is turned, that the decoder at hand fails", fixture("narrow-turned.heic"))
	s.damaged("head-only", "the first box, and nothing else", tiny[:28])
	s.damaged("half", "half of a photograph", tiny[:len(tiny)/2])
	s.damaged("cut-by-one", "the last byte is missing", tiny[:len(tiny)-1])
	s.damaged("box-endless", "the second box says that it has 4 GB", patched(tiny, 28, 0xff, 0xff, 0xff, 0xff))

	avif := &set{format: AVIF}
	avif.refused(apperr.NotAnImage, "tiny", "an ordinary photograph", fixture("tiny.avif"))
	avif.refused(apperr.NotAnImage, "head-only", "the first box, and nothing else", fixture("tiny.avif")[:28])
	return slices.Concat(s.pictures, avif.pictures)
}

// resizedHEIC says another size in the property of the picture's extent, ISO/IEC 23008-12 section 6.5.3.
func resizedHEIC(data []byte, width, height int) []byte {
	return patched(data, bytes.Index(data, []byte("ispe"))+8, join(be32(width), be32(height))...)
}

// otherFiles are none of the formats that are taken, whatever they say.
func otherFiles() []Picture {
	s := &set{format: Other}
	s.refused(apperr.EmptyUpload, "empty", "no byte at all")
	for _, f := range []struct {
		extension, name, why string
		data                 []byte
	}{
		{"jpg", "one-byte", "a single byte", []byte{0xff}},
		{"png", "random", "random bytes", noise(4096)},
		{"jpg", "zeros", "zero bytes", make([]byte, 4096)},
		{"svg", "svg", "a vector picture with a script", []byte(vector)},
		{"svg", "svg-declared", "a vector picture behind a declaration", []byte(`<?xml version="1.0"?>` + vector)},
		{"svg", "svg-entities", "a vector picture whose entities grow", []byte(`<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]><svg xmlns="http://www.w3.org/2000/svg"><text>&c;</text></svg>`)},
		{"png", "svg-called-png", "a vector picture that its uploader calls a PNG", []byte(vector)},
		{"svgz", "svgz", "what begins as a compressed vector picture does", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")},
		{"html", "html", "a page", []byte(page)},
		{"jpg", "html-called-jpeg", "a page that its uploader calls a JPEG", []byte(page)},
		{"html", "html-utf16", "a page in UTF-16", []byte("\xff\xfe" + utf16LE(page))},
		{"html", "html-bom", "a page behind a byte order mark", []byte("\xef\xbb\xbf" + page)},
		{"gif", "html-with-gif-inside", "a page that has the magic number of GIF in its first line", []byte("<!--GIF89a-->" + page)},
		{"zip", "zip", "an archive", archive()},
		{"pdf", "pdf", "a document", []byte(document)},
		{"ps", "postscript", "a program that prints a picture", []byte("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 16\nshowpage\n")},
		{"jpg", "imagetragick", "a picture of ImageMagick's own language, which fetches another", []byte("push graphic-context\nviewbox 0 0 640 480\nfill 'url(https://example.com/x.jpg\"|touch \"x)'\npop graphic-context\n")},
		{"bmp", "bmp", "a bitmap", bitmap()},
		{"bmp", "bmp-script", "a bitmap that is JavaScript too", []byte("BM=1/*\x00\x00\x00\x00\x1a\x00\x00\x00\x0c\x00\x00\x00\x01\x00\x01\x00\x01\x00\x18\x00\x00\x00\xff\x00*/;alert(1)")},
		{"tiff", "tiff-little", "a TIFF, the least significant byte first", orientedEXIF(binary.LittleEndian, 1)},
		{"tiff", "tiff-big", "a TIFF, the most significant byte first", orientedEXIF(binary.BigEndian, 1)},
		{"ico", "ico", "an icon", []byte("\x00\x00\x01\x00\x01\x00\x01\x01\x00\x00\x01\x00\x20\x00\x30\x00\x00\x00\x16\x00\x00\x00")},
		{"psd", "psd", "a picture of Photoshop", []byte("8BPS\x00\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x10\x00\x00\x00\x18\x00\x08\x00\x03")},
		{"jp2", "jpeg-2000", "a JPEG 2000", []byte("\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypjp2 \x00\x00\x00\x00jp2 ")},
		{"jxl", "jpeg-xl", "a JPEG XL", []byte("\xff\x0a\xfa\x1f\x01\x91\x08\x06\x01\x00")},
		{"jxr", "jpeg-xr", "a JPEG XR", []byte("II\xbc\x01\x20\x00\x00\x00\x00\x00\x00\x00")},
		{"mng", "mng", "an animation of PNG's family", []byte("\x8aMNG\r\n\x1a\n\x00\x00\x00\x1cMHDR")},
		{"jng", "jng", "a JPEG of PNG's family", []byte("\x8bJNG\r\n\x1a\n\x00\x00\x00\x10JHDR")},
		{"mp4", "mp4", "a film", []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom\x00\x00\x00\x08mdat")},
		{"wav", "wav", "sound, in the container of WebP", []byte("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")},
		{"avi", "avi", "a film, in the container of WebP", []byte("RIFF\x24\x00\x00\x00AVI LIST\x10\x00\x00\x00hdrl")},
		{"exe", "exe", "a program", []byte("MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00")},
		{"txt", "text", "a sentence", []byte("This is not a picture.\n")},
		{"jpg", "jpeg-base64", "a JPEG, as text", []byte("data:image/jpeg;base64,/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAM=")},
		{"png", "png-with-newlines", "a PNG whose line ends were changed on the way", bytes.ReplaceAll(plainPNG(), []byte("\r\n"), []byte("\n"))},
		{"svg", "svg-with-jpeg-magic", "a vector picture that begins with two bytes of JPEG", []byte("\xff\xd8" + vector)},
	} {
		p := s.refused(apperr.NotAnImage, f.name, f.why, f.data)
		p.Extension = f.extension
	}
	svg := s.damaged("svg-with-whole-jpeg-magic", "a vector picture that begins as a JPEG does", []byte("\xff\xd8\xff"+vector))
	svg.Format, svg.Extension = JPEG, "jpg"
	return s.pictures
}

// bitmap is one pixel in the format of Windows.
func bitmap() []byte {
	header := join(le32(40), le32(1), le32(1), le16(1), le16(24), make([]byte, 24))
	return join(fmt.Appendf(nil, "BM%s%s%s", le32(58), le32(0), le32(54)), header, []byte{1, 2, 3, 0})
}
