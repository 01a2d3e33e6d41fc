package codec

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"
)

// writeWebP adds to an encoded picture the header that announces a profile, and the profile.
func writeWebP(w io.Writer, picture image.Image, quality int, profile []byte) error {
	file, err := encodeWebP(picture, quality)
	if err == nil && profile != nil {
		file, err = withProfile(file, picture, profile)
	}
	if err == nil {
		_, err = w.Write(file)
	}
	return err
}

func withProfile(file []byte, picture image.Image, profile []byte) ([]byte, error) {
	flags := byte(webpProfile)
	if p, ok := picture.(interface{ Opaque() bool }); ok && !p.Opaque() {
		flags |= webpAlpha
	}
	chunks := webpHeader(picture.Bounds().Size(), flags).appendTo(nil)
	chunks = riffChunk{"ICCP", profile}.appendTo(chunks)
	for chunk, err := range webpChunks(bytes.NewReader(file)) {
		if err != nil {
			return nil, err
		}
		if chunk.name != "VP8X" {
			chunks = chunk.appendTo(chunks)
		}
	}
	return webpFile(chunks), nil
}

// webpFile puts chunks into their container.
func webpFile(chunks []byte) []byte {
	file := []byte("RIFF")
	file = binary.LittleEndian.AppendUint32(file, uint32(len("WEBP")+len(chunks)))
	file = append(file, "WEBP"...)
	return append(file, chunks...)
}

// webpHeader is the extended header: what the file has, and its canvas.
func webpHeader(size image.Point, flags byte) riffChunk {
	x, y := size.X-1, size.Y-1
	return riffChunk{"VP8X", []byte{
		flags, 0, 0, 0,
		byte(x), byte(x >> 8), byte(x >> 16),
		byte(y), byte(y >> 8), byte(y >> 16),
	}}
}
