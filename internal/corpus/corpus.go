// Package corpus makes pictures that are odd or hostile, and says what becomes of each.
// It serves the tests of whoever takes pictures from strangers; its command writes all of them to a folder.
// The formats are written by hand here, apart from the parsers that they are to try.
package corpus

import (
	"embed"
	"slices"

	"gatehouse/internal/apperr"
)

// Outcome is what becomes of a picture that is uploaded.
type Outcome string

// Stored is taken, perhaps cleaned. Refused is answered with a code. Withdrawn is taken for its structure, and taken
// back when it is decoded.
const (
	Stored    Outcome = "stored"
	Refused   Outcome = "refused"
	Withdrawn Outcome = "withdrawn"
)

// Format is the format that the first bytes of a picture announce.
type Format string

// Other is everything that no browser takes for a picture of the formats before it.
const (
	JPEG  Format = "jpeg"
	PNG   Format = "png"
	GIF   Format = "gif"
	WebP  Format = "webp"
	HEIC  Format = "heic"
	AVIF  Format = "avif"
	Other Format = "other"
)

// The budgets that the outcomes assume.
const (
	MaxPixels = 50 << 20 // of a frame; all frames together may have ten times as many, those of a WebP no more
	MaxSide   = 1<<16 - 1
	MaxFrames = 1000
)

// Picture is a picture, or what pretends to be one, and its expected outcome.
type Picture struct {
	Name          string // unique, in letters, digits and hyphens
	Why           string // what is odd about it
	Format        Format
	Extension     string // that its uploader gives it
	Data          []byte
	Outcome       Outcome
	Code          apperr.Code // of the refusal
	Width, Height int         // in pixels, as it is seen upright, where it is stored
	Secrets       []string    // bytes that must not survive in what is stored
	Kept          []string    // bytes that must survive, such as a colour profile
}

// The size of every picture that does not say another one.
const width, height = 24, 16

//go:embed fixtures
var fixtures embed.FS

// Pictures returns all pictures, with the same bytes each time.
func Pictures() []Picture {
	return slices.Concat(
		jpegPictures(),
		jpegHeaderPictures(),
		jpegMetadataPictures(),
		jpegPolyglots(),
		pngPictures(),
		pngChunkPictures(),
		pngAnimations(),
		pngMetadataPictures(),
		gifPictures(),
		gifAnimations(),
		webpPictures(),
		webpAnimations(),
		webpMetadataPictures(),
		heifPictures(),
		otherFiles(),
	)
}

// set collects the pictures of a format.
type set struct {
	format   Format
	pictures []Picture
}

// stored adds a picture of the usual size that is taken. The returned picture may be changed until the next is added.
func (s *set) stored(name, why string, parts ...[]byte) *Picture {
	p := s.add(name, why, Stored, parts)
	p.Width, p.Height = width, height
	return p
}

// refused adds a picture that is refused with a code.
func (s *set) refused(code apperr.Code, name, why string, parts ...[]byte) *Picture {
	p := s.add(name, why, Refused, parts)
	p.Code = code
	return p
}

// damaged adds a picture whose structure is refused.
func (s *set) damaged(name, why string, parts ...[]byte) *Picture {
	return s.refused(apperr.ImageDamaged, name, why, parts...)
}

// withdrawn adds a picture of the usual size that does not decode, which its structure does not tell.
func (s *set) withdrawn(name, why string, parts ...[]byte) *Picture {
	p := s.add(name, why, Withdrawn, parts)
	p.Width, p.Height = width, height
	return p
}

func (s *set) add(name, why string, outcome Outcome, parts [][]byte) *Picture {
	extension := string(s.format)
	switch s.format {
	case JPEG:
		extension = "jpg"
	case Other:
		extension = "bin"
	}
	s.pictures = append(s.pictures, Picture{
		Name:      string(s.format) + "-" + name,
		Why:       why,
		Format:    s.format,
		Extension: extension,
		Data:      join(parts...),
		Outcome:   outcome,
	})
	return &s.pictures[len(s.pictures)-1]
}

// cuts adds the picture that the parts make, cut at each boundary and in the middle of each part. The names of the
// parts go with them. What is shorter than the magic number of the format is none of its pictures.
func (s *set) cuts(magic int, parts []part) {
	var whole []byte
	for _, p := range parts {
		s.cut(magic, "before", p.name, whole)
		if half := len(p.data) / 2; half > 0 {
			s.cut(magic, "within", p.name, join(whole, p.data[:half]))
		}
		whole = append(whole, p.data...)
	}
}

func (s *set) cut(magic int, where, name string, data []byte) {
	if len(data) == 0 {
		return
	}
	code := apperr.ImageDamaged
	if len(data) < magic {
		code = apperr.NotAnImage
	}
	p := s.refused(code, "cut-"+where+"-"+name, "it ends "+where+" its part "+name, data)
	if code == apperr.NotAnImage {
		p.Format = Other
	}
}

// part is a piece of a picture: a segment, a chunk or a block.
type part struct {
	name string
	data []byte
}

// hides says which bytes must not survive.
func (p *Picture) hides(secrets ...string) *Picture {
	p.Secrets = append(p.Secrets, secrets...)
	return p
}

// keeps says which bytes must survive.
func (p *Picture) keeps(kept ...string) *Picture {
	p.Kept = append(p.Kept, kept...)
	return p
}

// sized says of which size a picture is.
func (p *Picture) sized(width, height int) *Picture {
	p.Width, p.Height = width, height
	return p
}

// turned says that a picture of the usual size is seen in an orientation.
func (p *Picture) turned(orientation int) *Picture {
	if orientation >= 5 {
		return p.sized(height, width)
	}
	return p
}
