package codec

// budget is what may be decoded of a picture. Cleaning and decoding each have one: limits may have changed in
// between, and what is decoded must not depend on what somebody else has checked.
type budget struct {
	limits Limits
	most   int64 // pixels of all frames together
	frames int
	pixels int64
}

// newBudget gives animations ten times the pixels of a picture. Those of WebP have no more than one: their pixels take
// ten times as long as those of the others, and next to no bytes.
func newBudget(l Limits, f Format) *budget {
	if f == WebP {
		return &budget{limits: l, most: l.Pixels}
	}
	return &budget{limits: l, most: 10 * l.Pixels}
}

// canvas refuses a picture that is too large, in pixels.
func (b *budget) canvas(width, height int64) error {
	if width <= 0 || height <= 0 {
		return damaged("a side has no pixels")
	}
	if max(width, height) > int64(b.limits.Side) || width*height > b.limits.Pixels {
		return tooMany("pixels")
	}
	return nil
}

// take counts a frame, in pixels.
func (b *budget) take(width, height int64) error {
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
