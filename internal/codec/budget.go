package codec

// budget is what may be decoded of a picture. Cleaning and decoding each have one: limits may have changed in
// between, and what is decoded must not depend on what somebody else has checked.
type budget struct {
	limits Limits
	most   int64 // pixels of all frames together
	frames int
	pixels int64
}

func newBudget(l Limits) *budget { return &budget{limits: l, most: 10 * l.Pixels} }

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
