package codec

import (
	"bufio"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// pngChunks reads a PNG chunk by chunk. Their checksums were checked when the picture came.
type pngChunks struct {
	r    *bufio.Reader
	name string
	left int64 // bytes of the chunk that were not read yet
}

func newPNGChunks(r *bufio.Reader) (*pngChunks, error) {
	_, err := r.Discard(pngSignature)
	return &pngChunks{r: r, left: -pngChunkSum}, err
}

// next goes on to the next chunk. Behind the last it is io.EOF.
func (c *pngChunks) next() error {
	if err := c.skip(c.left + pngChunkSum); err != nil {
		return err
	}
	var head [pngChunkHeader]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return err
	}
	c.left, c.name = int64(binary.BigEndian.Uint32(head[:])), string(head[4:])
	return nil
}

func (c *pngChunks) skip(n int64) error {
	_, err := io.CopyN(io.Discard, c.r, n)
	return err
}

// Read reads the contents of the chunk.
func (c *pngChunks) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// pngPixels is how a PNG stores its pixels.
type pngPixels struct {
	bits      int64 // of a pixel
	interlace bool
}

// checkAPNG inflates the frames of an animation that follow the picture itself, and keeps none of them.
func checkAPNG(r *bufio.Reader, b *budget) error {
	chunks, err := newPNGChunks(r)
	if err != nil {
		return err
	}
	var pixels pngPixels
	var width, height int64
	for {
		if err := chunks.next(); err == io.EOF || err == nil && chunks.name == "IEND" {
			return nil
		} else if err != nil {
			return err
		}
		switch chunks.name {
		case "IHDR":
			pixels, err = chunks.pixels()
		case "fcTL":
			width, height, err = chunks.frame()
		case "fdAT":
			if err = b.take(width, height); err == nil {
				err = checkAPNGFrame(chunks, pixels.size(width, height))
			}
		}
		if err != nil {
			return err
		}
	}
}

// pngSamples is how many samples a pixel of each color type has.
var pngSamples = map[byte]int64{pngGray: 1, pngTrue: 3, pngPaletted: 1, pngGrayAlpha: 2, pngTrueAlpha: 4}

// pixels reads the header.
func (c *pngChunks) pixels() (pngPixels, error) {
	var head [13]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return pngPixels{}, err
	}
	return pngPixels{bits: pngSamples[head[9]] * int64(head[8]), interlace: head[12] == 1}, nil
}

// frame reads the sides of a frame of an animation.
func (c *pngChunks) frame() (width, height int64, err error) {
	var control [12]byte
	if _, err := io.ReadFull(c, control[:]); err != nil {
		return 0, 0, err
	}
	return int64(binary.BigEndian.Uint32(control[4:])), int64(binary.BigEndian.Uint32(control[8:])), nil
}

// checkAPNGFrame inflates as many bytes as the pixels of a frame take.
func checkAPNGFrame(c *pngChunks, size int64) error {
	data := &apngData{chunks: c}
	if err := data.skipNumber(); err != nil {
		return err
	}
	inflated, err := zlib.NewReader(bufio.NewReader(data))
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, inflated, size); err != nil {
		return fmt.Errorf("frame: %w", err)
	}
	if n, err := inflated.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return errors.New("frame: no end")
	}
	_, err = io.Copy(io.Discard, data)
	return err
}

// apngData reads the contents of the chunks of one frame. It stops in front of the chunk that follows them.
type apngData struct{ chunks *pngChunks }

// Read reads on.
func (d *apngData) Read(p []byte) (int, error) {
	for d.chunks.left == 0 {
		head, err := d.chunks.r.Peek(pngChunkSum + pngChunkHeader)
		if err != nil {
			return 0, err
		}
		if string(head[pngChunkSum+4:]) != "fdAT" {
			return 0, io.EOF
		}
		if err := d.chunks.next(); err != nil {
			return 0, err
		}
		if err := d.skipNumber(); err != nil {
			return 0, err
		}
	}
	return d.chunks.Read(p)
}

// skipNumber skips the number that each chunk begins with.
func (d *apngData) skipNumber() error {
	_, err := io.ReadFull(d.chunks, make([]byte, 4))
	return err
}

// size returns how many bytes a frame has before they are compressed: its rows, each with its filter.
func (p pngPixels) size(width, height int64) int64 {
	if !p.interlace {
		return p.rows(width, height)
	}
	total := int64(0)
	for _, pass := range []struct{ x, y, dx, dy int64 }{
		{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
	} {
		total += p.rows((width-pass.x+pass.dx-1)/pass.dx, (height-pass.y+pass.dy-1)/pass.dy)
	}
	return total
}

func (p pngPixels) rows(width, height int64) int64 {
	if width <= 0 || height <= 0 {
		return 0
	}
	return height * (1 + (width*p.bits+7)/8)
}
