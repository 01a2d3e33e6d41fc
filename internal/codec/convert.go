package codec

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"image"
	"io"
	"runtime"
	"sync"

	"github.com/gen2brain/heic"

	"gatehouse/internal/apperr"
)

// convertedQuality is the JPEG quality of converted pictures: nobody sees the difference.
const convertedQuality = 90

// leastWidth is that of the narrowest picture that the decoder gets right: of smaller ones it mixes up the rows.
const leastWidth = 97

// CanConvert reports whether this program can convert pictures of a format. It decodes HEIC by itself; for AVIF it
// needs the libheif of the system, which programs built with the tag nodynamic never load.
func CanConvert(f Format) bool {
	switch f {
	case HEIC:
		return true
	case AVIF:
		return decodesAVIF()
	}
	return false
}

// Convert turns a HEIC or an AVIF into a JPEG: upright, without metadata, with its colour profile. What it says of
// when and with what it was taken is in the Info. A refusal is an ImageDamaged, a NotAnImage or a TooManyPixels.
//
// The limits are checked before anything is decoded. The decoder can't be stopped: when ctx ends, Convert returns
// its error, and the decoder ends by itself, later, having kept its place among those that may run.
func Convert(ctx context.Context, w io.Writer, data []byte, f Format, l Limits) (Info, error) {
	file, err := checkHEIF(data, f, heifBudget(l))
	if err != nil {
		return Info{}, err
	}
	picture, err := decodeHEIF(ctx, data)
	if err != nil {
		return Info{}, err
	}
	color := file.color()
	size := picture.Bounds().Size()
	if size.X < leastWidth {
		return Info{}, unsupported("heif: too narrow for the decoder")
	}
	v := Variant{Format: JPEG, Quality: convertedQuality}
	upright := layOut(size, v).draw(color.asJPEG(picture), JPEG, 1)
	if err := encode(w, upright, v, color.profile); err != nil {
		return Info{}, err
	}
	info := Info{Width: size.X, Height: size.Y, Orientation: 1, Frames: 1}
	if e, ok := readExif(file.exif()); ok {
		info.TakenAt, info.Camera = e.takenAt, e.camera
	}
	return info, nil
}

// ConvertMemory checks a HEIC or an AVIF as Convert does, and estimates how many bytes its conversion takes. The
// refusals are those of Convert.
func ConvertMemory(data []byte, f Format, l Limits) (int64, error) {
	b := heifBudget(l)
	_, err := checkHEIF(data, f, b)
	return converterMemory + b.pixels*convertedPixel, err
}

// The decoder is a program of its own in a sandbox. Once it has grown, its memory is copied.
const (
	converterMemory = 64 << 20
	convertedPixel  = 28
)

// heifBudget leaves room for the edges of a grid and for transparency.
func heifBudget(l Limits) *budget {
	const mostTiles = 1 << 16
	return &budget{limits: Limits{Pixels: l.Pixels, Side: l.Side, Frames: mostTiles}, most: 2 * l.Pixels}
}

// checkHEIF refuses what is not of the format or would cost more than may be.
func checkHEIF(data []byte, f Format, b *budget) (*heif, error) {
	file, err := readHEIF(data)
	if err != nil {
		return nil, err
	}
	if file.isAV1() != (f == AVIF) {
		return nil, damaged("not a " + string(f))
	}
	return file, file.check(b)
}

// heifDecoders has a place for each decoder that runs. One core stays free of them.
var heifDecoders = make(chan struct{}, max(1, runtime.NumCPU()-1))

// decodeHEIF returns the primary picture as it is seen: the decoder has turned it as its properties say. The
// orientation of Exif is not for readers of HEIC.
func decodeHEIF(ctx context.Context, data []byte) (image.Image, error) {
	select {
	case heifDecoders <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to decode heif: %w", ctx.Err())
	}
	type result struct {
		picture image.Image
		err     error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-heifDecoders }()
		picture, err := decodeUntrusted(data)
		done <- result{picture, err}
	}()
	select {
	case r := <-done:
		return r.picture, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("decode heif: %w", ctx.Err())
	}
}

// decodeUntrusted makes a panic ImageDamaged: it must not end the server.
func decodeUntrusted(data []byte) (picture image.Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(fmt.Sprintf("decode heif: panic: %v", p))
		}
	}()
	picture, err = heic.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, apperr.Wrap(apperr.ImageDamaged, fmt.Errorf("decode heif: %w", err))
	}
	return picture, nil
}

// probe is a white square as AVIF, made by heif-enc -A.
//
//go:embed probe.avif
var probe []byte

// decodesAVIF finds out by trying: whether the libheif of a system has a decoder for AV1 depends on how it was built.
var decodesAVIF = sync.OnceValue(func() bool {
	if heic.Dynamic() != nil {
		return false
	}
	_, err := decodeUntrusted(probe)
	return err == nil
})
