package codec

import (
	"image"
	"image/draw"
	"math"
)

// plane is a rectangle of samples of 8 bits. Those of a pixel lie side by side: one where it is grey, or one of
// Y, Cb and Cr, and four where it is RGBA, premultiplied.
type plane struct {
	pix           []byte
	stride        int // bytes from a row to the next
	width, height int // in pixels
	channels      int // samples of a pixel
}

func newPlane(width, height, channels int) plane {
	return plane{make([]byte, width*height*channels), width * channels, width, height, channels}
}

// row returns the samples of a row.
func (p plane) row(y int) []byte {
	return p.pix[y*p.stride:][:p.width*p.channels]
}

// part returns a rectangle of the plane, which shares its samples.
func (p plane) part(r image.Rectangle) plane {
	p.pix = p.pix[r.Min.Y*p.stride+r.Min.X*p.channels:]
	p.width, p.height = r.Dx(), r.Dy()
	return p
}

// fill sets every sample.
func (p plane) fill(value byte) {
	for i := range p.pix {
		p.pix[i] = value
	}
}

// lines gives the rows of a picture, which are asked for from top to bottom. One is valid until the next.
type lines struct {
	row           func(y int) []byte
	width, height int
	channels      int
}

func (p plane) lines() lines { return lines{p.row, p.width, p.height, p.channels} }

// rgbaLines converts a picture row by row, so that there is never a second one of its size in memory.
func rgbaLines(src image.Image) lines {
	bounds := src.Bounds()
	l := lines{nil, bounds.Dx(), bounds.Dy(), 4}
	switch src := src.(type) {
	case *image.RGBA:
		l.row = rgbaPlane(src).row
	case *image.Paletted:
		l.row = palettedRow(src)
	default:
		row := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), 1))
		l.row = func(y int) []byte {
			draw.Draw(row, row.Rect, src, bounds.Min.Add(image.Pt(0, y)), draw.Src)
			return row.Pix
		}
	}
	return l
}

// palettedRow looks colours up by itself: package draw takes ten times as long.
func palettedRow(src *image.Paletted) func(y int) []byte {
	var palette [256][4]byte
	for i, c := range src.Palette {
		r, g, b, a := c.RGBA()
		palette[i] = [4]byte{byte(r >> 8), byte(g >> 8), byte(b >> 8), byte(a >> 8)}
	}
	width := src.Rect.Dx()
	row := make([]byte, 4*width)
	return func(y int) []byte {
		for x, index := range src.Pix[y*src.Stride:][:width] {
			copy(row[4*x:], palette[index][:])
		}
		return row
	}
}

// shrink averages squares of n × n pixels: the fast first step of a large reduction.
func (l lines) shrink(n int) lines {
	small := lines{nil, (l.width + n - 1) / n, (l.height + n - 1) / n, l.channels}
	sums := make([]uint32, small.width*l.channels)
	row := make([]byte, len(sums))
	small.row = func(y int) []byte {
		clear(sums)
		top, bottom := y*n, min((y+1)*n, l.height)
		for y := top; y < bottom; y++ {
			addSquares(sums, l.row(y), n, l.channels)
		}
		for i := range row {
			columns := min(n, l.width-i/l.channels*n)
			count := uint32(columns * (bottom - top))
			row[i] = byte((sums[i] + count/2) / count)
		}
		return row
	}
	return small
}

// addSquares adds up n pixels of a row at a time.
func addSquares(sums []uint32, row []byte, n, channels int) {
	for len(row) > 0 {
		square := row[:min(n*channels, len(row))]
		row = row[len(square):]
		for ; len(square) > 0; square = square[channels:] {
			for c := range channels {
				sums[c] += uint32(square[c])
			}
		}
		sums = sums[channels:]
	}
}

// span is a part of a line, in pixels.
type span struct{ start, length float64 }

// scaled scales a span along with its line.
func (s span) scaled(by float64) span { return span{s.start * by, s.length * by} }

// region is a part of a picture, in pixels.
type region struct{ x, y span }

func (r region) scaled(x, y float64) region { return region{r.x.scaled(x), r.y.scaled(y)} }

// resample scales a part of a picture to the size of dst. The filter is Catmull-Rom's, as wide as the reduction
// asks for.
func resample(dst plane, src lines, from region) {
	const rest = 2 // how many times its final size a picture keeps for the good filter
	if n := int(min(from.x.length/float64(dst.width), from.y.length/float64(dst.height)) / rest); n > 1 {
		src = src.shrink(n)
		from = from.scaled(1/float64(n), 1/float64(n))
	}
	columns := tapsOf(dst.width, from.x, src.width)
	rows := tapsOf(dst.height, from.y, src.height)
	narrow, top := narrowed(src, columns, rows)
	sums := make([]int32, dst.width*dst.channels)
	for y, t := range rows {
		for i := range sums {
			sums[i] = weightOne / 2
		}
		for i, weight := range t.weights {
			for x, sample := range narrow.row(t.first - top + i)[:len(sums)] {
				sums[x] += weight * int32(sample)
			}
		}
		store(dst.row(y), sums, dst.channels)
	}
}

// narrowed scales the rows that are needed to their final width. The first of them is row top of the source.
func narrowed(src lines, columns, rows []taps) (narrow plane, top int) {
	top = rows[0].first
	last := rows[len(rows)-1]
	narrow = newPlane(len(columns), last.first+len(last.weights)-top, src.channels)
	for y := range narrow.height {
		if src.channels == 1 {
			narrowGray(narrow.row(y), src.row(top+y), columns)
		} else {
			narrowRGBA(narrow.row(y), src.row(top+y), columns)
		}
	}
	return narrow, top
}

func narrowGray(dst, src []byte, columns []taps) {
	for x, t := range columns {
		sum := int32(weightOne / 2)
		samples := src[t.first:][:len(t.weights)]
		for i, weight := range t.weights {
			sum += weight * int32(samples[i])
		}
		dst[x] = rounded(sum)
	}
}

func narrowRGBA(dst, src []byte, columns []taps) {
	for x, t := range columns {
		r, g, b, a := int32(weightOne/2), int32(weightOne/2), int32(weightOne/2), int32(weightOne/2)
		samples := src[4*t.first:][:4*len(t.weights)]
		for i, weight := range t.weights {
			pixel := samples[4*i:][:4]
			r += weight * int32(pixel[0])
			g += weight * int32(pixel[1])
			b += weight * int32(pixel[2])
			a += weight * int32(pixel[3])
		}
		pixel := dst[4*x:][:4]
		pixel[0], pixel[1], pixel[2], pixel[3] = rounded(r), rounded(g), rounded(b), rounded(a)
	}
}

// store writes a finished row. The filter overshoots at edges; a premultiplied colour above its alpha is none.
func store(dst []byte, sums []int32, channels int) {
	for i, sum := range sums {
		dst[i] = rounded(sum)
	}
	if channels != 4 {
		return
	}
	for ; len(dst) > 0; dst = dst[4:] {
		a := dst[3]
		dst[0], dst[1], dst[2] = min(dst[0], a), min(dst[1], a), min(dst[2], a)
	}
}

// weightOne is the weight of a pixel that makes another alone.
const weightOne = 1 << 16

// rounded rounds a weighted sum.
func rounded(sum int32) byte {
	return byte(max(0, min(255, sum/weightOne)))
}

// taps are the neighbouring pixels of a line that make one pixel of the result.
type taps struct {
	first   int
	weights []int32 // together weightOne
}

// tapsOf returns the taps of each of the size pixels that are made of a part of a line of length pixels.
func tapsOf(size int, from span, length int) []taps {
	all := make([]taps, size)
	scale := from.length / float64(size)
	stretch := max(scale, 1)
	for i := range all {
		center := from.start + (float64(i)+0.5)*scale - 0.5
		first := max(0, int(math.Ceil(center-2*stretch)))
		last := min(length-1, int(math.Floor(center+2*stretch)))
		all[i] = taps{first, make([]int32, 0, last-first+1)}
		all[i].weigh(center, stretch, last)
	}
	return all
}

// weigh sets the weights of the taps up to the last. What rounding leaves over goes to the nearest.
func (t *taps) weigh(center, stretch float64, last int) {
	total := 0.0
	for i := t.first; i <= last; i++ {
		total += catmullRom((float64(i) - center) / stretch)
	}
	left, nearest := int32(weightOne), 0
	for i := t.first; i <= last; i++ {
		weight := int32(math.Round(catmullRom((float64(i)-center)/stretch) / total * weightOne))
		t.weights = append(t.weights, weight)
		left -= weight
		if weight > t.weights[nearest] {
			nearest = i - t.first
		}
	}
	t.weights[nearest] += left
}

// catmullRom is the cubic filter that is sharp and hardly rings.
func catmullRom(x float64) float64 {
	switch x = math.Abs(x); {
	case x < 1:
		return (1.5*x-2.5)*x*x + 1
	case x < 2:
		return ((-0.5*x+2.5)*x-4)*x + 2
	}
	return 0
}
