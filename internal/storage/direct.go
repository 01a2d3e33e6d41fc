package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/minio/minio-go/v7"
)

// Presigned is a form that lets a client upload one file to S3, past the server.
type Presigned struct {
	URL string // for a POST of multipart/form-data
	// Fields are the first parts of the form. The last is the file, named file.
	Fields map[string]string
}

// Direct reports whether clients can upload past the server. If not, the methods named for it return
// errors.ErrUnsupported.
func (s *Store) Direct() bool {
	_, ok := s.shelf.(*S3)
	return ok
}

// direct returns the S3 that clients may upload to.
func (s *Store) direct(name string) (*S3, error) {
	shelf, ok := s.shelf.(*S3)
	if !ok {
		return nil, fmt.Errorf("direct uploads: %w", errors.ErrUnsupported)
	}
	if !valid(name) {
		return nil, fmt.Errorf("direct upload %q: %w", name, fs.ErrInvalid)
	}
	return shelf, nil
}

// PresignDirect lets a client upload from 1 to maxBytes bytes under the name until the given time, as
// often as it likes. They do not become a file of the store: OpenDirect reads them.
func (s *Store) PresignDirect(ctx context.Context, name string, maxBytes int64, expires time.Time) (Presigned, error) {
	shelf, err := s.direct(name)
	if err != nil {
		return Presigned{}, err
	}
	signed, err := shelf.presign(ctx, shelf.key(directFolder, name), maxBytes, expires)
	if err != nil {
		return Presigned{}, fmt.Errorf("presign %s: %w", name, err)
	}
	return signed, nil
}

func (s *S3) presign(ctx context.Context, key string, maxBytes int64, expires time.Time) (Presigned, error) {
	policy := minio.NewPostPolicy()
	err := errors.Join(
		policy.SetBucket(s.bucket),
		policy.SetKey(key),
		policy.SetExpires(expires),
		policy.SetContentLengthRange(1, maxBytes))
	if err != nil {
		return Presigned{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience) // S3 may have to be asked for the region
	defer cancel()
	address, fields, err := s.client.PresignedPostPolicy(ctx, policy)
	if err != nil {
		return Presigned{}, s3Error(err)
	}
	return Presigned{URL: address.String(), Fields: fields}, nil
}

// OpenDirect opens what a client uploaded, for reading, until ctx ends. The error is fs.ErrNotExist if
// it has not uploaded anything.
func (s *Store) OpenDirect(ctx context.Context, name string) (_ *File, err error) {
	shelf, err := s.direct(name)
	if err != nil {
		return nil, err
	}
	ctx, o := s.begin(ctx, "open-direct")
	defer func() { o.end(err) }()
	f, err := shelf.open(ctx, shelf.key(directFolder, name))
	if err != nil {
		return nil, fmt.Errorf("open direct upload %s: %w", name, err)
	}
	return f, nil
}

// RemoveDirect removes what a client uploaded. It is no error if there is nothing. Until its form
// expires, the client may upload it again.
func (s *Store) RemoveDirect(ctx context.Context, name string) (err error) {
	shelf, err := s.direct(name)
	if err != nil {
		return err
	}
	ctx, o := s.begin(ctx, "remove-direct")
	defer func() { o.end(err) }()
	if err := shelf.remove(ctx, shelf.key(directFolder, name)); err != nil {
		return fmt.Errorf("remove direct upload %s: %w", name, err)
	}
	return nil
}

// WalkDirect returns what clients have uploaded, in no particular order, so that the old can be
// removed. The last pair has an error if there is one.
func (s *Store) WalkDirect(ctx context.Context) iter.Seq2[Entry, error] {
	shelf, ok := s.shelf.(*S3)
	if !ok {
		return func(func(Entry, error) bool) {}
	}
	return shelf.walk(ctx, shelf.key(directFolder, ""))
}
