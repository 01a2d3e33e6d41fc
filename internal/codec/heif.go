package codec

import (
	"bytes"
	"encoding/binary"
	"image"
	"iter"
	"slices"
)

// heif is what is read of a HEIC or an AVIF before it is decoded: its items and their properties, ISO/IEC 23008-12,
// in the boxes of ISO/IEC 14496-12. What the decoder will do is known from it, and bounded by it.
type heif struct {
	data       []byte
	primary    uint32
	kinds      map[uint32]string
	extents    map[uint32][]heifExtent
	references []heifReference
	properties []heifBox
	owned      map[uint32][]int // indices of properties, from 1
	inside     []byte           // data of items within the box of metadata
	doubtful   bool             // something is said twice: who knows which one the decoder believes
}

type heifBox struct {
	kind    string
	content fields
}

// heifExtent is where a part of an item's data lies.
type heifExtent struct {
	inside         bool
	offset, length uint64
}

// heifReference says that an item is made of others, or describes them.
type heifReference struct {
	kind string
	from uint32
	to   []uint32
}

// readHEIF reads the metadata. It returns ImageDamaged where they make no sense.
func readHEIF(data []byte) (*heif, error) {
	h := &heif{data: data, kinds: map[uint32]string{}, extents: map[uint32][]heifExtent{}, owned: map[uint32][]int{}}
	for b := range h.single(fields{data: data}, "meta") {
		b.content.skip(4) // version and flags
		h.readMeta(b.content)
	}
	if h.kinds[h.primary] == "" {
		return nil, damaged("heif: no primary item")
	}
	if h.doubtful {
		return nil, damaged("heif: something is said twice")
	}
	total, most := uint64(0), 2*uint64(len(data))
	for _, extents := range h.extents {
		for _, e := range extents {
			if total += min(e.length, most); total > most {
				return nil, damaged("heif: the items are longer than the file")
			}
		}
	}
	return h, nil
}

// single yields the boxes of some kinds. Each of them may be there only once.
func (h *heif) single(f fields, kinds ...string) iter.Seq[heifBox] {
	return func(yield func(heifBox) bool) {
		seen := map[string]bool{}
		for b := range f.boxes {
			if !slices.Contains(kinds, b.kind) {
				continue
			}
			h.doubtful = h.doubtful || seen[b.kind]
			seen[b.kind] = true
			if !yield(b) {
				return
			}
		}
	}
}

func (h *heif) readMeta(meta fields) {
	for b := range h.single(meta, "pitm", "iinf", "iloc", "iref", "iprp", "idat") {
		switch b.kind {
		case "pitm":
			version := b.content.version()
			h.primary = b.content.id(version > 0)
		case "iinf":
			h.readInfos(b.content)
		case "iloc":
			h.readLocations(b.content)
		case "iref":
			h.readReferences(b.content)
		case "iprp":
			h.readProperties(b.content)
		case "idat":
			h.inside = b.content.data
		}
	}
}

func (h *heif) readInfos(f fields) {
	if f.version() == 0 {
		f.skip(2) // their count
	} else {
		f.skip(4)
	}
	for b := range f.boxes {
		version := b.content.version()
		if b.kind != "infe" || version < 2 {
			continue
		}
		id := b.content.id(version > 2)
		b.content.skip(2) // protection
		h.doubtful = h.doubtful || h.kinds[id] != ""
		h.kinds[id] = string(b.content.next(4))
	}
}

func (h *heif) readLocations(f fields) {
	version := f.version()
	sizes := f.uint(2)
	offsetSize, lengthSize, baseSize, indexSize := sizes>>12&15, sizes>>8&15, sizes>>4&15, sizes&15
	for count := f.count(version > 1); count > 0 && !f.failed; count-- {
		id := f.id(version > 1)
		method := uint64(0)
		if version > 0 {
			method = f.uint(2) & 15
		}
		f.skip(2) // data is in this file
		base := f.uint(int(baseSize))
		for extents := f.uint(2); extents > 0 && !f.failed; extents-- {
			if version > 0 {
				f.uint(int(indexSize))
			}
			offset, length := base+f.uint(int(offsetSize)), f.uint(int(lengthSize))
			if length == 0 {
				length = uint64(len(h.data)) // up to the end
			}
			h.extents[id] = append(h.extents[id], heifExtent{method == 1, offset, length})
		}
		if method > 1 {
			delete(h.extents, id) // made of other items, which nobody does
		}
	}
}

func (h *heif) readReferences(f fields) {
	long := f.version() > 0
	for b := range f.boxes {
		reference := heifReference{kind: b.kind, from: b.content.id(long)}
		for count := b.content.uint(2); count > 0 && !b.content.failed; count-- {
			reference.to = append(reference.to, b.content.id(long))
		}
		h.references = append(h.references, reference)
	}
}

func (h *heif) readProperties(f fields) {
	for b := range h.single(f, "ipco") {
		for property := range b.content.boxes {
			h.properties = append(h.properties, property)
		}
	}
	for b := range f.boxes {
		if b.kind == "ipma" {
			h.readAssociations(b.content)
		}
	}
}

func (h *heif) readAssociations(f fields) {
	head := f.uint(4)
	version, wide := head>>24, head&1 == 1
	for count := f.uint(4); count > 0 && !f.failed; count-- {
		id := f.id(version > 0)
		for own := f.uint(1); own > 0 && !f.failed; own-- {
			index := f.uint(1) & 0x7f // the highest bit says that it is essential
			if wide {
				index = index<<8 | f.uint(1)
			}
			h.owned[id] = append(h.owned[id], int(index))
		}
	}
}

// property returns the contents of an item's properties of a kind.
func (h *heif) property(id uint32, kind string) (contents []fields) {
	for _, index := range h.owned[id] {
		if index >= 1 && index <= len(h.properties) && h.properties[index-1].kind == kind {
			contents = append(contents, h.properties[index-1].content)
		}
	}
	return contents
}

// referred returns the items that an item refers to.
func (h *heif) referred(from uint32, kind string) (to []uint32) {
	for _, r := range h.references {
		if r.kind == kind && r.from == from {
			to = append(to, r.to...)
		}
	}
	return to
}

// item returns the data of an item, or what is there of it.
func (h *heif) item(id uint32) []byte {
	var parts [][]byte
	for _, e := range h.extents[id] {
		from := h.data
		if e.inside {
			from = h.inside
		}
		start := min(e.offset, uint64(len(from)))
		length := min(e.length, uint64(len(from))-start)
		parts = append(parts, from[start:start+length])
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return bytes.Join(parts, nil)
}

// size returns the size that an item says it has, in pixels, before it is turned.
func (h *heif) size(id uint32) image.Point {
	said := h.property(id, "ispe")
	if len(said) != 1 {
		return image.Point{}
	}
	f := said[0]
	f.skip(4) // version and flags
	return image.Pt(int(f.uint(4)), int(f.uint(4)))
}

// check adds up what decoding costs: the primary picture and what hangs on it, such as its transparency.
func (h *heif) check(b *budget) error {
	if err := h.checkItem(h.primary, b); err != nil {
		return err
	}
	for _, r := range h.references {
		if r.kind != "auxl" || !slices.Contains(r.to, h.primary) {
			continue
		}
		if err := h.checkItem(r.from, b); err != nil {
			return err
		}
	}
	return nil
}

// checkItem checks a coded picture, or one put together from a grid of them. Phones write no others.
func (h *heif) checkItem(id uint32, b *budget) error {
	if h.kinds[id] != "grid" {
		return h.checkCoded(id, b)
	}
	size, tiles, err := h.grid(id)
	if err != nil {
		return err
	}
	if size != h.size(id) {
		return damaged("heif: a grid of two sizes")
	}
	if err := b.canvas(int64(size.X), int64(size.Y)); err != nil {
		return err
	}
	for _, tile := range tiles {
		if err := h.checkCoded(tile, b); err != nil {
			return err
		}
	}
	return nil
}

// grid returns the size of a grid and its tiles.
func (h *heif) grid(id uint32) (size image.Point, tiles []uint32, err error) {
	f := fields{data: h.item(id)}
	f.skip(1) // version
	side := 2
	if f.uint(1)&1 == 1 {
		side = 4
	}
	count := (int(f.uint(1)) + 1) * (int(f.uint(1)) + 1)
	size = image.Pt(int(f.uint(side)), int(f.uint(side)))
	tiles = h.referred(id, "dimg")
	if f.failed || len(tiles) != count {
		return size, nil, damaged("heif: bad grid")
	}
	return size, tiles, nil
}

// checkCoded checks a coded picture. The stream of HEVC is looked into: what it says of its size counts, not what
// its item says. That of AV1 is not.
func (h *heif) checkCoded(id uint32, b *budget) error {
	size := h.size(id)
	if size.X <= 0 || size.Y <= 0 {
		return damaged("heif: an item without a size")
	}
	switch h.kinds[id] {
	case "hvc1":
		coded, shown, err := h.hevcSize(id)
		if err != nil {
			return err
		}
		if shown.X < size.X || shown.Y < size.Y {
			return damaged("heif: a picture smaller than its item")
		}
		size = coded
	case "av01":
	default:
		return unsupported("heif: an item of the kind " + h.kinds[id])
	}
	return b.take(int64(size.X), int64(size.Y))
}

// isAV1 reports whether the primary picture is an AVIF.
func (h *heif) isAV1() bool {
	id := h.primary
	if tiles := h.referred(id, "dimg"); h.kinds[id] == "grid" && len(tiles) > 0 {
		id = tiles[0]
	}
	return h.kinds[id] == "av01"
}

// heifColor is the meaning of the samples, ISO/IEC 23091-2.
type heifColor struct {
	profile []byte // ICC
	matrix  uint64 // how Y, Cb and Cr are made from RGB; 0 where nothing is said
	limited bool   // 16 is black and 235 white
}

// color reads the colour properties of the primary picture, or of the first tile it is made of.
func (h *heif) color() (c heifColor) {
	contents := h.property(h.primary, "colr")
	if tiles := h.referred(h.primary, "dimg"); len(contents) == 0 && len(tiles) > 0 {
		contents = h.property(tiles[0], "colr")
	}
	for _, f := range contents {
		switch string(f.next(4)) {
		case "prof", "rICC":
			if len(f.data) <= maxProfile {
				c.profile = f.data
			}
		case "nclx":
			f.skip(4) // primaries and transfer
			c.matrix = f.uint(2)
			c.limited = f.uint(1)>>7 == 0
		}
	}
	return c
}

// exif returns the Exif block that describes the picture, or nil.
func (h *heif) exif() []byte {
	for _, r := range h.references {
		if r.kind != "cdsc" || h.kinds[r.from] != "Exif" || !slices.Contains(r.to, h.primary) {
			continue
		}
		f := fields{data: h.item(r.from)}
		f.skip(int(f.uint(4))) // up to the TIFF header
		return f.data
	}
	return nil
}

// fields reads numbers and boxes, the most significant byte first. Where they are missing, they are zero from then
// on.
type fields struct {
	data   []byte
	failed bool
}

// next returns the next n bytes.
func (f *fields) next(n int) []byte {
	if n < 0 || n > len(f.data) {
		f.data, f.failed = nil, true
		return nil
	}
	p := f.data[:n]
	f.data = f.data[n:]
	return p
}

func (f *fields) skip(n int) { f.next(n) }

// uint reads a number of up to eight bytes.
func (f *fields) uint(size int) uint64 {
	if size > 8 {
		f.failed = true
		return 0
	}
	var p [8]byte
	copy(p[8-size:], f.next(size))
	return binary.BigEndian.Uint64(p[:])
}

// version reads the version of a box, and skips its flags.
func (f *fields) version() uint64 { return f.uint(4) >> 24 }

// id reads the number of an item.
func (f *fields) id(long bool) uint32 { return uint32(f.count(long)) }

func (f *fields) count(long bool) uint64 {
	if long {
		return f.uint(4)
	}
	return f.uint(2)
}

// boxes yields the boxes that follow.
func (f *fields) boxes(yield func(heifBox) bool) {
	for rest := *f; len(rest.data) > 0; {
		all, header := uint64(len(rest.data)), uint64(8)
		size := rest.uint(4)
		kind := string(rest.next(4))
		switch size {
		case 0:
			size = all // up to the end
		case 1:
			size, header = rest.uint(8), 16
		}
		if rest.failed || size < header || size > all {
			return
		}
		if !yield(heifBox{kind, fields{data: rest.next(int(size - header))}}) {
			return
		}
	}
}
