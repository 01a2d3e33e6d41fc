package codec

import (
	"image"
	"math/bits"
)

// Types of the units of an HEVC stream, ITU-T H.265 table 7-1. Below hevcParameters they are parts of pictures.
const (
	hevcParameters = 32
	hevcSequence   = 33
)

// hevcSize returns the size that the stream of an item claims: of what is decoded, and of what is shown of that. It
// refuses streams that would make the decoder work more: with more than one picture, or with sizes among the pictures.
func (h *heif) hevcSize(id uint32) (coded, shown image.Point, err error) {
	for _, config := range h.property(id, "hvcC") {
		sequences, err := hevcSequences(config)
		if err != nil {
			return coded, shown, err
		}
		for _, unit := range sequences {
			size, part, ok := hevcSequenceSize(unit)
			if !ok || coded != (image.Point{}) && (size != coded || part != shown) {
				return coded, shown, damaged("heif: bad sequence parameters")
			}
			coded, shown = size, part
		}
	}
	if coded == (image.Point{}) {
		return coded, shown, damaged("heif: no sequence parameters")
	}
	return coded, shown, checkHEVC(fields{data: h.item(id)})
}

// hevcSequences returns the units of a configuration that say the size, ISO/IEC 14496-15 section 8.3.3.
func hevcSequences(f fields) (units [][]byte, err error) {
	f.skip(21)
	if f.uint(1)&3 != 3 {
		return nil, unsupported("heif: lengths of less than four bytes")
	}
	for arrays := f.uint(1); arrays > 0; arrays-- {
		f.skip(1) // the type that each unit bears itself
		for count := f.uint(2); count > 0 && !f.failed; count-- {
			unit := f.next(int(f.uint(2)))
			if kind, ok := hevcUnit(unit); ok && kind == hevcSequence {
				units = append(units, unit)
			}
		}
	}
	if f.failed {
		return nil, damaged("heif: bad configuration")
	}
	return units, nil
}

// hevcUnit returns the type of a unit, if it is of the base layer: decoders pass over the others.
func hevcUnit(unit []byte) (kind byte, ok bool) {
	if len(unit) < 3 {
		return 0, false
	}
	layer := unit[0]&1<<5 | unit[1]>>3
	return unit[0] >> 1 & 0x3f, layer == 0
}

// checkHEVC walks over the units of an item.
func checkHEVC(f fields) error {
	pictures := 0
	for len(f.data) > 0 {
		unit := f.next(int(f.uint(4)))
		if f.failed {
			return damaged("heif: a unit is cut off")
		}
		kind, ok := hevcUnit(unit)
		switch {
		case !ok:
		case kind == hevcSequence:
			return unsupported("heif: sequence parameters within the picture")
		case kind < hevcParameters && unit[2]>>7 == 1: // the first part of a picture
			pictures++
		}
	}
	if pictures != 1 {
		return damaged("heif: not one picture in an item")
	}
	return nil
}

// hevcSequenceSize reads sequence parameters up to the size, H.265 section 7.3.2.2, in pixels.
func hevcSequenceSize(unit []byte) (coded, shown image.Point, ok bool) {
	b := &hevcBits{data: hevcUnescaped(unit[2:])}
	b.skip(4) // of the video parameters
	layers := int(b.read(3))
	b.skip(1)
	b.skipProfile(layers)
	b.exp() // its own number
	chroma := b.exp()
	if chroma == 3 {
		b.skip(1)
	}
	width, height := b.exp(), b.exp()
	const most = 1 << 16
	if b.failed || width == 0 || height == 0 || width > most || height > most {
		return coded, shown, false
	}
	coded = image.Pt(int(width), int(height))
	if b.read(1) == 1 { // what is cut off, in samples of colour
		across, down := hevcSubsampling(chroma)
		width -= min(width, across*(b.exp()+b.exp()))
		height -= min(height, down*(b.exp()+b.exp()))
	}
	return coded, image.Pt(int(width), int(height)), !b.failed
}

func hevcSubsampling(chroma uint64) (across, down uint64) {
	switch chroma {
	case 1:
		return 2, 2
	case 2:
		return 2, 1
	}
	return 1, 1
}

// hevcUnescaped drops the bytes that keep start codes out of a unit.
func hevcUnescaped(unit []byte) []byte {
	plain := make([]byte, 0, len(unit))
	zeros := 0
	for _, c := range unit {
		if zeros >= 2 && c == 3 {
			zeros = 0
			continue
		}
		plain = append(plain, c)
		zeros++
		if c != 0 {
			zeros = 0
		}
	}
	return plain
}

// hevcBits reads bits, the most significant first. Past the end they are zeros.
type hevcBits struct {
	data   []byte
	at     int
	failed bool
}

func (b *hevcBits) skip(n int) { b.at += n }

func (b *hevcBits) read(n int) (value uint64) {
	for ; n > 0; n-- {
		value <<= 1
		if b.at>>3 >= len(b.data) {
			b.failed = true
			continue
		}
		value |= uint64(b.data[b.at>>3] >> (7 - b.at&7) & 1)
		b.at++
	}
	return value
}

// exp reads a number in Exp-Golomb code, of up to 32 bits.
func (b *hevcBits) exp() uint64 {
	zeros := 0
	for zeros < 32 && !b.failed && b.read(1) == 0 {
		zeros++
	}
	return 1<<zeros - 1 + b.read(zeros)
}

// skipProfile skips profile, tier and level, H.265 section 7.3.3.
func (b *hevcBits) skipProfile(layers int) {
	const profile, level = 88, 8
	b.skip(profile + level)
	if layers == 0 {
		return
	}
	present := b.read(16) >> (16 - 2*layers) // two bits a layer: has a profile, has a level
	const hasProfile, hasLevel = 0xaaaa, 0x5555
	b.skip(profile*bits.OnesCount64(present&hasProfile) + level*bits.OnesCount64(present&hasLevel))
}
