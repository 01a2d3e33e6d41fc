package codec

import "image"

// luma is how much red and blue count in the brightness of a pixel; green is the rest.
type luma struct{ red, blue float64 }

// jpegLuma is that of JPEG and WebP, and of HEIC where it does not say anything else, ITU-R BT.601.
var jpegLuma = luma{0.299, 0.114}

func (c heifColor) luma() luma {
	switch c.matrix {
	case 1:
		return luma{0.2126, 0.0722} // BT.709
	case 9:
		return luma{0.2627, 0.0593} // BT.2020
	}
	return jpegLuma
}

// asJPEG makes the samples mean what they mean in a JPEG. It changes the picture.
func (c heifColor) asJPEG(picture image.Image) image.Image {
	p, ok := picture.(*image.YCbCr)
	if !ok {
		return picture
	}
	if c.limited {
		toFullRange(p)
	}
	if from := c.luma(); from != jpegLuma {
		from.mixing().apply(p)
	}
	return p
}

// toFullRange makes 0 black and 255 white, where 16 and 235 were.
func toFullRange(p *image.YCbCr) {
	var bright, color [256]byte
	for i := range 256 {
		bright[i] = byteOf((float64(i) - 16) * 255 / 219)
		color[i] = byteOf((float64(i)-128)*255/224 + 128)
	}
	for i, y := range p.Y {
		p.Y[i] = bright[y]
	}
	for i := range p.Cb {
		p.Cb[i], p.Cr[i] = color[p.Cb[i]], color[p.Cr[i]]
	}
}

// mixing is what Cb and Cr each add to what becomes of Y, Cb and Cr. Grey stays grey, so Y adds nothing.
type mixing struct{ y, cb, cr chroma }

// chroma are the two dimensions of colour, from -128 to 127.
type chroma struct{ b, r float64 }

func (c chroma) times(other chroma) float64 { return c.b*other.b + c.r*other.r }

// mixing returns how samples become those of a JPEG.
func (l luma) mixing() mixing {
	to := jpegLuma
	beyond := chroma{2 * (1 - l.blue), 2 * (1 - l.red)} // how far blue and red are from Y, for a unit
	green := (1 - to.red - to.blue) / (1 - l.red - l.blue)
	y := chroma{beyond.b * (to.blue - green*l.blue), beyond.r * (to.red - green*l.red)}
	blue, red := 2*(1-to.blue), 2*(1-to.red)
	return mixing{
		y:  y,
		cb: chroma{(beyond.b - y.b) / blue, -y.r / blue},
		cr: chroma{-y.b / red, (beyond.r - y.r) / red},
	}
}

func (m mixing) apply(p *image.YCbCr) {
	at := func(i int) chroma { return chroma{float64(p.Cb[i]) - 128, float64(p.Cr[i]) - 128} }
	bounds := p.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			i := p.YOffset(x, y)
			p.Y[i] = byteOf(float64(p.Y[i]) + m.y.times(at(p.COffset(x, y))))
		}
	}
	for i := range p.Cb {
		c := at(i)
		p.Cb[i], p.Cr[i] = byteOf(128+m.cb.times(c)), byteOf(128+m.cr.times(c))
	}
}

func byteOf(value float64) byte { return byte(max(0, min(255, value+0.5))) }
