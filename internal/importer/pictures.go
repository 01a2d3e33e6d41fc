package importer

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/db"
	"gatehouse/internal/image"
)

// picturePath is where the booklet's server serves its pictures, and this one too.
const picturePath = "/static/image/"

// errDryRun keeps a picture from being stored that could be.
var errDryRun = errors.New("dry run")

// Pictures takes over the pictures of a folder and of those within. They belong to nobody who can log in.
// The file mapFile notes the old and the new path of each, and those that it names already are skipped.
func (i *Importer) Pictures(ctx context.Context, dir, mapFile string) (Summary, error) {
	files := os.DirFS(dir)
	names, err := pictureNames(files)
	if err != nil {
		return Summary{}, fmt.Errorf("list the pictures in %s: %w", dir, err)
	}
	taken, err := openPathMap(mapFile, i.options.DryRun)
	if err != nil {
		return Summary{}, fmt.Errorf("note the paths of pictures: %w", err)
	}
	progress := startProgress(i.options, "pictures", int64(len(names)))
	defer progress.stop()
	ownerID := uuid.Must(uuid.NewV7()).String()
	for _, name := range names {
		if taken.has(picturePath + name) {
			progress.skip()
			continue
		}
		if err = i.takePicture(ctx, ownerID, files, name, taken, progress); err != nil {
			err = fmt.Errorf("picture %q: %w", name, err)
			break
		}
	}
	return progress.summary(), errors.Join(err, taken.close())
}

// pictureNames lists all files but hidden ones.
func pictureNames(files fs.FS) ([]string, error) {
	var names []string
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case entry.Type().IsRegular():
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// takePicture stores a picture and notes its new path. Its error is one that all pictures would meet.
func (i *Importer) takePicture(ctx context.Context, ownerID string, files fs.FS, name string, taken *pathMap, progress *progress) error {
	stored, err := i.store(ctx, ownerID, files, name)
	switch {
	case errors.Is(err, errDryRun):
		progress.takeOver()
		return nil
	case apperr.Is(err, apperr.EmptyUpload, apperr.NotAnImage, apperr.ImageDamaged, apperr.TooManyPixels, apperr.UploadTooLarge):
		progress.refuse(fmt.Sprintf("picture %q", name), errors.New(apperr.From(err).Code.Text().English))
		return nil
	case err != nil:
		return err
	}
	if err := taken.add(picturePath+name, picturePath+stored); err != nil {
		return err
	}
	progress.takeOver()
	return nil
}

// store returns the new name of a picture.
func (i *Importer) store(ctx context.Context, ownerID string, files fs.FS, name string) (string, error) {
	file, err := files.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	uploads := []*image.Upload{{Name: name, Content: file}}
	next := func() (*image.Upload, error) {
		if len(uploads) == 0 {
			return nil, io.EOF
		}
		upload := uploads[0]
		uploads = uploads[1:]
		return upload, nil
	}
	var commit func(*db.Queries, []image.Image) error
	if i.options.DryRun {
		commit = func(*db.Queries, []image.Image) error { return errDryRun }
	}
	images, err := i.options.Images.Upload(ctx, image.UploadOptions{OwnerID: ownerID, Commit: commit}, next)
	if err != nil {
		return "", err
	}
	return images[0].Name, nil
}

// pathMap is a CSV file of old and new paths, as they stand in URLs before any escaping.
type pathMap struct {
	file  *os.File // nil in a dry run
	paths map[string]bool
}

func openPathMap(path string, dryRun bool) (*pathMap, error) {
	m := &pathMap{paths: make(map[string]bool)}
	content, err := os.Open(path)
	if err == nil {
		defer content.Close()
		err = m.read(content)
	}
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return nil, err
	}
	if dryRun {
		return m, nil
	}
	if m.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if isNew {
		return m, m.write("old", "new")
	}
	return m, nil
}

func (m *pathMap) read(content io.Reader) error {
	reader := csv.NewReader(content)
	reader.FieldsPerRecord = 2
	rows, err := reader.ReadAll()
	for _, row := range rows {
		m.paths[row[0]] = true
	}
	return err
}

func (m *pathMap) has(old string) bool { return m.paths[old] }

// add is on the disk before the next picture is stored, so that no picture is taken over twice.
func (m *pathMap) add(old, current string) error {
	m.paths[old] = true
	return m.write(old, current)
}

func (m *pathMap) write(old, current string) error {
	writer := csv.NewWriter(m.file)
	if err := writer.Write([]string{old, current}); err != nil {
		return err
	}
	writer.Flush()
	return writer.Error()
}

func (m *pathMap) close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}
