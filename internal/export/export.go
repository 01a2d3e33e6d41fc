// Package export owns the ZIP file of everything that is kept about a user.
package export

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/image"
)

// Contents is what an export contains.
type Contents struct {
	Profile  any // encoded as JSON, as are the sessions and each event
	Sessions any
	Activity iter.Seq2[any, error] // events, which may be many
	Images   iter.Seq2[image.Image, error]
	// Open opens a picture; ImageNotFound if it was deleted meanwhile.
	Open func(ctx context.Context, stored image.Image) (*image.File, error)
	At   time.Time // when the export is made
}

// Write writes the ZIP file as it is made: the documents, the pictures one after the other, and the
// list of them. If it fails, the file has no end, and unpackers say so.
//
// No picture is kept in memory, only a few hundred bytes for each: the ends of a ZIP file and of the
// list have them. No event is kept either.
func Write(ctx context.Context, w io.Writer, c Contents) error {
	a := &archive{zip: zip.NewWriter(w), open: c.Open, at: c.At}
	documents := []struct {
		name  string
		value any
	}{
		{"profile.json", c.Profile}, {"sessions.json", c.Sessions},
	}
	for _, document := range documents {
		if err := a.addDocument(document.name, document.value); err != nil {
			return fmt.Errorf("export %s: %w", document.name, err)
		}
	}
	if err := a.addActivity(ctx, c.Activity); err != nil {
		return fmt.Errorf("export activity.json: %w", err)
	}
	if err := a.addImages(ctx, c.Images); err != nil {
		return fmt.Errorf("export the images: %w", err)
	}
	return a.zip.Close()
}

// archive is an export under way.
type archive struct {
	zip    *zip.Writer
	open   func(ctx context.Context, stored image.Image) (*image.File, error)
	at     time.Time
	buffer [64 << 10]byte
}

func (a *archive) addDocument(name string, value any) error {
	w, err := a.create(name, zip.Deflate, a.at)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func (a *archive) create(name string, method uint16, modified time.Time) (io.Writer, error) {
	return a.zip.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: modified.UTC()})
}

func (a *archive) addActivity(ctx context.Context, events iter.Seq2[any, error]) error {
	w, err := a.create("activity.json", zip.Deflate, a.at)
	if err != nil {
		return err
	}
	written := array{w: w}
	for event, err := range events {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if err := written.add(event); err != nil {
			return err
		}
	}
	return written.end()
}

// addImages adds the pictures and then images.json, which is written at the same time.
func (a *archive) addImages(ctx context.Context, images iter.Seq2[image.Image, error]) error {
	list := newList()
	for stored, err := range images {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		entry := entryFromImage(stored)
		err := a.addImage(ctx, stored, entry.File)
		if apperr.Is(err, apperr.ImageNotFound) {
			entry.File, entry.Missing = "", true
		} else if err != nil {
			return fmt.Errorf("image %s: %w", stored.ID, err)
		}
		if err := list.add(entry); err != nil {
			return err
		}
	}
	w, err := a.create("images.json", zip.Deflate, a.at)
	if err != nil {
		return err
	}
	return list.writeTo(w)
}

// addImage adds a picture as it is, because pictures are compressed already.
func (a *archive) addImage(ctx context.Context, stored image.Image, name string) error {
	file, err := a.open(ctx, stored)
	if err != nil {
		return err
	}
	defer file.Content.Close()
	w, err := a.create(name, zip.Store, stored.CreatedAt)
	if err != nil {
		return err
	}
	// Without the file's WriteTo, which allocates a buffer for each.
	_, err = io.CopyBuffer(w, struct{ io.Reader }{file.Content}, a.buffer[:])
	return err
}
