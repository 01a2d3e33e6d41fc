package image

import (
	"bufio"
	"errors"
	"io"

	"gatehouse/internal/apperr"
)

// maxSide is the most pixels on a side: the limit of JPEG. Long screenshots stay well below it.
const maxSide = 1<<16 - 1

// maxPixels is enough for cameras that are sold as 50 megapixels (8192 × 6144).
const maxPixels = 50 << 20

// fileType is an accepted kind of picture.
type fileType struct {
	extension   string
	contentType string
	magic       string // its first bytes; ? matches any byte
	// inspect checks the structure up to the end of the picture. Its error is ImageDamaged, NotAnImage
	// for a variant that browsers don't show, TooManyPixels, or the reader's.
	inspect func(s *scanner) (dimensions, error)
}

var fileTypes = []fileType{
	{"jpg", "image/jpeg", "\xff\xd8\xff", inspectJPEG},
	{"png", "image/png", "\x89PNG\r\n\x1a\n", inspectPNG},
	{"gif", "image/gif", "GIF87a", inspectGIF},
	{"gif", "image/gif", "GIF89a", inspectGIF},
	{"webp", "image/webp", "RIFF????WEBP", inspectWebP},
}

func typeOfHead(head []byte) (fileType, bool) {
	for _, t := range fileTypes {
		if t.matches(head) {
			return t, true
		}
	}
	return fileType{}, false
}

func (t fileType) matches(head []byte) bool {
	if len(head) < len(t.magic) {
		return false
	}
	for i, c := range []byte(t.magic) {
		if c != '?' && c != head[i] {
			return false
		}
	}
	return true
}

// dimensions are in pixels.
type dimensions struct{ width, height int }

// check refuses a picture that would cost too much to decode.
func (d dimensions) check() error {
	if d.width <= 0 || d.height <= 0 {
		return damaged("a side has no pixels")
	}
	if d.width > maxSide || d.height > maxSide || int64(d.width)*int64(d.height) > maxPixels {
		return apperr.New(apperr.TooManyPixels)
	}
	return nil
}

func damaged(why string) error {
	return apperr.Wrap(apperr.ImageDamaged, errors.New(why))
}

func unsupported(why string) error {
	return apperr.Wrap(apperr.NotAnImage, errors.New(why))
}

// scanner reads the parts of a picture. A picture that ends too early is damaged.
type scanner struct{ *bufio.Reader }

// next returns the next n bytes, at most the buffer's size. They are valid until the next read.
func (s *scanner) next(n int) ([]byte, error) {
	p, err := s.Peek(n)
	if err != nil {
		return nil, cutOff(err)
	}
	_, err = s.Discard(n)
	return p, err
}

// piece returns the buffered part of the next n bytes, at least one. It is valid until the next read.
func (s *scanner) piece(n int64) ([]byte, error) {
	if _, err := s.Peek(1); err != nil {
		return nil, cutOff(err)
	}
	return s.next(int(min(n, int64(s.Buffered()))))
}

// readByte returns the next byte.
func (s *scanner) readByte() (byte, error) {
	c, err := s.ReadByte()
	return c, cutOff(err)
}

// skip skips n bytes.
func (s *scanner) skip(n int64) error {
	for n > 0 {
		skipped, err := s.Discard(int(min(n, 1<<30)))
		if err != nil {
			return cutOff(err)
		}
		n -= int64(skipped)
	}
	return nil
}

// cutOff turns the end of the stream into a refusal.
func cutOff(err error) error {
	if err == io.EOF {
		return damaged("cut off")
	}
	return err
}
