//go:build !libwebp

package codec

import (
	"bytes"
	"image"

	"github.com/HugoSmits86/nativewebp"
)

// WritesLossyWebP reports whether WebP pictures are small. This build writes them without loss, in pure Go, so
// photographs are better sent as JPEG; one with the tag libwebp writes them as browsers expect.
func WritesLossyWebP() bool { return false }

// encodeWebP falls back on a plain file where the library panics: over three black pixels or fewer, and over millions
// of random ones. None of them would become much smaller.
func encodeWebP(picture image.Image, _ int) (file []byte, err error) {
	defer func() {
		if recover() != nil {
			file, err = plainWebP(picture), nil
		}
	}()
	var b bytes.Buffer
	err = nativewebp.Encode(&b, picture, nil)
	return b.Bytes(), err
}
