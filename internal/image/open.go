package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/maypok86/otter/v2"

	"gatehouse/internal/storage"
)

// File is a picture opened for reading. The caller closes its content.
type File struct {
	Content     io.ReadSeekCloser // an *os.File if it comes from a disk
	Memory      []byte            // all of a small file; nil for others. It is shared and never changed
	Size        int64
	ContentType string
	ETag        string // quoted; what a name and a size show never changes
	ModTime     time.Time
	ByAccept    bool // another Accept header may get another format
}

// hotFileSize is the most bytes of a file that is held in memory. Larger ones are better sent by the kernel.
const hotFileSize = 256 << 10

// newHotFiles returns a cache of so many bytes. Files never change under their names.
func newHotFiles(size int64) (*otter.Cache[string, []byte], error) {
	return otter.New(&otter.Options[string, []byte]{
		MaximumWeight: uint64(max(size, 1)),
		Weigher:       func(name string, data []byte) uint32 { return uint32(len(name) + len(data)) },
	})
}

// Open opens a picture as it is stored. The refusals are ImageNotFound and StorageUnavailable.
func (s *Service) Open(ctx context.Context, image Image) (*File, error) {
	file, err := s.openHot(image.file, func() (*storage.File, error) { return s.Store.Open(ctx, image.file) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", image.Name, StorageError(err))
	}
	file.ContentType, file.ModTime = image.ContentType, image.CreatedAt
	file.ETag = `"` + image.Name[:stemLength] + `"`
	return file, nil
}

// openHot opens a small file from memory, and others as open does.
func (s *Service) openHot(key string, open func() (*storage.File, error)) (*File, error) {
	if data, ok := s.hot.GetIfPresent(key); ok {
		s.hotLookups.RecordHits(1)
		return fileOf(data), nil
	}
	s.hotLookups.RecordMisses(1)
	file, err := open()
	if err != nil {
		return nil, err
	}
	if !s.isHot(file.Size) {
		return &File{Content: file.Content, Size: file.Size}, nil
	}
	data := make([]byte, file.Size)
	_, err = io.ReadFull(file.Content, data)
	if err := errors.Join(err, file.Content.Close()); err != nil {
		return nil, err
	}
	s.hot.Set(key, data)
	return fileOf(data), nil
}

// isHot reports whether a file of a size is worth its memory.
func (s *Service) isHot(size int64) bool { return size <= hotFileSize && s.CacheBytes > 0 }

func fileOf(data []byte) *File {
	return &File{Content: nopCloser{bytes.NewReader(data)}, Memory: data, Size: int64(len(data))}
}
