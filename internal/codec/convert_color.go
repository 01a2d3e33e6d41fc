package codec

import "image"

// luma is how much red and blue count in the brightness of a pixel; green is the rest.
type luma struct{ red, blue float64 }

// jpegLuma is that of JPEG, and of HEIC where it does not say anything else, ITU-R BT.601.
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
	if ok && (c.limited || c.luma() != jpegLuma) {
		c.mixing().apply(p)
	}
	return picture
}

// mixing is what becomes of Y, Cb and Cr. All of it is linear, and grey stays grey: Y changes with its own value and
// both colours, which change with one another.
type mixing struct {
	black, y   float64 // is subtracted from Y; Y is multiplied by
	yCb, yCr   float64 // is added to Y for a unit of Cb, of Cr
	cbCb, cbCr float64
	crCb, crCr float64
}

func (c heifColor) mixing() mixing {
	from, to := c.luma(), jpegLuma
	m := mixing{y: 1}
	scale := 1.0 // of colour
	if c.limited {
		m.black, m.y, scale = 16, 255.0/219, 255.0/224
	}
	blue, red := 2*(1-from.blue)*scale, 2*(1-from.red)*scale // beyond Y, for a unit of Cb, of Cr
	green := (1 - to.red - to.blue) / (1 - from.red - from.blue)
	m.yCb = blue * (to.blue - green*from.blue)
	m.yCr = red * (to.red - green*from.red)
	m.cbCb, m.cbCr = (blue-m.yCb)/(2*(1-to.blue)), -m.yCr/(2*(1-to.blue))
	m.crCb, m.crCr = -m.yCb/(2*(1-to.red)), (red-m.yCr)/(2*(1-to.red))
	return m
}

func (m mixing) apply(p *image.YCbCr) {
	bounds := p.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			i, j := p.YOffset(x, y), p.COffset(x, y)
			cb, cr := float64(p.Cb[j])-128, float64(p.Cr[j])-128
			p.Y[i] = byteOf((float64(p.Y[i])-m.black)*m.y + cb*m.yCb + cr*m.yCr)
		}
	}
	for i := range p.Cb {
		cb, cr := float64(p.Cb[i])-128, float64(p.Cr[i])-128
		p.Cb[i], p.Cr[i] = byteOf(128+cb*m.cbCb+cr*m.cbCr), byteOf(128+cb*m.crCb+cr*m.crCr)
	}
}

func byteOf(value float64) byte { return byte(max(0, min(255, value+0.5))) }
