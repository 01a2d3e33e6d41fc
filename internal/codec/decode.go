package codec

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/gif"
	stdjpeg "image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"

	"gatehouse/internal/apperr"
	"gatehouse/internal/jpeg"
)

// source is a picture that is read several times. It remembers that reading failed: that is no fault of the
// picture.
type source struct {
	r   io.ReadSeeker
	err error
}

// Read reads on.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// readSize is how many bytes of a picture are read at once.
const readSize = 32 << 10

// read reads the picture from its beginning. What goes wrong is ImageDamaged, but for errors of reading and
// refusals. So is a panic: strangers feed these decoders, and one bad picture must not end the server.
func (s *source) read(f Format, with func(r *bufio.Reader) error) (err error) {
	if _, err := s.r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read picture: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			err = damaged(fmt.Sprintf("decode %s: panic: %v", f, p))
		}
	}()
	err = with(bufio.NewReaderSize(s, readSize))
	var refusal *apperr.Error
	switch {
	case err == nil || errors.As(err, &refusal):
		return err
	case s.err != nil:
		return fmt.Errorf("read picture: %w", s.err)
	}
	return apperr.Wrap(apperr.ImageDamaged, fmt.Errorf("decode %s: %w", f, err))
}

// size returns the sides of the stored picture, of its canvas where it has frames.
func (s *source) size(f Format) (image.Point, error) {
	var config image.Config
	err := s.read(f, func(r *bufio.Reader) (err error) {
		switch f {
		case JPEG:
			config, err = stdjpeg.DecodeConfig(r)
		case PNG:
			config, err = png.DecodeConfig(r)
		case GIF:
			config, err = gif.DecodeConfig(r)
		case WebP:
			config, err = webp.DecodeConfig(r)
		default:
			err = unsupported(string(f) + " can't be decoded")
		}
		if err == nil && (config.Width <= 0 || config.Height <= 0) {
			err = damaged("a side has no pixels")
		}
		return err
	})
	return image.Pt(config.Width, config.Height), err
}

// decode returns the first frame on its canvas. A JPEG may come at a reduced size, which is at least the given one;
// its decoder is strict and reads all of it nevertheless.
func (s *source) decode(f Format, least image.Point) (picture image.Image, err error) {
	err = s.read(f, func(r *bufio.Reader) (err error) {
		switch f {
		case JPEG:
			picture, err = jpeg.Decode(r, jpeg.Options{MinWidth: least.X, MinHeight: least.Y})
		case PNG:
			picture, err = png.Decode(r)
		case GIF:
			picture, err = decodeGIF(r)
		case WebP:
			picture, err = decodeWebP(r)
		}
		return err
	})
	return picture, err
}

// place puts a frame where it belongs on an empty canvas.
func place(frame image.Image, canvas image.Rectangle, at image.Point) image.Image {
	bounds := frame.Bounds()
	target := bounds.Sub(bounds.Min).Add(at)
	if target == canvas {
		return frame
	}
	on := image.NewRGBA(canvas)
	draw.Draw(on, target, frame, bounds.Min, draw.Src)
	return on
}
