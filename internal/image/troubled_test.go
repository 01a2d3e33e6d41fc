package image

import (
	"context"
	"io"
	"sync/atomic"
	"syscall"

	"gatehouse/internal/storage"
)

// troubled is a real shelf that counts what it opens, and that can be slow or break while it reads.
type troubled struct {
	storage.Shelf
	opened  atomic.Int64
	broken  atomic.Bool
	entered chan struct{} // tells of each file that is opened, if not nil
	gate    chan struct{} // keeps files from being opened until it is closed, if not nil
}

func (t *troubled) failReading(yes bool) { t.broken.Store(yes) }

func (t *troubled) Open(ctx context.Context, name string) (*storage.File, error) {
	t.opened.Add(1)
	if t.gate != nil {
		t.entered <- struct{}{}
		<-t.gate
	}
	f, err := t.Shelf.Open(ctx, name)
	if err == nil && t.broken.Load() {
		f.Content = brokenContent{f.Content}
	}
	return f, err
}

// brokenContent is that of a disk that has a bad sector.
type brokenContent struct{ io.ReadSeekCloser }

func (brokenContent) Read([]byte) (int, error) { return 0, syscall.EIO }
