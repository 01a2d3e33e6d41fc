package image

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/storage"
)

// memorySize is enough for most pictures that apps send. A larger one is written to a file as it
// comes; of a smaller one no file is written if its bytes are stored already.
const memorySize = 128 << 10

// picture is a picture on its way into the storage.
type picture struct {
	image    Image
	own      blob     // what becomes of it if nobody has stored the same bytes
	known    *blob    // that has the same bytes; nil if there is none
	twin     *picture // before it in the upload, with the same bytes; nil if there is none
	received int64    // bytes that the client sent
	frames   int      // 1 if it does not move

	memory  []byte    // a small picture, until it is written or dropped
	spooled *os.File  // the file of the batch, closed; nil if there is none
	hash    hash.Hash // of what is spooled
}

// shown is the blob that the image will show.
func (p *picture) shown() *blob {
	switch {
	case p.twin != nil:
		return p.twin.shown()
	case p.known != nil:
		return p.known
	}
	return &p.own
}

// isNew reports whether the picture brings a blob of its own.
func (p *picture) isNew() bool { return p.shown() == &p.own }

// receive cleans a picture, which may have at most left bytes.
func (s *Service) receive(ctx context.Context, batch *storage.Batch, upload *Upload, left int64) (p *picture, err error) {
	in := readerPool.Get().(*bufio.Reader)
	defer readerPool.Put(in)
	counted := &countedReader{content: upload.Content, left: left}
	in.Reset(counted)
	defer in.Reset(nil)

	p = &picture{image: Image{
		ID: uuid.Must(uuid.NewV7()).String(), OriginalName: displayName(upload.Name), Title: DisplayTitle(upload.Title), CreatedAt: s.timestamp(),
	}}
	defer func() { // also if the reader panics
		if closeErr := p.closeSpooled(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
	}()
	err = s.clean(ctx, batch, p, in)
	if err == nil {
		_, err = io.Copy(io.Discard, in) // what follows the picture
	}
	if counted.err != nil { // rather than what the parser made of it
		err = counted.err
	}
	p.received = left - counted.left
	return p, err
}

// readerPool limits what is read of a picture at once.
var readerPool = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, codec.BufferSize) }}

// clean recognises a picture and writes it without its metadata.
func (s *Service) clean(ctx context.Context, batch *storage.Batch, p *picture, in *bufio.Reader) error {
	head, err := in.Peek(codec.HeadSize)
	if len(head) == 0 && err == io.EOF {
		return apperr.New(apperr.EmptyUpload)
	}
	format, ok := codec.Recognise(head)
	if !ok || format.IsConverted() && !codec.CanConvert(format) {
		return apperr.New(apperr.NotAnImage)
	}
	stored := format
	if format.IsConverted() {
		stored = codec.JPEG
	}
	p.own.file, p.own.contentType = newName(stored), stored.ContentType()
	out := &output{batch: batch, picture: p}
	var info codec.Info
	var patches []codec.Patch
	if format.IsConverted() {
		info, err = s.convert(ctx, out, in, format)
	} else {
		info, patches, err = codec.Clean(out, in, format, s.Limits)
	}
	if err == nil {
		err = out.finish(patches)
	}
	s.describe(p, info)
	return err
}

// describe notes what is known of a clean picture.
func (s *Service) describe(p *picture, info codec.Info) {
	p.image.Name, p.image.ContentType = p.own.file, p.own.contentType
	p.image.Width, p.image.Height, p.frames = info.Width, info.Height, info.Frames
	if s.KeepDetails {
		p.image.TakenAt, p.image.Camera = info.TakenAt, info.Camera
	}
	p.own.hash, p.own.bytes, p.own.width, p.own.height = p.image.SHA256, p.image.Bytes, info.Width, info.Height
	p.own.orientation, p.own.alpha, p.own.state = cmp.Or(info.Orientation, 1), info.Alpha, stateNew
}

// convertTimeout ends conversions that some hostile picture may keep from ending.
const convertTimeout = time.Minute

// convert makes a JPEG of a picture that browsers do not show. It is collected in a file first, since
// many may come at once and wait for their turn.
func (s *Service) convert(ctx context.Context, out *output, in *bufio.Reader, format codec.Format) (codec.Info, error) {
	raw := newName(format)
	f, err := out.batch.Create(raw)
	if err != nil {
		return codec.Info{}, StorageError(fmt.Errorf("create picture: %w", err))
	}
	var info codec.Info
	if _, err = io.Copy(f, in); err != nil {
		err = StorageError(fmt.Errorf("write picture: %w", err))
	} else {
		info, err = s.convertInTurn(ctx, out, f, format)
	}
	if dropErr := errors.Join(f.Close(), out.batch.Drop(ctx, raw)); dropErr != nil {
		err = errors.Join(err, StorageError(fmt.Errorf("drop what was converted: %w", dropErr)))
	}
	return info, err
}

// convertInTurn measures the picture first, which is light work and needs the whole file in memory.
func (s *Service) convertInTurn(ctx context.Context, out *output, f *os.File, format codec.Format) (info codec.Info, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return info, StorageError(fmt.Errorf("measure picture: %w", err))
	}
	var memory int64
	err = s.decodes.do(ctx, s.DecodeWait, work{memory: size}, func() error {
		data, err := readAll(f)
		if err != nil {
			return StorageError(fmt.Errorf("read picture again: %w", err))
		}
		memory, err = codec.ConvertMemory(data, format, s.Limits)
		return err
	})
	if err != nil {
		return info, err
	}
	err = s.decodes.do(ctx, s.DecodeWait, work{memory: memory}.asHeavy(), func() error {
		s.Threads.Enter()
		defer s.Threads.Leave()
		defer debug.FreeOSMemory() // the decoder's: up to a gigabyte, which the collector would keep for long
		info, err = s.convertFile(ctx, out, f, format)
		return err
	})
	return info, err
}

func (s *Service) convertFile(ctx context.Context, out *output, f *os.File, format codec.Format) (codec.Info, error) {
	data, err := readAll(f)
	if err != nil {
		return codec.Info{}, StorageError(fmt.Errorf("read picture again: %w", err))
	}
	converting, cancel := context.WithTimeout(ctx, convertTimeout)
	defer cancel()
	info, err := codec.Convert(converting, out, data, format, s.Limits)
	if err != nil && converting.Err() != nil && ctx.Err() == nil {
		err = apperr.Wrap(apperr.ImageDamaged, err)
	}
	return info, err
}

func readAll(f *os.File) ([]byte, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	_, err = f.ReadAt(data, 0)
	return data, err
}

// countedReader ends with UploadTooLarge where too much comes, and remembers what went wrong.
type countedReader struct {
	content io.Reader
	left    int64
	err     error
}

func (r *countedReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.content.Read(p)
	if r.left -= int64(n); r.left < 0 {
		r.err = apperr.New(apperr.UploadTooLarge)
		return 0, r.err
	}
	if err != nil && err != io.EOF {
		r.err = fmt.Errorf("read picture: %w", err)
		return n, r.err
	}
	return n, err
}

// output takes a clean picture: into memory, and if it grows too large for that into a file.
type output struct {
	batch   *storage.Batch
	picture *picture
}

func (o *output) Write(b []byte) (int, error) {
	p := o.picture
	p.image.Bytes += int64(len(b))
	if p.spooled == nil && len(p.memory)+len(b) <= memorySize {
		p.memory = append(p.memory, b...)
		return len(b), nil
	}
	if p.spooled == nil {
		p.hash = sha256.New()
		p.hash.Write(p.memory)
		if err := p.spool(o.batch); err != nil {
			return 0, err
		}
	}
	p.hash.Write(b)
	return p.writeSpooled(b)
}

// finish puts right what could not be known before the end, and takes the hash of the whole.
func (o *output) finish(patches []codec.Patch) error {
	p := o.picture
	if p.spooled == nil {
		for _, patch := range patches {
			copy(p.memory[patch.Offset:], patch.Bytes)
		}
		p.image.SHA256 = sha256.Sum256(p.memory)
		return nil
	}
	for _, patch := range patches {
		if _, err := p.spooled.WriteAt(patch.Bytes, patch.Offset); err != nil {
			return StorageError(fmt.Errorf("write picture: %w", err))
		}
	}
	if len(patches) > 0 {
		p.hash.Reset()
		if _, err := io.Copy(p.hash, io.NewSectionReader(p.spooled, 0, p.image.Bytes)); err != nil {
			return StorageError(fmt.Errorf("read picture again: %w", err))
		}
	}
	p.hash.Sum(p.image.SHA256[:0])
	return nil
}

// spool moves a picture from memory to a file of the batch.
func (p *picture) spool(batch *storage.Batch) (err error) {
	if p.spooled, err = batch.Create(p.own.file); err != nil {
		p.spooled = nil
		return StorageError(fmt.Errorf("create picture: %w", err))
	}
	_, err = p.writeSpooled(p.memory)
	p.memory = nil
	return err
}

func (p *picture) writeSpooled(b []byte) (int, error) {
	n, err := p.spooled.Write(b)
	if err != nil {
		return n, StorageError(fmt.Errorf("write picture: %w", err))
	}
	return n, nil
}

func (p *picture) closeSpooled() error {
	if p.spooled == nil {
		return nil
	}
	if err := p.spooled.Close(); err != nil {
		return StorageError(fmt.Errorf("write picture: %w", err))
	}
	return nil
}

// write makes a file of a small picture; a large one has it already.
func (p *picture) write(batch *storage.Batch) error {
	if p.spooled != nil {
		return nil
	}
	return errors.Join(p.spool(batch), p.closeSpooled())
}

// drop forgets the bytes of a picture that is stored already.
func (p *picture) drop(ctx context.Context, batch *storage.Batch) error {
	p.memory = nil
	if p.spooled == nil {
		return nil
	}
	p.spooled = nil
	return StorageError(batch.Drop(ctx, p.own.file))
}

// open returns the bytes of a picture that was received.
func (p *picture) open() (io.ReadSeekCloser, error) {
	if p.spooled == nil {
		return nopCloser{bytes.NewReader(p.memory)}, nil
	}
	return os.Open(p.spooled.Name())
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }
