package codec

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
)

// encode writes a picture with its colour profile, where that describes the picture as it has become: one for CMYK
// says nothing about RGB.
func encode(w io.Writer, picture image.Image, v Variant, profile []byte) error {
	_, gray := picture.(*image.Gray)
	if space := colorSpace(profile); gray && v.Format != WebP && space != "GRAY" || !gray && space != "RGB " {
		profile = nil
	}
	var err error
	switch v.Format {
	case JPEG:
		err = jpeg.Encode(insertAt(w, jpegHeaderSize, jpegProfileSegments(profile)), picture, &jpeg.Options{Quality: v.Quality})
	case PNG:
		err = png.Encode(insertAt(w, pngHeaderSize, pngProfileChunk(profile)), picture)
	case WebP:
		err = writeWebP(w, picture, v.Quality, profile)
	default:
		return unsupported(string(v.Format) + " can't be written")
	}
	if err != nil {
		return fmt.Errorf("encode %s: %w", v.Format, err)
	}
	return nil
}

// inserting puts bytes into a stream: the encoders write no colour profiles.
type inserting struct {
	w    io.Writer
	left int // bytes of the stream up to them
	what []byte
}

// insertAt returns a writer that writes what behind the first bytes.
func insertAt(w io.Writer, bytes int, what []byte) io.Writer {
	if len(what) == 0 {
		return w
	}
	return &inserting{w, bytes, what}
}

// Write writes on.
func (i *inserting) Write(p []byte) (int, error) {
	if i.what == nil {
		return i.w.Write(p)
	}
	n, err := i.w.Write(p[:min(len(p), i.left)])
	i.left -= n
	if err != nil || i.left > 0 {
		return n, err
	}
	if _, err := i.w.Write(i.what); err != nil {
		return n, err
	}
	i.what = nil
	more, err := i.w.Write(p[n:])
	return n + more, err
}

// jpegHeaderSize is the start marker; the segments follow.
const jpegHeaderSize = 2

// jpegProfileSegments cuts a profile into segments.
func jpegProfileSegments(profile []byte) []byte {
	const most = 1<<16 - 1 - 2 - len(jpegProfileMagic) - 2
	count := (len(profile) + most - 1) / most
	var segments []byte
	for number := 1; number <= count; number++ {
		part := profile[:min(most, len(profile))]
		profile = profile[len(part):]
		segments = append(segments, 0xff, markerAPP2)
		segments = binary.BigEndian.AppendUint16(segments, uint16(2+len(jpegProfileMagic)+2+len(part)))
		segments = append(segments, jpegProfileMagic...)
		segments = append(segments, byte(number), byte(count))
		segments = append(segments, part...)
	}
	return segments
}

// pngHeaderSize is that of the signature and the header chunk.
const pngHeaderSize = pngSignature + pngChunkHeader + 13 + pngChunkSum

// pngProfileChunk compresses a profile, and gives it the name that each must have.
func pngProfileChunk(profile []byte) []byte {
	if profile == nil {
		return nil
	}
	content := bytes.NewBufferString("ICC\x00\x00") // the last byte stands for deflate
	z := zlib.NewWriter(content)
	z.Write(profile) // a buffer takes everything
	z.Close()
	return pngChunk("iCCP", content.String())
}
