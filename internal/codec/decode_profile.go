package codec

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
)

// maxProfile is the largest colour profile that a variant keeps, in bytes. Those of phones and cameras have a few
// hundred to a few thousand.
const maxProfile = 1 << 20

// errNoProfile says that a picture has no colour profile, or one that can't be read. The picture is shown without.
var errNoProfile = errors.New("no colour profile")

// profile returns the colour profile of a picture (ICC), or nil.
func (s *source) profile(f Format) (profile []byte, err error) {
	err = s.read(f, func(r *bufio.Reader) (err error) {
		switch f {
		case JPEG:
			profile, err = jpegProfile(r)
		case PNG:
			profile, err = pngProfile(r)
		case WebP:
			profile, err = webpColorProfile(r)
		}
		return err
	})
	if s.err == nil && err != nil {
		return nil, nil
	}
	return profile, err
}

// jpegProfileMagic begins a segment with a part of a profile. Its number and their count follow, a byte each.
const jpegProfileMagic = "ICC_PROFILE\x00"

// jpegProfile puts the parts of a profile together, which may come in any order.
func jpegProfile(r *bufio.Reader) ([]byte, error) {
	if _, err := r.Discard(2); err != nil {
		return nil, err
	}
	var parts [256][]byte
	count := 0
	for {
		marker, content, err := jpegSegmentAt(r)
		if err != nil {
			return nil, err
		}
		if marker == markerSOS {
			return joinParts(parts[1 : 1+count])
		}
		part, ok := bytes.CutPrefix(content, []byte(jpegProfileMagic))
		if marker != markerAPP2 || !ok || len(part) < 2 {
			continue
		}
		parts[part[0]], count = bytes.Clone(part[2:]), min(int(part[1]), len(parts)-1)
	}
}

func joinParts(parts [][]byte) ([]byte, error) {
	for _, part := range parts {
		if part == nil {
			return nil, errNoProfile
		}
	}
	profile := bytes.Join(parts, nil)
	if len(profile) == 0 || len(profile) > maxProfile {
		return nil, errNoProfile
	}
	return profile, nil
}

// jpegSegmentAt reads a segment. Its content is valid until the next one.
func jpegSegmentAt(r *bufio.Reader) (marker byte, content []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0] != 0xff {
		return 0, nil, errNoProfile
	}
	length := int(binary.BigEndian.Uint16(head[2:])) - 2
	if length < 0 {
		return 0, nil, errNoProfile
	}
	content = make([]byte, length)
	_, err = io.ReadFull(r, content)
	return head[1], content, err
}

// pngProfile inflates a profile, which follows its name.
func pngProfile(r *bufio.Reader) ([]byte, error) {
	chunks, err := newPNGChunks(r)
	if err != nil {
		return nil, err
	}
	for chunks.name != "iCCP" {
		if err := chunks.next(); err != nil {
			return nil, err
		}
		if chunks.name == "IDAT" {
			return nil, errNoProfile
		}
	}
	content := bufio.NewReader(chunks)
	if _, err := content.ReadSlice(0); err != nil { // its name
		return nil, err
	}
	if method, err := content.ReadByte(); err != nil || method != 0 {
		return nil, errNoProfile
	}
	inflated, err := zlib.NewReader(content)
	if err != nil {
		return nil, err
	}
	profile, err := io.ReadAll(io.LimitReader(inflated, maxProfile+1))
	if len(profile) > maxProfile {
		return nil, errNoProfile
	}
	return profile, err
}

func webpColorProfile(r *bufio.Reader) ([]byte, error) {
	for chunk, err := range webpChunks(r) {
		switch {
		case err != nil:
			return nil, err
		case chunk.name == "ICCP" && len(chunk.data) <= maxProfile:
			return chunk.data, nil
		case chunk.name != "VP8X":
			return nil, errNoProfile // a profile comes before everything else
		}
	}
	return nil, errNoProfile
}

// colorSpace returns what a profile is for, such as "RGB " or "GRAY".
func colorSpace(profile []byte) string {
	const at, headerSize = 16, 128
	if len(profile) < headerSize {
		return ""
	}
	return string(profile[at : at+4])
}
