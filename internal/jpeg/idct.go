package jpeg

// natural is the index in a block, by rows, of the coefficient with a zigzag index (T.81 figure A.6).
var natural = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// lastOfSize is, by the size of the pixels that become of a block, the zigzag index of the last of the size x size
// lowest coefficients. These are the block of the reduced picture.
var lastOfSize = [9]int{1: 0, 2: 4, 4: 24, 8: 63}

// The inverse transforms below are the definition (T.81 A.3.3) for blocks of 1, 2, 4 and 8, done for columns and then
// for rows. Each of the two steps is scaled by the square root of 8, so that the factor of coefficient 0 is 1 and the
// sum is to be divided by 8. The other factors are, in fixed point, √2·cos(kπ/16).
const (
	fixedBits = 13
	cos1      = 11363
	cos2      = 10703
	cos3      = 9633
	cos5      = 6437
	cos6      = 4433
	cos7      = 2260

	// extraBits more than whole numbers are kept between the two steps.
	extraBits = 2
)

// reconstruct writes the pixels of a block. The coefficients are in natural order; those from the zigzag index last+1
// on are zero. It may overwrite them.
func (c *component) reconstruct(coefs *[64]int32, last, bx, by int) {
	pixels := c.pixels[(by*c.stride+bx)*c.size:]
	if c.size == 1 {
		pixels[0] = clamp((coefs[0] + 128*8 + 4) >> 3)
		return
	}
	if last == 0 {
		fill(pixels, c.stride, c.size, clamp((coefs[0]+128*8+4)>>3))
		return
	}
	switch c.size {
	case 2:
		inverse2(coefs, pixels, c.stride)
	case 4:
		inverse4(coefs, pixels, c.stride)
	case 8:
		inverse8(coefs, last, pixels, c.stride)
	}
}

// clamp returns the sample nearest to v.
func clamp(v int32) byte {
	if uint32(v) > 255 {
		return byte(^(v >> 31))
	}
	return byte(v)
}

func fill(pixels []byte, stride, size int, v byte) {
	for y := range size {
		row := pixels[y*stride:][:size]
		for x := range row {
			row[x] = v
		}
	}
}

func inverse2(coefs *[64]int32, pixels []byte, stride int) {
	const middle = 128*8 + 4
	left, right := coefs[0]+coefs[8]+middle, coefs[1]+coefs[9]
	pixels[0], pixels[1] = clamp((left+right)>>3), clamp((left-right)>>3)
	left, right = coefs[0]-coefs[8]+middle, coefs[1]-coefs[9]
	pixels[stride], pixels[stride+1] = clamp((left+right)>>3), clamp((left-right)>>3)
}

func inverse4(coefs *[64]int32, pixels []byte, stride int) {
	const round, shift = 1 << (fixedBits - extraBits - 1), fixedBits - extraBits
	for x := range 4 {
		c := coefs[x : x+25]
		even0, even1 := (c[0]+c[16])<<fixedBits+round, (c[0]-c[16])<<fixedBits+round
		odd0, odd1 := cos2*c[8]+cos6*c[24], cos6*c[8]-cos2*c[24]
		c[0], c[24] = (even0+odd0)>>shift, (even0-odd0)>>shift
		c[8], c[16] = (even1+odd1)>>shift, (even1-odd1)>>shift
	}
	const rowShift = fixedBits + extraBits + 3
	const middle = 128<<rowShift + 1<<(rowShift-1)
	for y := range 4 {
		c, p := coefs[8*y:8*y+4], pixels[y*stride:][:4]
		even0, even1 := (c[0]+c[2])<<fixedBits+middle, (c[0]-c[2])<<fixedBits+middle
		odd0, odd1 := cos2*c[1]+cos6*c[3], cos6*c[1]-cos2*c[3]
		p[0], p[3] = clamp((even0+odd0)>>rowShift), clamp((even0-odd0)>>rowShift)
		p[1], p[2] = clamp((even1+odd1)>>rowShift), clamp((even1-odd1)>>rowShift)
	}
}

// lastOfQuarter is the last zigzag index up to which all coefficients are among the 4x4 lowest.
const lastOfQuarter = 9

func inverse8(coefs *[64]int32, last int, pixels []byte, stride int) {
	columns := 8
	if last <= lastOfQuarter {
		columns = 4
	}
	const round, shift = 1 << (fixedBits - extraBits - 1), fixedBits - extraBits
	for x := range columns {
		c := coefs[x : x+57]
		if c[8]|c[16]|c[24]|c[32]|c[40]|c[48]|c[56] == 0 {
			v := c[0] << extraBits
			c[0], c[8], c[16], c[24], c[32], c[40], c[48], c[56] = v, v, v, v, v, v, v, v
			continue
		}
		e0, e1, e2, e3 := evens(c[0], c[16], c[32], c[48], round)
		o0, o1, o2, o3 := odds(c[8], c[24], c[40], c[56])
		c[0], c[56] = (e0+o0)>>shift, (e0-o0)>>shift
		c[8], c[48] = (e1+o1)>>shift, (e1-o1)>>shift
		c[16], c[40] = (e2+o2)>>shift, (e2-o2)>>shift
		c[24], c[32] = (e3+o3)>>shift, (e3-o3)>>shift
	}
	const rowShift = fixedBits + extraBits + 3
	const middle = 128<<rowShift + 1<<(rowShift-1)
	for y := range 8 {
		c, p := coefs[8*y:8*y+8], pixels[y*stride:][:8]
		e0, e1, e2, e3 := evens(c[0], c[2], c[4], c[6], middle)
		o0, o1, o2, o3 := odds(c[1], c[3], c[5], c[7])
		p[0], p[7] = clamp((e0+o0)>>rowShift), clamp((e0-o0)>>rowShift)
		p[1], p[6] = clamp((e1+o1)>>rowShift), clamp((e1-o1)>>rowShift)
		p[2], p[5] = clamp((e2+o2)>>rowShift), clamp((e2-o2)>>rowShift)
		p[3], p[4] = clamp((e3+o3)>>rowShift), clamp((e3-o3)>>rowShift)
	}
}

// evens returns what the coefficients 0, 2, 4 and 6 and the offset add to each of the outputs 0 to 3, and to 7 to 4.
func evens(c0, c2, c4, c6, offset int32) (e0, e1, e2, e3 int32) {
	sum, difference := (c0+c4)<<fixedBits+offset, (c0-c4)<<fixedBits+offset
	outer, inner := cos2*c2+cos6*c6, cos6*c2-cos2*c6
	return sum + outer, difference + inner, difference - inner, sum - outer
}

// odds returns what the coefficients 1, 3, 5 and 7 add to each of the outputs 0 to 3, and take from 7 to 4.
func odds(c1, c3, c5, c7 int32) (o0, o1, o2, o3 int32) {
	return cos1*c1 + cos3*c3 + cos5*c5 + cos7*c7,
		cos3*c1 - cos7*c3 - cos1*c5 - cos5*c7,
		cos5*c1 - cos1*c3 + cos7*c5 + cos3*c7,
		cos7*c1 - cos5*c3 + cos3*c5 - cos1*c7
}
