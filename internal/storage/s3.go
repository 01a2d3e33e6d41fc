package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"mime"
	"net"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Options of an S3. Bucket, Endpoint and the key are required.
type S3Options struct {
	Endpoint  string // host or host:port
	Secure    bool   // https
	Region    string // empty: S3 is asked
	Bucket    string
	Prefix    string // of all keys, without a slash at its end; may be empty
	KeyID     string
	KeySecret string
	// Patience is the longest that a request may last, or make no progress if it carries a file.
	// 0: 5 s.
	Patience time.Duration
}

const (
	defaultPatience = 5 * time.Second
	connectTimeout  = 3 * time.Second
	attempts        = 3 // of each request
	// partSize is the most bytes of a file that are sent at once, from the file itself. A part that fails is sent again.
	partSize = 16 << 20
)

// S3 is a shelf in a bucket. The key needs the rights s3:GetObject, PutObject, DeleteObject,
// AbortMultipartUpload, ListBucket and ListBucketMultipartUploads. Without ListBucket, S3 does not
// tell a missing file from a forbidden one.
type S3 struct {
	client   *minio.Core
	bucket   string
	prefix   string // empty or with a slash at its end
	patience time.Duration
}

// OpenS3 returns the shelf. It does not call S3 yet: Check does.
func OpenS3(o S3Options) (*S3, error) {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	transport, err := minio.DefaultTransport(o.Secure)
	if err != nil {
		return nil, fmt.Errorf("open S3: %w", err)
	}
	transport.DialContext = (&net.Dialer{Timeout: connectTimeout}).DialContext
	transport.ResponseHeaderTimeout = o.Patience
	client, err := minio.NewCore(o.Endpoint, &minio.Options{
		Creds:      credentials.NewStaticV4(o.KeyID, o.KeySecret, ""),
		Secure:     o.Secure,
		Region:     o.Region,
		Transport:  transport,
		MaxRetries: attempts,
	})
	if err != nil {
		return nil, fmt.Errorf("open S3: %w", err)
	}
	s := &S3{client: client, bucket: o.Bucket, patience: o.Patience}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
	}
	return s, nil
}

// Check reports if the bucket can't be reached.
func (s *S3) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	there, err := s.client.BucketExists(ctx, s.bucket)
	if err == nil && !there {
		err = errors.New("there is no such bucket")
	}
	if err != nil {
		return fmt.Errorf("look for bucket %s: %w", s.bucket, s3Error(err))
	}
	return nil
}

// insufficientStorage is the status of HTTP for a full server.
const insufficientStorage = 507

// s3Error adds what the error of a request means.
func s3Error(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var response minio.ErrorResponse
	errors.As(err, &response)
	switch {
	case response.Code == minio.NoSuchKey:
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case response.StatusCode == insufficientStorage, strings.Contains(response.Code, "QuotaExceeded"):
		return fmt.Errorf("%w: %w", errFull, err)
	default:
		return fmt.Errorf("%w: %w", errUnavailable, err)
	}
}

// isRefused reports whether S3 did not carry out a request, and will not.
func isRefused(err error) bool {
	var response minio.ErrorResponse
	return errors.As(err, &response) && response.StatusCode >= 400 && response.StatusCode < 500
}

const (
	filesFolder    = "files/"
	variantsFolder = "variants/"
	directFolder   = "direct/"
)

func (s *S3) key(folder, name string) string {
	return s.prefix + folder + name
}

// Open opens a file.
func (s *S3) Open(ctx context.Context, name string) (*File, error) {
	return s.open(ctx, s.key(filesFolder, name))
}

// Stat describes a file.
func (s *S3) Stat(ctx context.Context, name string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	info, err := s.client.StatObject(ctx, s.bucket, s.key(filesFolder, name), minio.StatObjectOptions{})
	if err != nil {
		return Entry{}, s3Error(err)
	}
	return Entry{Name: name, Size: info.Size, ModTime: info.LastModified}, nil
}

// Walk returns all files.
func (s *S3) Walk(ctx context.Context) iter.Seq2[Entry, error] {
	return s.walk(ctx, s.key(filesFolder, ""))
}

// WalkVariants returns the names of the files that have variants.
func (s *S3) WalkVariants(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for entry, err := range s.walk(ctx, s.key(variantsFolder, "")) {
			if !yield(entry.Name, err) {
				return
			}
		}
	}
}

// walk returns what lies in a folder under valid names, files and folders.
func (s *S3) walk(ctx context.Context, folder string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for info, err := range s.list(ctx, folder) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			name := path.Base(info.Key)
			if valid(name) && !yield(Entry{Name: name, Size: info.Size, ModTime: info.LastModified}, nil) {
				return
			}
		}
	}
}

// list returns what lies in a folder, whose name ends with a slash. The last pair has an error if
// there is one. Only the time that S3 takes is bounded, not that of the caller.
func (s *S3) list(ctx context.Context, folder string) iter.Seq2[minio.ObjectInfo, error] {
	return func(yield func(minio.ObjectInfo, error) bool) {
		ctx, wait := s.wait(ctx)
		defer wait.end()
		for info := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: folder}) {
			wait.pause()
			if info.Err != nil {
				yield(minio.ObjectInfo{}, stalled(ctx, s3Error(info.Err)))
				return
			}
			if !yield(info, nil) {
				return
			}
			wait.goOn()
		}
		if err := context.Cause(ctx); err != nil { // the list may end without an error then
			yield(minio.ObjectInfo{}, err)
		}
	}
}

// Remove removes a file, what was sent of it in vain, and then its variants.
func (s *S3) Remove(ctx context.Context, name string) error {
	if err := s.remove(ctx, s.key(filesFolder, name)); err != nil {
		return err
	}
	return s.removeVariants(ctx, name)
}

func (s *S3) remove(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	if err := s.client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{}); err != nil {
		return s3Error(err)
	}
	return s3Error(s.client.RemoveIncompleteUpload(ctx, s.bucket, key))
}

// place uploads a file from the spool. What remains of it there is empty: it only marks the file.
func (s *S3) place(ctx context.Context, written, name string) (entry string, err error) {
	f, err := os.Open(written)
	if err != nil {
		return written, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return written, err
	}
	err = s.put(ctx, s.key(filesFolder, name), name, f, info.Size())
	if err != nil && !isRefused(err) {
		err = fmt.Errorf("%w: %w", errMayAppear, err)
	}
	return written, errors.Join(err, os.Truncate(written, 0))
}

// put stores an object. Its type follows from the extension of its name.
func (s *S3) put(ctx context.Context, key, name string, content io.Reader, size int64) error {
	ctx, wait := s.wait(ctx)
	defer wait.end()
	_, err := s.client.Client.PutObject(ctx, s.bucket, key, content, size, minio.PutObjectOptions{
		ContentType: mime.TypeByExtension(path.Ext(name)),
		PartSize:    partSize,
		NumThreads:  1,
		Progress:    wait,
	})
	return stalled(ctx, s3Error(err))
}

func (s *S3) openVariant(ctx context.Context, name, variant string) (*File, error) {
	return s.open(ctx, s.variantsOf(name)+variant)
}

func (s *S3) putVariant(ctx context.Context, _, name, variant string, data []byte) error {
	return s.put(ctx, s.variantsOf(name)+variant, variant, bytes.NewReader(data), int64(len(data)))
}

func (s *S3) removeVariants(ctx context.Context, name string) error {
	for info, err := range s.list(ctx, s.variantsOf(name)) {
		if err == nil {
			err = s.remove(ctx, info.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *S3) removeVariant(ctx context.Context, name, variant string) error {
	return s.remove(ctx, s.variantsOf(name)+variant)
}

// Variants returns the variants of a file.
func (s *S3) Variants(ctx context.Context, name string) ([]Entry, error) {
	var variants []Entry
	for info, err := range s.list(ctx, s.variantsOf(name)) {
		if err != nil {
			return nil, err
		}
		variants = append(variants, Entry{Name: path.Base(info.Key), Size: info.Size, ModTime: info.LastModified})
	}
	return variants, nil
}

func (s *S3) variantsOf(name string) string {
	return s.key(variantsFolder, name) + "/"
}
