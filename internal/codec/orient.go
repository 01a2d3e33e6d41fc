package codec

// isTurned reports whether an orientation swaps width and height.
func isTurned(orientation int) bool { return orientation >= 5 && orientation <= 8 }

// upright turns and mirrors stored samples by an orientation of EXIF, 1 to 8.
func (p plane) upright(orientation int) plane {
	if orientation <= 1 || orientation > 8 {
		return p
	}
	to := newPlane(p.width, p.height, p.channels)
	if isTurned(orientation) {
		to = newPlane(p.height, p.width, p.channels)
	}
	for y := range p.height {
		start, step := to.way(orientation, y)
		row := p.row(y)
		if p.channels == 1 {
			for _, sample := range row {
				to.pix[start] = sample
				start += step
			}
			continue
		}
		for ; len(row) > 0; row = row[4:] {
			copy(to.pix[start:start+4], row)
			start += step
		}
	}
	return to
}

// way returns where the samples of a stored row go in the upright picture: that of its first pixel, and how far
// it is from one to the next.
func (p plane) way(orientation, row int) (start, step int) {
	right, bottom := (p.width-1)*p.channels, (p.height-1)*p.stride
	across, down := p.channels, p.stride
	switch orientation {
	case 2: // mirrored
		return row*down + right, -across
	case 3: // upside down
		return bottom - row*down + right, -across
	case 4: // upside down and mirrored
		return bottom - row*down, across
	case 5: // rows are columns
		return row * across, down
	case 6: // lying on its left side
		return right - row*across, down
	case 7: // rows are columns, from the lower right
		return bottom + right - row*across, -down
	case 8: // lying on its right side
		return bottom + row*across, -down
	}
	return row * down, across
}
