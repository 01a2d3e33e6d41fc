package image

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/storage"
)

// Resize is how somebody wants to see a picture. What is zero is left to the server.
type Resize struct {
	Width, Height int // of the box, in pixels
	Fit           codec.Fit
	Format        codec.Format // AutoFormat or empty: the best that the reader takes
	Quality       int          // 1 to 100
	Preset        string       // fills in what is zero
}

// AutoFormat asks for the best format, also where nothing else is asked for.
const AutoFormat codec.Format = "auto"

const defaultQuality = 80

// qualities are those that variants are made in: like the sides, they are few, so that nobody fills
// the disk.
var qualities = []int{50, 65, 80, 95}

var errNoPreset = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "preset", Reason: apperr.Text{Chinese: "没有该预设", English: "is not one of this server's presets"},
})

// writtenFormats are the formats that variants may have.
var writtenFormats = []codec.Format{codec.JPEG, codec.PNG, codec.WebP}

var errFormatNotWritten = apperr.New(apperr.InvalidInput, apperr.Detail{
	Field: "format", Reason: apperr.Text{Chinese: "不能输出该格式", English: "is not written by this server"},
})

// OpenResized opens a variant of a picture, which is made if nobody asked for it before. If nothing is
// asked for, it opens the picture itself. takesWebP is what the reader says.
//
// The refusals are InvalidInput for an unknown preset or a format that is not written, ServerBusy if
// too many are being made, and those of Open. A picture that turns out to be damaged is withdrawn.
func (s *Service) OpenResized(ctx context.Context, image Image, r Resize, takesWebP bool) (*File, error) {
	if r == (Resize{}) {
		return s.Open(ctx, image)
	}
	v, byAccept, err := s.variantOf(image, r, takesWebP)
	if err != nil {
		return nil, err
	}
	file, err := s.openVariant(ctx, image, v)
	if apperr.Is(err, apperr.ImageDamaged) {
		return nil, errors.Join(errNotFound, s.withdraw(ctx, image.blob(), err))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("make variant %s of image %s: %w", variantName(v), image.Name, err)
	}
	file.ContentType, file.ModTime, file.ByAccept = v.Format.ContentType(), image.CreatedAt, byAccept
	file.ETag = `"` + image.Name[:stemLength] + "-" + variantName(v) + `"`
	return file, nil
}

// variantOf chooses the variant that is made for what somebody wants, and says whether what the reader
// takes has decided.
func (s *Service) variantOf(image Image, r Resize, takesWebP bool) (v codec.Variant, byAccept bool, err error) {
	if r.Preset != "" {
		preset, ok := s.Presets[r.Preset]
		if !ok {
			return codec.Variant{}, false, errNoPreset
		}
		r = r.over(preset)
	}
	largest := s.Sizes[len(s.Sizes)-1]
	if r.Width == 0 && r.Height == 0 {
		r.Width, r.Height, r.Fit = largest, largest, codec.Inside
	}
	if byAccept = r.Format == "" || r.Format == AutoFormat; byAccept {
		r.Format = bestFormat(image, takesWebP)
	}
	if !slices.Contains(writtenFormats, r.Format) { // decoders would take it for damaged
		return codec.Variant{}, false, errFormatNotWritten
	}
	v = codec.Variant{
		Width: roundUp(r.Width, s.Sizes), Height: roundUp(r.Height, s.Sizes), Fit: cmp.Or(r.Fit, codec.Inside),
		Format: r.Format, Quality: roundUp(cmp.Or(r.Quality, defaultQuality), qualities),
	}
	if v.Width == 0 || v.Height == 0 {
		v.Fit = codec.Inside
	}
	if v.Format == codec.PNG || v.Format == codec.WebP && !codec.WritesLossyWebP() {
		v.Quality = 0
	}
	return v, byAccept, nil
}

// over fills in what is zero from a preset.
func (r Resize) over(preset Resize) Resize {
	if r.Width == 0 && r.Height == 0 {
		r.Width, r.Height = preset.Width, preset.Height
	}
	return Resize{
		Width: r.Width, Height: r.Height, Fit: cmp.Or(r.Fit, preset.Fit),
		Format: cmp.Or(r.Format, preset.Format), Quality: cmp.Or(r.Quality, preset.Quality),
	}
}

// bestFormat is WebP only where that is smaller: a build that writes none but lossless ones sends
// photographs as JPEG.
func bestFormat(image Image, takesWebP bool) codec.Format {
	switch {
	case takesWebP && (image.alpha || codec.WritesLossyWebP()):
		return codec.WebP
	case image.alpha:
		return codec.PNG
	}
	return codec.JPEG
}

// roundUp returns the smallest allowed value that is not below n, or the largest; 0 stays 0.
func roundUp(n int, allowed []int) int {
	if n == 0 {
		return 0
	}
	i, _ := slices.BinarySearch(allowed, n)
	return allowed[min(i, len(allowed)-1)]
}

// variantName is what a variant is stored under.
func variantName(v codec.Variant) string {
	return fmt.Sprintf("%dx%d-%s-q%d.%s", v.Width, v.Height, v.Fit, v.Quality, v.Format.Extension())
}

func (s *Service) openVariant(ctx context.Context, image Image, v codec.Variant) (*File, error) {
	file, err := s.openStored(ctx, image, v)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	data, err := s.render(ctx, image, v)
	if err != nil {
		return nil, err
	}
	return fileOf(data), nil
}

// openStored opens a variant that was made before. The error is fs.ErrNotExist if there is none.
func (s *Service) openStored(ctx context.Context, image Image, v codec.Variant) (*File, error) {
	name := variantName(v)
	file, err := s.openHot(hotName(image, name), func() (*storage.File, error) { return s.Store.OpenVariant(ctx, image.file, name) })
	return file, StorageError(err)
}

// hotName is what a variant is remembered by.
func hotName(image Image, variant string) string { return image.file + "/" + variant }

// rendering is a variant that was made.
type rendering struct {
	variant codec.Variant
	data    []byte
}

// render makes a variant. Of one picture, one is made at a time, however many readers ask: who asks for
// another one waits for that and tries again. Who has waited for others as long as for a turn gives up.
func (s *Service) render(ctx context.Context, image Image, v codec.Variant) ([]byte, error) {
	for start := time.Now(); ; {
		result := s.renders.DoChan(image.file, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renderTimeout)
			defer cancel()
			data, err := s.renderOnce(ctx, image, v)
			return rendering{v, data}, err
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case made := <-result:
			if of := made.Val.(rendering); of.variant == v || made.Err != nil {
				return of.data, made.Err
			}
		}
		if time.Since(start) > s.DecodeWait {
			return nil, errDecodersBusy
		}
	}
}

// renderTimeout ends the reading of a picture from a storage that hangs. It is longer than any wait for a turn.
const renderTimeout = 2 * time.Minute

// renderOnce looks again for the variant, which may have been made since its reader looked.
func (s *Service) renderOnce(ctx context.Context, image Image, v codec.Variant) ([]byte, error) {
	stored, err := s.openStored(ctx, image, v)
	if errors.Is(err, fs.ErrNotExist) {
		return s.renderNow(ctx, image, v)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(stored.Content)
	return data, StorageError(errors.Join(err, stored.Content.Close()))
}

func (s *Service) renderNow(ctx context.Context, image Image, v codec.Variant) ([]byte, error) {
	var made bytes.Buffer
	if err := s.renderBlob(ctx, &made, image.blob(), v, s.DecodeWait); err != nil {
		return nil, err
	}
	name := variantName(v)
	if err := s.Store.PutVariant(ctx, image.file, name, made.Bytes()); err != nil {
		s.Logger.WarnContext(ctx, "store a variant", "file", image.file, "variant", name, "error", err)
	}
	if s.isHot(int64(made.Len())) {
		s.hot.Set(hotName(image, name), made.Bytes())
	}
	return made.Bytes(), nil
}

// renderBlob decodes a blob and writes a variant of it, when its turn comes.
func (s *Service) renderBlob(ctx context.Context, w io.Writer, b blob, v codec.Variant, wait time.Duration) error {
	return s.decodes.do(ctx, wait, workOf(b, v), func() error {
		s.Threads.Enter()
		defer s.Threads.Leave()
		file, err := s.Store.Open(ctx, b.file)
		if err != nil {
			return StorageError(err)
		}
		defer file.Content.Close()
		watched := &watchedReader{ReadSeeker: file.Content}
		return watched.blame(codec.Render(w, watched, b.format(), b.orientation, v))
	})
}

// blob is what the image shows.
func (image Image) blob() blob {
	return blob{
		hash: image.SHA256, file: image.file, width: image.Width, height: image.Height,
		contentType: image.ContentType, orientation: image.orientation,
	}
}
