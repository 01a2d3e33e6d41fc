package codec

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"gatehouse/internal/apperr"
)

// BufferSize is the buffer that Clean needs, in bytes: it holds the largest Exif block of a JPEG. It limits the memory
// of an upload, however large the picture is.
const BufferSize = 64 << 10

// Clean copies a picture (JPEG, PNG, GIF or WebP) from r to w without its metadata. Nothing is encoded again: the
// pixels stay the very same bytes. Of the metadata only the orientation stays, in a block of its own; colour profiles
// are no metadata. What follows the picture is left in r.
//
// The structure is checked from the header to the end, not the compressed data. A refusal is an ImageDamaged, a
// NotAnImage (a variant that browsers don't show) or a TooManyPixels; other errors are those of r or w, wrapped.
// Of a refused picture the Info has the orientation, if that was found before.
//
// The patches are to be applied to what was written. The buffer of r must have at least BufferSize bytes.
func Clean(w io.Writer, r *bufio.Reader, f Format, l Limits) (Info, []Patch, error) {
	if r.Size() < BufferSize {
		return Info{}, nil, fmt.Errorf("clean %s: the buffer has only %d bytes", f, r.Size())
	}
	c := &cleaner{r: r, w: w, budget: newBudget(l, f), info: Info{Orientation: 1}}
	if err := c.clean(f); err != nil {
		return Info{Orientation: c.info.Orientation}, nil, err
	}
	if isTurned(c.info.Orientation) {
		c.info.Width, c.info.Height = c.info.Height, c.info.Width
	}
	return c.info, c.patches, nil
}

// cleaner moves a picture from r to w. Bytes that stay are not copied: they wait at the beginning of r's buffer until
// something else is written or the room is needed. So w gets few large writes.
type cleaner struct {
	r       *bufio.Reader
	w       io.Writer
	budget  *budget
	info    Info // its sides are those of the stored pixels
	hasExif bool // the first Exif block counts
	waiting int  // bytes of r's buffer that are to be written
	written int64
	patches []Patch
}

func (c *cleaner) clean(f Format) error {
	if f.IsConverted() {
		return unsupported(string(f) + " is converted, not cleaned")
	}
	head, err := c.peek(12) // no picture is shorter
	if err != nil {
		return err
	}
	if got, ok := Recognise(head); !ok || got != f {
		return damaged("not a " + string(f))
	}
	switch f {
	case JPEG:
		err = (&jpegCleaner{cleaner: c}).clean()
	case PNG:
		err = (&pngCleaner{cleaner: c}).clean()
	case GIF:
		err = (&gifCleaner{cleaner: c}).clean()
	case WebP:
		err = (&webpCleaner{cleaner: c}).clean()
	}
	if err != nil {
		return err
	}
	return c.flush()
}

// peek returns the next n bytes, at most BufferSize. They are valid until the next call.
func (c *cleaner) peek(n int) ([]byte, error) {
	if c.waiting+n > c.r.Buffered() {
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	p, err := c.r.Peek(c.waiting + n)
	if err != nil {
		return nil, readError(err)
	}
	return p[c.waiting:], nil
}

// window returns all the bytes that are buffered, at least one. They are valid until the next call.
func (c *cleaner) window() ([]byte, error) {
	if _, err := c.peek(1); err != nil {
		return nil, err
	}
	return c.peek(c.r.Buffered() - c.waiting)
}

// keep reads the next n bytes, which stay.
func (c *cleaner) keep(n int64) error { return c.pass(n, true, nil) }

// drop reads the next n bytes, which don't stay.
func (c *cleaner) drop(n int64) error { return c.pass(n, false, nil) }

// pass reads the next n bytes in pieces and shows them to see, if that is not nil.
func (c *cleaner) pass(n int64, stays bool, see func(piece []byte)) error {
	for n > 0 {
		piece, err := c.window()
		if err != nil {
			return err
		}
		piece = piece[:min(n, int64(len(piece)))]
		if see != nil {
			see(piece)
		}
		if stays {
			c.waiting += len(piece)
		} else if err := c.discard(len(piece)); err != nil {
			return err
		}
		n -= int64(len(piece))
	}
	return nil
}

// discard takes buffered bytes out of the buffer, once what waits before them is written.
func (c *cleaner) discard(n int) error {
	if err := c.flush(); err != nil {
		return err
	}
	_, err := c.r.Discard(n)
	return err
}

// put writes bytes that were not read.
func (c *cleaner) put(p []byte) error {
	if err := c.flush(); err != nil {
		return err
	}
	return c.write(p)
}

// flush writes what waits.
func (c *cleaner) flush() error {
	if c.waiting == 0 {
		return nil
	}
	p, err := c.r.Peek(c.waiting)
	if err != nil {
		return readError(err)
	}
	if err := c.write(p); err != nil {
		return err
	}
	_, err = c.r.Discard(c.waiting)
	c.waiting = 0
	return err
}

func (c *cleaner) write(p []byte) error {
	n, err := c.w.Write(p)
	c.written += int64(n)
	if err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	return nil
}

// position is where the next byte that stays will be in what is written.
func (c *cleaner) position() int64 { return c.written + int64(c.waiting) }

// patch changes what was written at a position.
func (c *cleaner) patch(position int64, p []byte) {
	c.patches = append(c.patches, Patch{position, p})
}

// canvas sets the size of the picture, in pixels.
func (c *cleaner) canvas(width, height int) error {
	c.info.Width, c.info.Height = width, height
	return c.budget.canvas(int64(width), int64(height))
}

// frame counts a frame, which must lie within the canvas.
func (c *cleaner) frame(left, top, width, height int) error {
	if left < 0 || top < 0 || left > c.info.Width-width || top > c.info.Height-height {
		return damaged("a frame outside of the canvas")
	}
	c.info.Frames++
	return c.budget.take(int64(width), int64(height))
}

// exif reads an Exif block and reports whether it is one whose orientation must stay.
func (c *cleaner) exif(block []byte) bool {
	if c.hasExif {
		return false
	}
	e, ok := readExif(block)
	if !ok {
		return false
	}
	c.hasExif = true
	c.info.Orientation, c.info.TakenAt, c.info.Camera = e.orientation, e.takenAt, e.camera
	return e.orientation != 1
}

func damaged(why string) error { return apperr.Wrap(apperr.ImageDamaged, errors.New(why)) }

func unsupported(why string) error { return apperr.Wrap(apperr.NotAnImage, errors.New(why)) }

func tooMany(what string) error {
	return apperr.Wrap(apperr.TooManyPixels, errors.New("too many "+what))
}

// readError turns the end of the stream into a refusal.
func readError(err error) error {
	if err == io.EOF {
		return damaged("cut off")
	}
	return fmt.Errorf("read picture: %w", err)
}
