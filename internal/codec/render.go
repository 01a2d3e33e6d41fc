package codec

import (
	"image"
	"io"
	"math"
)

// Render makes a variant of a stored picture: its first frame, upright, never larger than it is, with its colour
// profile and no other metadata. A picture that can't be decoded is ImageDamaged.
func Render(w io.Writer, r io.ReadSeeker, f Format, orientation int, v Variant) error {
	src := &source{r: r}
	size, err := src.size(f)
	if err != nil {
		return err
	}
	plan := layOut(size, v.turned(orientation))
	picture, err := src.decode(f, plan.decoded(size))
	if err != nil {
		return err
	}
	profile, err := src.profile(f)
	if err != nil {
		return err
	}
	return encode(w, plan.scaled(size, picture.Bounds().Size()).draw(picture, v.Format, orientation), v, profile)
}

// turned returns the variant as the stored pixels lie.
func (v Variant) turned(orientation int) Variant {
	if isTurned(orientation) {
		v.Width, v.Height = v.Height, v.Width
	}
	return v
}

// layout says which part of a picture goes where in a variant of it, as the stored pixels lie.
type layout struct {
	canvas image.Point     // the variant's size
	target image.Rectangle // where on it the picture is
	from   region          // the part of the picture that is there
}

// layOut fits a picture into the box of a variant. A box that would enlarge the picture shrinks and keeps its
// shape.
func layOut(picture image.Point, v Variant) layout {
	fit := v.Fit
	if v.Width <= 0 || v.Height <= 0 {
		fit = Inside
	}
	box := image.Pt(boxSide(v.Width, v.Format), boxSide(v.Height, v.Format))
	across, down := float64(box.X)/float64(picture.X), float64(box.Y)/float64(picture.Y)
	l := layout{from: region{span{0, float64(picture.X)}, span{0, float64(picture.Y)}}}
	switch fit {
	case Cover:
		scale := max(across, down)
		l.canvas = scaledSize(box, min(1, 1/scale))
		l.target = image.Rectangle{Max: l.canvas}
		scale = max(float64(l.canvas.X)/float64(picture.X), float64(l.canvas.Y)/float64(picture.Y))
		l.from = region{middle(l.canvas.X, picture.X, scale), middle(l.canvas.Y, picture.Y, scale)}
	case Contain:
		scale := min(across, down)
		l.canvas = scaledSize(box, min(1, 1/scale))
		l.target = centered(scaledSize(picture, min(1, scale)), l.canvas)
	default:
		l.canvas = scaledSize(picture, min(1, across, down))
		l.target = image.Rectangle{Max: l.canvas}
	}
	return l
}

// boxSide returns a side of the box: as long as the format allows where none is asked for.
func boxSide(side int, f Format) int {
	longest := 1<<16 - 1
	if f == WebP {
		longest = 1<<14 - 1
	}
	if side <= 0 {
		return longest
	}
	return min(side, longest)
}

func scaledSize(size image.Point, by float64) image.Point {
	scaled := func(side int) int { return max(1, int(math.Round(float64(side)*by))) }
	return image.Pt(scaled(size.X), scaled(size.Y))
}

// middle returns the middle of a picture's side that fills a side of the canvas.
func middle(canvas, picture int, scale float64) span {
	length := min(float64(canvas)/scale, float64(picture))
	return span{(float64(picture) - length) / 2, length}
}

// centered puts a picture in the middle of its canvas. It begins where a sample of colour begins.
func centered(size, canvas image.Point) image.Rectangle {
	size = image.Pt(min(size.X, canvas.X), min(size.Y, canvas.Y))
	corner := image.Pt((canvas.X-size.X)/2&^1, (canvas.Y-size.Y)/2&^1)
	return image.Rectangle{Min: corner, Max: corner.Add(size)}
}

// decoded returns how large all of the picture must be decoded at least.
func (l layout) decoded(picture image.Point) image.Point {
	side := func(target int, from span, picture int) int {
		return min(picture, int(math.Ceil(float64(target)*float64(picture)/from.length)))
	}
	return image.Pt(
		side(l.target.Dx(), l.from.x, picture.X),
		side(l.target.Dy(), l.from.y, picture.Y),
	)
}

// scaled returns the layout for the picture as it was decoded.
func (l layout) scaled(picture, decoded image.Point) layout {
	l.from = l.from.scaled(float64(decoded.X)/float64(picture.X), float64(decoded.Y)/float64(picture.Y))
	return l
}

// isPartial reports whether the picture leaves some of the canvas empty.
func (l layout) isPartial() bool { return l.target.Size() != l.canvas }

// draw makes the variant's pixels, upright, in the cheapest colour model that both sides know.
func (l layout) draw(picture image.Image, f Format, orientation int) image.Image {
	switch picture := picture.(type) {
	case *image.YCbCr:
		if f == JPEG {
			return l.drawYCbCr(picture, orientation)
		}
	case *image.Gray:
		if f == JPEG || f == PNG && !l.isPartial() {
			return l.drawGray(picture, orientation)
		}
	}
	return l.drawRGBA(picture, f, orientation)
}

const white = 255

func (l layout) drawGray(picture *image.Gray, orientation int) *image.Gray {
	canvas := newPlane(l.canvas.X, l.canvas.Y, 1)
	canvas.fill(white)
	resample(canvas.part(l.target), grayPlane(picture).lines(), l.from)
	canvas = canvas.upright(orientation)
	return &image.Gray{Pix: canvas.pix, Stride: canvas.stride, Rect: image.Rect(0, 0, canvas.width, canvas.height)}
}

// drawRGBA leaves empty what the picture does not fill; as JPEG knows nothing empty, that is white there.
func (l layout) drawRGBA(picture image.Image, f Format, orientation int) *image.RGBA {
	canvas := newPlane(l.canvas.X, l.canvas.Y, 4)
	resample(canvas.part(l.target), rgbaLines(picture), l.from)
	if f == JPEG {
		canvas.flatten()
	}
	canvas = canvas.upright(orientation)
	return &image.RGBA{Pix: canvas.pix, Stride: canvas.stride, Rect: image.Rect(0, 0, canvas.width, canvas.height)}
}

// flatten puts premultiplied pixels on white.
func (p plane) flatten() {
	for pixel := p.pix; len(pixel) > 0; pixel = pixel[4:] {
		rest := white - pixel[3]
		pixel[0], pixel[1], pixel[2], pixel[3] = pixel[0]+rest, pixel[1]+rest, pixel[2]+rest, white
	}
}

// drawYCbCr scales brightness and colour each at its own resolution. The colour of the result has half as many
// pixels in both directions, which is what the encoder writes.
func (l layout) drawYCbCr(picture *image.YCbCr, orientation int) *image.YCbCr {
	canvas := newPlane(l.canvas.X, l.canvas.Y, 1)
	canvas.fill(white)
	resample(canvas.part(l.target), yPlane(picture).lines(), l.from)
	canvas = canvas.upright(orientation)
	cb := l.drawColor(picture, picture.Cb).upright(orientation)
	cr := l.drawColor(picture, picture.Cr).upright(orientation)
	return &image.YCbCr{
		Y: canvas.pix, Cb: cb.pix, Cr: cr.pix,
		YStride: canvas.stride, CStride: cb.stride,
		SubsampleRatio: image.YCbCrSubsampleRatio420,
		Rect:           image.Rect(0, 0, canvas.width, canvas.height),
	}
}

// drawColor scales one of the two planes of colour. Where a side is odd, its last sample reaches over the edge.
func (l layout) drawColor(picture *image.YCbCr, pix []byte) plane {
	const none = 128
	half := func(side int) int { return (side + 1) / 2 }
	canvas := newPlane(half(l.canvas.X), half(l.canvas.Y), 1)
	canvas.fill(none)
	target := image.Rect(l.target.Min.X/2, l.target.Min.Y/2, half(l.target.Max.X), half(l.target.Max.Y))
	across, down := subsampling(picture.SubsampleRatio)
	from := l.from.scaled(1/float64(across), 1/float64(down))
	from.x.length *= float64(2*target.Dx()) / float64(l.target.Dx())
	from.y.length *= float64(2*target.Dy()) / float64(l.target.Dy())
	resample(canvas.part(target), colorPlane(picture, pix).lines(), from)
	return canvas
}

func grayPlane(p *image.Gray) plane {
	return plane{p.Pix, p.Stride, p.Rect.Dx(), p.Rect.Dy(), 1}
}

func rgbaPlane(p *image.RGBA) plane {
	return plane{p.Pix, p.Stride, p.Rect.Dx(), p.Rect.Dy(), 4}
}

func yPlane(p *image.YCbCr) plane {
	return plane{p.Y, p.YStride, p.Rect.Dx(), p.Rect.Dy(), 1}
}

// colorPlane returns the plane of Cb or Cr of a picture that begins at 0, 0.
func colorPlane(p *image.YCbCr, pix []byte) plane {
	across, down := subsampling(p.SubsampleRatio)
	return plane{pix, p.CStride, (p.Rect.Dx() + across - 1) / across, (p.Rect.Dy() + down - 1) / down, 1}
}

// subsampling returns how many pixels share a sample of colour.
func subsampling(ratio image.YCbCrSubsampleRatio) (across, down int) {
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}
