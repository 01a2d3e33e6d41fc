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
	b := newBudget(l, f)
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

// placeholderBox is enough for the few colours of a placeholder.
var placeholderBox = Variant{Width: 32, Height: 32, Fit: Inside}
