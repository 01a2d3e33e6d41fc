package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/minio/minio-go/v7"
)

// object reads an object of S3. It goes on with a new request where the connection breaks: objects
// never change.
type object struct {
	shelf  *S3
	ctx    context.Context // the one of Open
	key    string
	size   int64
	offset int64 // of the next Read
	breaks int   // of connections

	stream   *stream // nil if a new request is needed
	position int64   // of the stream
}

// maxBreaks is how many broken connections a reader puts up with.
const maxBreaks = 3

// open requests an object. Its first bytes come with the answer, so that whoever reads it from the
// start, as most do, needs one request.
func (s *S3) open(ctx context.Context, key string) (*File, error) {
	stream, info, err := s.request(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	content := &object{shelf: s, ctx: ctx, key: key, size: info.Size, stream: stream}
	return &File{Content: content, Size: info.Size, ModTime: info.LastModified}, nil
}

func (o *object) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for o.offset < o.size {
		if err := o.align(); err != nil {
			return 0, err
		}
		n, err := o.stream.Read(p)
		o.offset += int64(n)
		o.position = o.offset
		if n > 0 {
			return n, nil
		}
		if err != nil {
			if err := o.broken(err); err != nil {
				return 0, err
			}
		}
	}
	return 0, io.EOF
}

// align brings the stream to the offset.
func (o *object) align() error {
	if o.stream != nil && o.position == o.offset {
		return nil
	}
	o.Close()
	stream, _, err := o.shelf.request(o.ctx, o.key, o.offset)
	o.stream, o.position = stream, o.offset
	return err
}

// broken returns an error if there is no sense in another request.
func (o *object) broken(err error) error {
	o.Close()
	o.breaks++
	if o.ctx.Err() != nil {
		return o.ctx.Err()
	}
	if o.breaks < maxBreaks {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %s from S3: %w: %w", o.key, errUnavailable, err)
}

// Seek may go past the end, where Read returns io.EOF.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in %s: %w", o.key, fs.ErrInvalid)
	}
	o.offset = offset
	return offset, nil
}

func (o *object) Close() error {
	if o.stream == nil {
		return nil
	}
	err := o.stream.Close()
	o.stream = nil
	return err
}

// stream is the answer to one request.
type stream struct {
	io.ReadCloser
	ctx  context.Context
	wait *wait
}

// request opens a stream from an offset of an object to its end.
func (s *S3) request(ctx context.Context, key string, offset int64) (*stream, minio.ObjectInfo, error) {
	var options minio.GetObjectOptions
	if offset > 0 {
		if err := options.SetRange(offset, 0); err != nil {
			return nil, minio.ObjectInfo{}, err
		}
	}
	ctx, wait := s.wait(ctx)
	body, info, header, err := s.client.GetObject(ctx, s.bucket, key, options)
	if err == nil && offset > 0 && !strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		err = errors.Join(errors.New("the answer has another range"), body.Close())
	}
	if err != nil {
		err = stalled(ctx, s3Error(err))
		wait.end()
		return nil, minio.ObjectInfo{}, err
	}
	wait.pause()
	return &stream{ReadCloser: body, ctx: ctx, wait: wait}, info, nil
}

func (s *stream) Read(p []byte) (int, error) {
	s.wait.goOn()
	n, err := s.ReadCloser.Read(p)
	s.wait.pause()
	if err == io.EOF {
		return n, err
	}
	return n, stalled(s.ctx, err)
}

func (s *stream) Close() error {
	s.wait.end()
	return s.ReadCloser.Close()
}
