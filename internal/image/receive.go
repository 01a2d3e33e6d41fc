package image

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/storage"
)

// bufferSize is enough to write most pictures for a phone's screen at once. It limits the memory of
// an upload, however large the picture is.
const bufferSize = 64 << 10

// receive writes a picture to a file of the batch, and checks it at the same time.
// It may have at most left bytes.
func (s *Service) receive(batch *storage.Batch, upload *Upload, left int64) (Image, error) {
	in := incomingPool.Get().(*incoming)
	defer in.release()
	in.reset(batch, upload.Content, left)
	size, err := in.inspect()
	if err != nil {
		return Image{}, err
	}
	return Image{
		ID:           uuid.Must(uuid.NewV7()).String(),
		Name:         in.name,
		OriginalName: displayName(upload.Name),
		Bytes:        in.bytes,
		Width:        size.width,
		Height:       size.height,
		ContentType:  in.fileType.contentType,
		SHA256:       [32]byte(in.hash.Sum(nil)),
		CreatedAt:    s.timestamp(),
	}, nil
}

var incomingPool = sync.Pool{New: func() any {
	return &incoming{reader: bufio.NewReaderSize(nil, bufferSize), hash: sha256.New()}
}}

// incoming is a picture on its way to the disk. Everything that the inspection reads from it has
// already been counted, hashed and written, so one pass is enough.
type incoming struct {
	content  io.Reader
	batch    *storage.Batch
	reader   *bufio.Reader // reads from the incoming itself
	hash     hash.Hash
	left     int64
	bytes    int64
	fileType fileType
	name     string
	file     *os.File
	err      error // what ended the stream; io.EOF at its normal end
}

func (in *incoming) reset(batch *storage.Batch, content io.Reader, left int64) {
	in.hash.Reset()
	*in = incoming{content: content, batch: batch, reader: in.reader, hash: in.hash, left: left}
	in.reader.Reset(in)
}

func (in *incoming) release() {
	in.reset(nil, nil, 0)
	incomingPool.Put(in)
}

// inspect reads the picture and what follows it to the end.
func (in *incoming) inspect() (dimensions, error) {
	size, err := in.walk()
	if in.file != nil {
		err = errors.Join(err, diskError(in.file.Close()))
	}
	return size, err
}

func (in *incoming) walk() (dimensions, error) {
	if _, err := in.reader.Peek(1); err != nil {
		return dimensions{}, in.failure(err)
	}
	size, err := in.fileType.inspect(&scanner{in.reader})
	for err == nil {
		_, err = in.reader.Discard(bufferSize)
	}
	if err != io.EOF {
		return dimensions{}, in.failure(err)
	}
	return size, nil
}

// failure returns what broke the stream, if anything did, rather than the inspection's error.
func (in *incoming) failure(err error) error {
	if in.err != nil && in.err != io.EOF {
		return in.err
	}
	if err == io.EOF && in.bytes == 0 {
		return apperr.New(apperr.EmptyUpload)
	}
	return err
}

// Read fills p as far as possible, so that the disk gets few large writes.
func (in *incoming) Read(p []byte) (n int, err error) {
	for n < len(p) && in.err == nil {
		var read int
		read, in.err = in.content.Read(p[n:])
		n += read
	}
	if in.err != nil && in.err != io.EOF {
		in.err = fmt.Errorf("read picture: %w", in.err)
		return 0, in.err
	}
	if n == 0 {
		return 0, io.EOF
	}
	if err := in.take(p[:n]); err != nil {
		in.err = err
		return 0, err
	}
	return n, nil
}

// take counts, hashes and writes. The file is created once the first bytes are those of a picture.
func (in *incoming) take(p []byte) error {
	in.bytes += int64(len(p))
	if in.bytes > in.left {
		return apperr.New(apperr.UploadTooLarge)
	}
	if in.file == nil {
		if err := in.create(p); err != nil {
			return err
		}
	}
	in.hash.Write(p)
	if _, err := in.file.Write(p); err != nil {
		return diskError(fmt.Errorf("write picture: %w", err))
	}
	return nil
}

func (in *incoming) create(head []byte) error {
	var ok bool
	if in.fileType, ok = typeOfHead(head); !ok {
		return apperr.New(apperr.NotAnImage)
	}
	in.name = newName(in.fileType)
	var err error
	if in.file, err = in.batch.Create(in.name); err != nil {
		return diskError(fmt.Errorf("create picture: %w", err))
	}
	return nil
}
