package codec

import (
	"bufio"
	"io"
)

// Check decodes all of a stored picture, every frame of it, and returns what an app shows until it is loaded. A
// picture that does not decode as its format says is ImageDamaged; one beyond the limits is TooManyPixels.
func Check(r io.ReadSeeker, f Format, orientation int, l Limits) (Placeholder, error) {
	src := &source{r: r}
	size, err := src.size(f)
	if err != nil {
		return Placeholder{}, err
	}
	b := &budget{limits: l, most: 10 * l.Pixels}
	if err := b.canvas(int64(size.X), int64(size.Y)); err != nil {
		return Placeholder{}, err
	}
	if err := src.checkFrames(f, b); err != nil {
		return Placeholder{}, err
	}
	plan := layOut(size, placeholderBox)
	picture, err := src.decode(f, plan.decoded(size))
	if err != nil {
		return Placeholder{}, err
	}
	return placeholder(plan.scaled(size, picture.Bounds().Size()).drawRGBA(picture, PNG, orientation))
}

// checkFrames decodes the frames of an animation. The first one is decoded once more for the placeholder.
func (s *source) checkFrames(f Format, b *budget) error {
	return s.read(f, func(r *bufio.Reader) error {
		switch f {
		case GIF:
			return checkGIF(r, b)
		case PNG:
			return checkAPNG(r, b)
		case WebP:
			return checkWebP(r, b)
		}
		return nil
	})
}

// checkWebP decodes one frame at a time.
func checkWebP(r *bufio.Reader, b *budget) error {
	for frame, err := range webpFrames(r) {
		if err != nil {
			return err
		}
		size, err := frame.size()
		if err != nil {
			return err
		}
		if err := b.take(int64(size.X), int64(size.Y)); err != nil {
			return err
		}
		if frame.bounds.Empty() {
			continue // it does not move: it is decoded soon
		}
		if _, err := frame.decode(); err != nil {
			return err
		}
	}
	return nil
}

// budget is what may be decoded of a picture. Clean has checked the same; but limits may have changed since, and
// what is decoded must not depend on what somebody else has checked.
type budget struct {
	limits Limits
	most   int64 // pixels of all frames together
	frames int
	pixels int64
}

// canvas refuses a picture that is too large, in pixels.
func (b *budget) canvas(width, height int64) error {
	if max(width, height) > int64(b.limits.Side) || width*height > b.limits.Pixels {
		return tooMany("pixels")
	}
	return nil
}

// take counts a frame, in pixels.
func (b *budget) take(width, height int64) error {
	if width <= 0 || height <= 0 {
		return damaged("a frame has no pixels")
	}
	if err := b.canvas(width, height); err != nil {
		return err
	}
	b.frames++
	b.pixels += width * height
	if b.frames > b.limits.Frames || b.pixels > b.most {
		return tooMany("frames")
	}
	return nil
}

// placeholderBox is enough for the few colours of a placeholder.
var placeholderBox = Variant{Width: 32, Height: 32, Fit: Inside}
