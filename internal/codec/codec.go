// Package codec owns the formats of pictures: it recognises, cleans, decodes, resizes and encodes them.
// It knows nothing of rows, owners or storage.
package codec

import "time"

// Format is a format of pictures.
type Format string

// JPEG, PNG, GIF and WebP are stored as they come, without their metadata. HEIC and AVIF are converted to JPEG.
const (
	JPEG Format = "jpeg"
	PNG  Format = "png"
	GIF  Format = "gif"
	WebP Format = "webp"
	HEIC Format = "heic"
	AVIF Format = "avif"
)

// ContentType is the media type of a format.
func (f Format) ContentType() string { return "image/" + string(f) }

// Extension is the end of a file's name, without the dot.
func (f Format) Extension() string {
	if f == JPEG {
		return "jpg"
	}
	return string(f)
}

// IsConverted reports whether pictures of this format are stored as JPEG: browsers and decoders at large do not
// show them.
func (f Format) IsConverted() bool { return f == HEIC || f == AVIF }

// Limits are what a picture may cost whoever decodes it. They are checked before anything is decoded.
type Limits struct {
	Pixels int64 // most pixels of a frame; all frames together may have ten times as many, those of a WebP no more
	Side   int   // most pixels on a side
	Frames int   // most frames of an animation
}

// Info describes a picture.
type Info struct {
	Width, Height int       // in pixels, as it is seen: upright
	Orientation   int       // how the stored pixels must be turned for that, 1 to 8 as in EXIF; 1 is not at all
	Frames        int       // 1 for a picture that does not move
	Alpha         bool      // some pixels may be transparent
	TakenAt       time.Time // when the photograph was taken; zero if the picture does not say
	Camera        string    // with what it was taken, maker and model; empty if the picture does not say
}

// Patch changes bytes that were written before: some formats announce at their beginning what is known only at
// their end.
type Patch struct {
	Offset int64
	Bytes  []byte
}

// Fit is how a picture gets into a box.
type Fit string

// Cover fills the box and cuts off what is too much; Contain shows all of the picture and fills the rest of the box;
// Inside is as large as the box allows and fills nothing. None makes a picture larger than it is.
const (
	Cover   Fit = "cover"
	Contain Fit = "contain"
	Inside  Fit = "inside"
)

// Variant is a picture made from another.
type Variant struct {
	Width, Height int // of the box, in pixels; 0 is as large as the other side allows
	Fit           Fit
	Format        Format // JPEG, PNG or WebP
	Quality       int    // 1 to 100, of JPEG and lossy WebP
}

// Placeholder is what an app shows until a picture is loaded.
type Placeholder struct {
	BlurHash string
	Color    string // the dominant colour, such as #a0522d
}
