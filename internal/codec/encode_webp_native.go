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

func encodeWebP(picture image.Image, _ int) ([]byte, error) {
	var b bytes.Buffer
	err := nativewebp.Encode(&b, picture, nil)
	return b.Bytes(), err
}
