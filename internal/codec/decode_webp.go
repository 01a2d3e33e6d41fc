package codec

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"iter"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
	"golang.org/x/image/webp"
)

// riffChunk is a part of a RIFF file.
type riffChunk struct {
	name string
	data []byte
}

// appendTo appends the chunk with its header and padding.
func (c riffChunk) appendTo(p []byte) []byte {
	p = append(p, c.name...)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(c.data)))
	p = append(p, c.data...)
	if len(c.data)%2 == 1 {
		p = append(p, 0)
	}
	return p
}

// riffChunks reads chunks up to the end of r.
func riffChunks(r io.Reader) iter.Seq2[riffChunk, error] {
	return func(yield func(riffChunk, error) bool) {
		for {
			chunk, err := readRIFFChunk(r)
			if err == io.EOF || !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

func readRIFFChunk(r io.Reader) (riffChunk, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return riffChunk{}, err
	}
	length := int64(binary.LittleEndian.Uint32(head[4:]))
	data, err := io.ReadAll(io.LimitReader(r, length)) // grows with what is really there
	if err == nil && int64(len(data)) < length {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && length%2 == 1 {
		if _, err = io.CopyN(io.Discard, r, 1); err == io.EOF {
			err = nil // some writers leave out the last padding
		}
	}
	return riffChunk{string(head[:4]), data}, err
}

// webpChunks reads the chunks of a WebP file.
func webpChunks(r io.Reader) iter.Seq2[riffChunk, error] {
	return func(yield func(riffChunk, error) bool) {
		var head [12]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			yield(riffChunk{}, err)
			return
		}
		length := int64(binary.LittleEndian.Uint32(head[4:])) - 4
		riffChunks(io.LimitReader(r, length))(yield)
	}
}

// webpFrame is a frame of an animation, or a picture that does not move.
type webpFrame struct {
	canvas, bounds image.Rectangle
	alpha, pixels  riffChunk
}

// webpFrames reads the frames. The bounds of a picture that does not move are its canvas.
func webpFrames(r io.Reader) iter.Seq2[webpFrame, error] {
	return func(yield func(webpFrame, error) bool) {
		var frame webpFrame
		for chunk, err := range webpChunks(r) {
			if err == nil {
				err = frame.take(chunk)
			}
			if (err != nil || frame.pixels.data != nil) && !yield(frame, err) {
				return
			}
			if frame.pixels.data != nil {
				frame = webpFrame{canvas: frame.canvas}
			}
		}
	}
}

// take adds what a chunk says of the frame.
func (f *webpFrame) take(c riffChunk) error {
	switch c.name {
	case "VP8X":
		if len(c.data) < 10 {
			return errors.New("short header")
		}
		f.canvas = image.Rect(0, 0, uint24(c.data[4:])+1, uint24(c.data[7:])+1)
	case "ANMF":
		return f.takeFrame(c.data)
	case "ALPH":
		f.alpha = c
	case "VP8 ", "VP8L":
		f.pixels = c
	}
	return nil
}

func (f *webpFrame) takeFrame(data []byte) error {
	const headerSize = 16
	if len(data) < headerSize {
		return errors.New("short frame")
	}
	corner := image.Pt(2*uint24(data), 2*uint24(data[3:]))
	f.bounds = image.Rect(0, 0, uint24(data[6:])+1, uint24(data[9:])+1).Add(corner)
	for chunk, err := range riffChunks(bytes.NewReader(data[headerSize:])) {
		if err != nil {
			return err
		}
		if chunk.name == "ANMF" || chunk.name == "VP8X" {
			return errors.New("a frame within a frame")
		}
		if err := f.take(chunk); err != nil {
			return err
		}
	}
	if f.pixels.data == nil {
		return errors.New("empty frame")
	}
	return nil
}

func uint24(p []byte) int { return int(p[0]) | int(p[1])<<8 | int(p[2])<<16 }

// decode refuses a frame that is of another size than it says: only that was checked.
func (f *webpFrame) decode() (image.Image, error) {
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	if f.bounds.Empty() {
		f.bounds = image.Rectangle{Max: size}
	}
	if f.canvas.Empty() {
		f.canvas = f.bounds
	}
	if size != f.bounds.Size() || !f.bounds.In(f.canvas) {
		return nil, fmt.Errorf("a frame of %v, not %v on %v", size, f.bounds, f.canvas)
	}
	picture, err := webp.Decode(bytes.NewReader(f.file()))
	if err != nil {
		return nil, err
	}
	return webpAsJPEG(picture), nil
}

// webpAsJPEG makes the samples of a lossy picture mean what Go's image package takes them for. In WebP black is 16 and
// white 235; the decoder passes them on as they are.
func webpAsJPEG(picture image.Image) image.Image {
	switch p := picture.(type) {
	case *image.YCbCr:
		toFullRange(p)
	case *image.NYCbCrA:
		toFullRange(&p.YCbCr)
	}
	return picture
}

// size reads the size of the pixels.
func (f *webpFrame) size() (image.Point, error) {
	if f.pixels.name == "VP8L" {
		config, err := vp8l.DecodeConfig(bytes.NewReader(f.pixels.data))
		return image.Pt(config.Width, config.Height), err
	}
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(f.pixels.data), len(f.pixels.data))
	header, err := d.DecodeFrameHeader()
	return image.Pt(header.Width, header.Height), err
}

// file makes the frame a file of its own, which the decoder understands: it knows no animations.
func (f *webpFrame) file() []byte {
	var chunks []byte
	if f.pixels.name == "VP8 " && f.alpha.data != nil {
		chunks = webpHeader(f.bounds.Size(), webpAlpha).appendTo(chunks)
		chunks = f.alpha.appendTo(chunks)
	}
	return webpFile(f.pixels.appendTo(chunks))
}

// decodeWebP returns the first frame on its canvas.
func decodeWebP(r *bufio.Reader) (image.Image, error) {
	for frame, err := range webpFrames(r) {
		if err != nil {
			return nil, err
		}
		picture, err := frame.decode()
		if err != nil {
			return nil, err
		}
		return place(picture, frame.canvas, frame.bounds.Min), nil
	}
	return nil, errors.New("no picture")
}
