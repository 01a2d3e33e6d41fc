package export

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"gatehouse/internal/image"
)

// entry is what images.json says of a picture.
type entry struct {
	ID          string    `json:"id"`
	File        string    `json:"file,omitempty"`    // in the archive
	Missing     bool      `json:"missing,omitempty"` // the picture was deleted while the export was made
	Name        string    `json:"name"`              // the user's name for it
	Bytes       int64     `json:"bytes"`
	Width       int       `json:"width"`
	Height      int       `json:"height"`
	ContentType string    `json:"contentType"`
	SHA256      string    `json:"sha256"`
	CreatedAt   time.Time `json:"createdAt"`
}

func entryFromImage(stored image.Image) entry {
	return entry{
		ID:          stored.ID,
		File:        fileName(stored),
		Name:        stored.OriginalName,
		Bytes:       stored.Bytes,
		Width:       stored.Width,
		Height:      stored.Height,
		ContentType: stored.ContentType,
		SHA256:      hex.EncodeToString(stored.SHA256[:]),
		CreatedAt:   stored.CreatedAt,
	}
}

// list is the entries of images.json until the pictures are written: a ZIP file takes one file after
// the other. They are compressed, because they may be many.
type list struct {
	compressed bytes.Buffer
	writer     *gzip.Writer
	entries    int
}

func newList() *list {
	l := new(list)
	l.writer = gzip.NewWriter(&l.compressed)
	return l
}

func (l *list) add(e entry) error {
	encoded, err := json.MarshalIndent(e, "  ", "  ")
	if err != nil {
		return err
	}
	separator := ",\n  "
	if l.entries == 0 {
		separator = "\n  "
	}
	l.entries++
	_, err = fmt.Fprintf(l.writer, "%s%s", separator, encoded)
	return err
}

// writeTo writes images.json. It may be called once, at the end.
func (l *list) writeTo(w io.Writer) error {
	if err := l.writer.Close(); err != nil {
		return err
	}
	entries, err := gzip.NewReader(&l.compressed)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.MultiReader(strings.NewReader("["), entries, strings.NewReader("\n]\n")))
	return err
}
