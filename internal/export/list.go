package export

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"gatehouse/internal/image"
)

// entry is what images.json says of a picture.
type entry struct {
	ID          string    `json:"id"`
	File        string    `json:"file,omitempty"`    // in the archive
	Missing     bool      `json:"missing,omitempty"` // the picture was deleted while the export was made
	Name        string    `json:"name"`              // the user's name for it
	Title       string    `json:"title"`
	Visibility  string    `json:"visibility"`
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
		Title:       stored.Title,
		Visibility:  string(stored.Visibility),
		Bytes:       stored.Bytes,
		Width:       stored.Width,
		Height:      stored.Height,
		ContentType: stored.ContentType,
		SHA256:      hex.EncodeToString(stored.SHA256[:]),
		CreatedAt:   stored.CreatedAt,
	}
}

// array writes a JSON array, one element after the other.
type array struct {
	w        io.Writer
	elements int
}

func (a *array) add(element any) error {
	encoded, err := json.MarshalIndent(element, "  ", "  ")
	if err != nil {
		return err
	}
	separator := ",\n  "
	if a.elements == 0 {
		separator = "[\n  "
	}
	a.elements++
	_, err = fmt.Fprintf(a.w, "%s%s", separator, encoded)
	return err
}

func (a *array) end() error {
	end := "\n]\n"
	if a.elements == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(a.w, end)
	return err
}

// list is the entries of images.json until the pictures are written: a ZIP file takes one file after
// the other. They are compressed, because they may be many.
type list struct {
	compressed bytes.Buffer
	writer     *gzip.Writer
	entries    array
}

func newList() *list {
	l := new(list)
	l.writer = gzip.NewWriter(&l.compressed)
	l.entries.w = l.writer
	return l
}

func (l *list) add(e entry) error {
	return l.entries.add(e)
}

// writeTo writes images.json. It may be called once, at the end.
func (l *list) writeTo(w io.Writer) error {
	if err := errors.Join(l.entries.end(), l.writer.Close()); err != nil {
		return err
	}
	entries, err := gzip.NewReader(&l.compressed)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, entries)
	return err
}
