package codec

import (
	"bufio"
	"compress/lzw"
	"fmt"
	"image"
	"image/gif"
	"io"
)

// decodeGIF returns the first frame on its canvas.
func decodeGIF(r *bufio.Reader) (image.Image, error) {
	head, err := r.Peek(10)
	if err != nil {
		return nil, err
	}
	width, height := gifSides(head[6:])
	frame, err := gif.Decode(r)
	if err != nil {
		return nil, err
	}
	return place(frame, image.Rect(0, 0, width, height), frame.Bounds().Min), nil
}

// checkGIF decodes the pixels of every frame and keeps none of them.
func checkGIF(r *bufio.Reader, b *budget) error {
	const headerSize = 13
	head, err := r.Peek(headerSize)
	if err != nil {
		return err
	}
	colors := gifColorTable(head[10])
	if _, err := r.Discard(headerSize + colors); err != nil {
		return err
	}
	for {
		kind, err := r.ReadByte()
		if err != nil {
			return err
		}
		switch kind {
		case gifTrailer:
			return nil
		case gifExtension:
			err = skipGIFExtension(r)
		case gifFrame:
			err = checkGIFFrame(r, b)
		default:
			err = fmt.Errorf("unknown block %#x", kind)
		}
		if err != nil {
			return err
		}
	}
}

func skipGIFExtension(r *bufio.Reader) error {
	if _, err := r.Discard(1); err != nil { // its label
		return err
	}
	_, err := io.Copy(io.Discard, &gifData{r: r})
	return err
}

// checkGIFFrame decodes a frame. What follows its last pixel is ignored, as browsers do.
func checkGIFFrame(r *bufio.Reader, b *budget) error {
	const headerSize = 9
	head, err := r.Peek(headerSize)
	if err != nil {
		return err
	}
	width, height := gifSides(head[4:])
	if err := b.take(int64(width), int64(height)); err != nil {
		return err
	}
	colors := gifColorTable(head[8])
	if _, err := r.Discard(headerSize + colors); err != nil {
		return err
	}
	bits, err := r.ReadByte()
	if err != nil {
		return err
	}
	if bits < 2 || bits > 8 {
		return fmt.Errorf("pixels of %d bits", bits)
	}
	blocks := &gifData{r: r}
	pixels := lzw.NewReader(blocks, lzw.LSB, int(bits))
	if _, err := io.CopyN(io.Discard, pixels, int64(width)*int64(height)); err != nil {
		return fmt.Errorf("frame %d: %w", b.frames, err)
	}
	_, err = io.Copy(io.Discard, blocks)
	return err
}

// gifData reads the contents of blocks, up to the empty one that ends them.
type gifData struct {
	r     *bufio.Reader
	left  int // bytes of this block
	ended bool
}

func (b *gifData) begin() error {
	for b.left == 0 {
		if b.ended {
			return io.EOF
		}
		length, err := b.r.ReadByte()
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		b.left, b.ended = int(length), length == 0
	}
	return nil
}

// Read reads on.
func (b *gifData) Read(p []byte) (int, error) {
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// ReadByte keeps package lzw from reading ahead.
func (b *gifData) ReadByte() (byte, error) {
	if err := b.begin(); err != nil {
		return 0, err
	}
	b.left--
	return b.r.ReadByte()
}
