package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"gatehouse/internal/apperr"
)

// File is a picture opened for reading. The caller closes it.
type File struct {
	*os.File
	Size        int64
	ContentType string
	ETag        string // quoted; the content of a name never changes
	ModTime     time.Time
}

// Open opens a picture by its name. It reads only the disk, not the database.
// The refusal is ImageNotFound.
func (s *Service) Open(name string) (*File, error) {
	t, ok := typeOfName(name)
	if !ok {
		return nil, apperr.New(apperr.ImageNotFound)
	}
	f, err := s.disk.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, apperr.New(apperr.ImageNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open image %s: %w", name, err), f.Close())
	}
	return &File{
		File:        f,
		Size:        info.Size(),
		ContentType: t.contentType,
		ETag:        `"` + name[:stemLength] + `"`,
		ModTime:     info.ModTime(),
	}, nil
}
