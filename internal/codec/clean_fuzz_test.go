package codec

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"testing"
	"testing/iotest"

	"gatehouse/internal/apperr"
)

func FuzzCleanJPEG(f *testing.F) { fuzzClean(f, JPEG) }
func FuzzCleanPNG(f *testing.F)  { fuzzClean(f, PNG) }
func FuzzCleanGIF(f *testing.F)  { fuzzClean(f, GIF) }
func FuzzCleanWebP(f *testing.F) { fuzzClean(f, WebP) }

// fuzzClean checks that what is accepted is complete, hardly grows, is read by the decoders as being of the same size,
// and has nothing left to clean; and that the result does not depend on how the bytes arrive.
func fuzzClean(f *testing.F, format Format) {
	for _, s := range append(samples(f), dirtySamples(f)...) {
		if s.format == format {
			f.Add(s.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if format == PNG {
			data = withChecksums(data)
		}
		out, info, rest, err := clean(bytes.NewReader(data), format, wide)
		slowOut, slowInfo, _, slowErr := clean(iotest.OneByteReader(bytes.NewReader(data)), format, wide)
		if !bytes.Equal(out, slowOut) || info != slowInfo || (err == nil) != (slowErr == nil) {
			t.Fatalf("at once %+v %v, byte by byte %+v %v", info, err, slowInfo, slowErr)
		}
		if err != nil {
			if !apperr.Is(err, apperr.NotAnImage, apperr.ImageDamaged, apperr.TooManyPixels) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		length := len(data) - len(rest)
		if len(out) > length+64 {
			t.Fatalf("%d bytes became %d", length, len(out))
		}
		if _, _, _, err := clean(bytes.NewReader(data[:length-1]), format, wide); err == nil {
			t.Fatal("accepted without its last byte")
		}
		wantCleaned(t, out, info, format)
	})
}

// withChecksums makes the checksums of a PNG right: fuzzing would hardly ever find them.
func withChecksums(data []byte) []byte {
	data = bytes.Clone(data)
	for rest := data[min(8, len(data)):]; len(rest) >= 12; {
		end := 8 + uint64(binary.BigEndian.Uint32(rest))
		if end+4 > uint64(len(rest)) {
			break
		}
		binary.BigEndian.PutUint32(rest[end:], crc32.ChecksumIEEE(rest[4:end]))
		rest = rest[end+4:]
	}
	return data
}

// wantCleaned checks a picture that was cleaned.
func wantCleaned(t *testing.T, out []byte, info Info, format Format) {
	t.Helper()
	again, info2, rest, err := clean(bytes.NewReader(out), format, wide)
	info2.TakenAt, info2.Camera = info.TakenAt, info.Camera // they are gone by now
	if err != nil || !bytes.Equal(again, out) || len(rest) > 0 || info2 != info {
		t.Fatalf("%+v, cleaned again %+v, %v\n%q\n%q", info, info2, err, out, again)
	}
	if isTurned(info.Orientation) {
		info.Width, info.Height = info.Height, info.Width
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(out))
	isAnimatedWebP := format == WebP && out[12+3] == 'X' && out[20]&webpAnimation != 0
	if isAnimatedWebP { // which the decoder doesn't know
		return
	}
	if err != nil || config.Width != info.Width || config.Height != info.Height {
		t.Fatalf("%+v, decoded as %d × %d, %v", info, config.Width, config.Height, err)
	}
}
