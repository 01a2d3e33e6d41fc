package codec_test

import (
	"bufio"
	"bytes"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"slices"
	"testing"

	_ "golang.org/x/image/webp"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/corpus"
)

var corpusLimits = codec.Limits{Pixels: corpus.MaxPixels, Side: corpus.MaxSide, Frames: corpus.MaxFrames}

// TestCorpusIsLargeAndVaried keeps the corpus from shrinking unseen.
func TestCorpusIsLargeAndVaried(t *testing.T) {
	pictures := corpus.Pictures()
	if len(pictures) < 150 {
		t.Errorf("%d pictures, want 150 at least", len(pictures))
	}
	names, formats, outcomes := map[string]bool{}, map[corpus.Format]bool{}, map[corpus.Outcome]bool{}
	for _, p := range pictures {
		if names[p.Name] {
			t.Errorf("two pictures are called %s", p.Name)
		}
		names[p.Name], formats[p.Format], outcomes[p.Outcome] = true, true, true
	}
	if len(formats) != 7 || len(outcomes) != 3 {
		t.Errorf("only the formats %v and the outcomes %v occur", formats, outcomes)
	}
}

// TestCorpus treats each picture as an upload: what it is, its structure and what stays of it, and then its pixels.
func TestCorpus(t *testing.T) {
	for _, p := range corpus.Pictures() {
		t.Run(p.Name, func(t *testing.T) {
			format, known := codec.Recognise(p.Data[:min(len(p.Data), codec.HeadSize)])
			if known != (p.Format != corpus.Other) || known && string(format) != string(p.Format) {
				t.Fatalf("recognised as %q, want %q: %s", format, p.Format, p.Why)
			}
			switch {
			case !known:
			case format.IsConverted():
				checkConversion(t, p, format)
			default:
				checkOutcome(t, p, format)
			}
		})
	}
}

func checkOutcome(t *testing.T, p corpus.Picture, format codec.Format) {
	t.Helper()
	stored, info, err := clean(p.Data, format)
	if p.Outcome == corpus.Refused {
		if !apperr.Is(err, p.Code) {
			t.Errorf("cleaned with error %v, want code %d: %s", err, p.Code, p.Why)
		}
		return
	}
	if err != nil {
		t.Fatalf("refused by its structure with %v, want it %s: %s", err, p.Outcome, p.Why)
	}
	if info.Width != p.Width || info.Height != p.Height {
		t.Errorf("%d × %d pixels, want %d × %d: %s", info.Width, info.Height, p.Width, p.Height, p.Why)
	}
	_, err = codec.Check(bytes.NewReader(stored), format, info.Orientation, corpusLimits)
	if p.Outcome == corpus.Withdrawn {
		if !apperr.Is(err, apperr.ImageDamaged) {
			t.Errorf("decoded with error %v, want it withdrawn: %s", err, p.Why)
		}
		return
	}
	if err != nil {
		t.Errorf("does not decode: %v, want it stored: %s", err, p.Why)
	}
	checkStored(t, p, stored, format)
}

// checkConversion converts a picture, as nothing of it is stored as it comes.
func checkConversion(t *testing.T, p corpus.Picture, format codec.Format) {
	t.Helper()
	if !codec.CanConvert(format) {
		if p.Code != apperr.NotAnImage {
			t.Errorf("nothing here converts it, want it %s: %s", p.Outcome, p.Why)
		}
		return
	}
	var b bytes.Buffer
	info, err := codec.Convert(t.Context(), &b, p.Data, format, corpusLimits)
	if p.Outcome == corpus.Refused {
		if !apperr.Is(err, p.Code) {
			t.Errorf("converted with error %v, want code %d: %s", err, p.Code, p.Why)
		}
		return
	}
	if err != nil {
		t.Fatalf("not converted: %v, want it %s: %s", err, p.Outcome, p.Why)
	}
	if info.Width != p.Width || info.Height != p.Height {
		t.Errorf("%d × %d pixels, want %d × %d: %s", info.Width, info.Height, p.Width, p.Height, p.Why)
	}
	if _, err := codec.Check(bytes.NewReader(b.Bytes()), codec.JPEG, info.Orientation, corpusLimits); err != nil {
		t.Errorf("the JPEG does not decode: %v", err)
	}
	for _, secret := range p.Secrets {
		if bytes.Contains(b.Bytes(), []byte(secret)) {
			t.Errorf("%q is still there: %s", secret, p.Why)
		}
	}
}

// TestLinesAsWebP makes variants of very few pixels: the encoder panics over some of them.
func TestLinesAsWebP(t *testing.T) {
	v := codec.Variant{Width: 96, Height: 320, Fit: codec.Cover, Format: codec.WebP, Quality: 80}
	for _, p := range corpus.Pictures() {
		if p.Outcome != corpus.Stored || p.Width > 3 && p.Height > 3 {
			continue
		}
		if err := codec.Render(io.Discard, bytes.NewReader(p.Data), codec.Format(p.Format), 1, v); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// checkStored checks what a client is served: the pixels of the original, and nothing that it should not see.
func checkStored(t *testing.T, p corpus.Picture, stored []byte, format codec.Format) {
	t.Helper()
	for _, secret := range p.Secrets {
		if bytes.Contains(stored, []byte(secret)) {
			t.Errorf("%q is still there: %s", secret, p.Why)
		}
	}
	for _, kept := range p.Kept {
		if !bytes.Contains(stored, []byte(kept)) {
			t.Errorf("%q is gone: %s", kept, p.Why)
		}
	}
	again, _, err := clean(stored, format)
	if err != nil || !bytes.Equal(again, stored) {
		t.Errorf("cleaned twice it has %d bytes, not %d, error %v", len(again), len(stored), err)
	}
	const comparable = 1 << 20 // pixels; more only takes time
	if p.Width*p.Height > comparable {
		return
	}
	want, _, err := image.Decode(bytes.NewReader(p.Data))
	if err != nil {
		return // Go's decoders don't know everything that is stored
	}
	got, _, err := image.Decode(bytes.NewReader(stored))
	if err != nil {
		t.Fatalf("Go's decoder takes the original, not what is stored: %v", err)
	}
	if !samePixels(got, want) {
		t.Errorf("the stored picture has other pixels: %s", p.Why)
	}
}

// clean returns what is stored of a picture.
func clean(data []byte, format codec.Format) ([]byte, codec.Info, error) {
	var b bytes.Buffer
	info, patches, err := codec.Clean(&b, bufio.NewReaderSize(bytes.NewReader(data), codec.BufferSize), format, corpusLimits)
	stored := b.Bytes()
	for _, patch := range patches {
		copy(stored[patch.Offset:], patch.Bytes)
	}
	return stored, info, err
}

func samePixels(a, b image.Image) bool {
	if a.Bounds() != b.Bounds() {
		return false
	}
	return slices.Equal(pixels(a), pixels(b))
}

func pixels(m image.Image) []uint32 {
	bounds := m.Bounds()
	all := make([]uint32, 0, 4*bounds.Dx()*bounds.Dy())
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b, a := m.At(x, y).RGBA()
			all = append(all, r, g, b, a)
		}
	}
	return all
}
