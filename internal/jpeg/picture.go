package jpeg

import (
	"image"
	"image/draw"
)

// colors is what the segments of applications say of the meaning of the components.
type colors struct {
	jfif      bool
	adobe     bool
	transform byte // of Adobe: 0 is none
}

func (c *colors) readJFIF(content []byte) error {
	if len(content) >= 5 && string(content[:5]) == "JFIF\x00" {
		c.jfif = true
	}
	return nil
}

func (c *colors) readAdobe(content []byte) error {
	if len(content) >= 12 && string(content[:5]) == "Adobe" {
		c.adobe, c.transform = true, content[11]
	}
	return nil
}

// isRGB reports whether three components are red, green and blue.
func (c *colors) isRGB(f *frame) bool {
	if c.jfif {
		return false
	}
	return c.adobe && c.transform == 0 || f.components[0].id == 'R' && f.components[1].id == 'G' && f.components[2].id == 'B'
}

// picture makes the picture of the decoded components.
func (d *decoder) picture() (image.Image, error) {
	f := &d.frame
	if f.progressive {
		for i := range f.components {
			c := &f.components[i]
			c.allocatePixels(f)
			c.reconstructBlocks()
			c.coefs, c.nonzero = nil, nil
		}
	}
	switch {
	case len(f.components) == 1:
		c := &f.components[0]
		return &image.Gray{Pix: c.pixels, Stride: c.stride, Rect: f.bounds()}, nil
	case len(f.components) == 4 && !d.colors.adobe:
		return nil, UnsupportedError("four components of unknown meaning")
	case len(f.components) == 4:
		return d.cmyk(), nil
	case d.colors.isRGB(f):
		return f.rgb(), nil
	}
	return f.yCbCr(), nil
}

func (f *frame) bounds() image.Rectangle {
	width, height := f.scaled(f.size)
	return image.Rect(0, 0, width, height)
}

// ratios are the subsamplings that Go has a name for, by pixels a sample of Cb and Cr.
var ratios = map[image.Point]image.YCbCrSubsampleRatio{
	{X: 1, Y: 1}: image.YCbCrSubsampleRatio444,
	{X: 2, Y: 1}: image.YCbCrSubsampleRatio422,
	{X: 2, Y: 2}: image.YCbCrSubsampleRatio420,
	{X: 1, Y: 2}: image.YCbCrSubsampleRatio440,
	{X: 4, Y: 1}: image.YCbCrSubsampleRatio411,
	{X: 4, Y: 2}: image.YCbCrSubsampleRatio410,
}

// yCbCr makes a picture of the first three components: as they are, if there is a ratio for that.
func (f *frame) yCbCr() *image.YCbCr {
	y, cb, cr := &f.components[0], &f.components[1], &f.components[2]
	ratio, ok := ratios[f.pixelsPerSample(cb)]
	if !ok || f.pixelsPerSample(y) != image.Pt(1, 1) || f.pixelsPerSample(cr) != f.pixelsPerSample(cb) {
		p := image.NewYCbCr(f.bounds(), image.YCbCrSubsampleRatio444)
		f.spread(y, p.Y, p.YStride, 1)
		f.spread(cb, p.Cb, p.CStride, 1)
		f.spread(cr, p.Cr, p.CStride, 1)
		return p
	}
	return &image.YCbCr{
		Y: y.pixels, Cb: cb.pixels, Cr: cr.pixels,
		YStride: y.stride, CStride: cb.stride,
		SubsampleRatio: ratio, Rect: f.bounds(),
	}
}

// pixelsPerSample returns the sides of a sample in pixels, 0 where they are not whole.
func (f *frame) pixelsPerSample(c *component) (p image.Point) {
	if f.h*f.size%(c.h*c.size) == 0 {
		p.X = f.h * f.size / (c.h * c.size)
	}
	if f.v*f.size%(c.v*c.size) == 0 {
		p.Y = f.v * f.size / (c.v * c.size)
	}
	return p
}

// spread writes the sample of each pixel of the picture to dst, with step bytes from one to the next.
func (f *frame) spread(c *component, dst []byte, stride, step int) {
	width, height := f.scaled(f.size)
	for y := range height {
		samples := c.pixels[y*c.v*c.size/(f.v*f.size)*c.stride:]
		row := dst[y*stride:]
		for x := range width {
			row[x*step] = samples[x*c.h*c.size/(f.h*f.size)]
		}
	}
}

func (f *frame) rgb() *image.RGBA {
	p := image.NewRGBA(f.bounds())
	for i := range f.components {
		f.spread(&f.components[i], p.Pix[i:], p.Stride, 4)
	}
	for i := 3; i < len(p.Pix); i += 4 {
		p.Pix[i] = 0xff
	}
	return p
}

// cmyk makes a picture of four components, which Adobe stores inverted. The first three may be its complement, RGB,
// as YCbCr.
func (d *decoder) cmyk() *image.CMYK {
	f := &d.frame
	p := image.NewCMYK(f.bounds())
	if d.colors.transform != 0 {
		rgb := &image.RGBA{Pix: p.Pix, Stride: p.Stride, Rect: p.Rect}
		draw.Draw(rgb, rgb.Rect, f.yCbCr(), image.Point{}, draw.Src)
		f.spread(&f.components[3], p.Pix[3:], p.Stride, 4)
		invert(p.Pix[3:], 4)
		return p
	}
	for i := range f.components {
		f.spread(&f.components[i], p.Pix[i:], p.Stride, 4)
	}
	invert(p.Pix, 1)
	return p
}

func invert(samples []byte, step int) {
	for i := 0; i < len(samples); i += step {
		samples[i] = 255 - samples[i]
	}
}
