package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Folder keeps files under paths, whose parts are divided by slashes: a DiskFolder or an S3Folder. A file is
// there with all its bytes, or not at all.
type Folder interface {
	// Create stores what write writes, in the place of what was there. If write fails, nothing changes.
	Create(ctx context.Context, path string, write func(io.Writer) error) error
	// Open opens a file for reading, until ctx ends. The error is fs.ErrNotExist if there is none.
	Open(ctx context.Context, path string) (*File, error)
	// List returns what lies in a folder, by name. The names of folders end with a slash. The last pair has
	// an error if there is one.
	List(ctx context.Context, path string) iter.Seq2[Entry, error]
	// Remove removes a file. It is no error if there is none.
	Remove(ctx context.Context, path string) error
	// Sweep removes what killed processes left unfinished. No other process may be in Create.
	Sweep(ctx context.Context) error
	// Check reports if the folder can't be reached.
	Check(ctx context.Context) error
}

// OpenFolder opens the folder. That of S3 needs a key, and a spool: a folder of this machine for files that
// are not sent yet.
func (l Location) OpenFolder(keyID, keySecret, spool string) (Folder, error) {
	if l.S3 == nil {
		return OpenDiskFolder(l.Dir), nil
	}
	o := *l.S3
	o.KeyID, o.KeySecret = keyID, keySecret
	return OpenS3Folder(o, spool)
}

// unfinished is where a DiskFolder writes its files. Nobody else has a folder of that name, which Sweep removes.
const unfinished = ".gatehouse-unfinished"

// DiskFolder is a Folder of this machine. Unlike a Disk it syncs what it stores: a power failure loses
// nothing that Create has stored.
type DiskFolder struct{ dir string }

// OpenDiskFolder returns the folder. It is created with its first file, if it is missing.
func OpenDiskFolder(dir string) *DiskFolder { return &DiskFolder{dir} }

// Create writes a temporary file, and moves it when it is whole.
func (d *DiskFolder) Create(_ context.Context, path string, write func(io.Writer) error) (err error) {
	temporary := filepath.Join(d.dir, unfinished)
	if err := os.MkdirAll(temporary, folderMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(temporary, "")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(f.Name()))
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	target := d.path(path)
	if err = os.MkdirAll(filepath.Dir(target), folderMode); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), target); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(target))
}

// syncFolder makes a move survive a power failure.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Open opens a file. Its content is an *os.File.
func (d *DiskFolder) Open(_ context.Context, path string) (*File, error) {
	return openFile(d.path(path))
}

// List returns what lies in a folder.
func (d *DiskFolder) List(ctx context.Context, path string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		entries, err := os.ReadDir(d.path(path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Entry{}, err)
			return
		}
		for _, entry := range entries {
			if path == "" && entry.Name() == unfinished {
				continue
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := errors.Join(err, ctx.Err()); err != nil {
				yield(Entry{}, err)
				return
			}
			found := Entry{Name: entry.Name(), Size: info.Size(), ModTime: info.ModTime()}
			if entry.IsDir() {
				found = Entry{Name: entry.Name() + "/"}
			}
			if !yield(found, nil) {
				return
			}
		}
	}
}

// Remove removes a file, and its folder if that is empty then.
func (d *DiskFolder) Remove(_ context.Context, path string) error {
	if err := removeIfThere(d.path(path)); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(d.path(path))) // fails if there is something in it
	return nil
}

// Sweep removes the folder of unfinished files.
func (d *DiskFolder) Sweep(context.Context) error {
	return os.RemoveAll(filepath.Join(d.dir, unfinished))
}

// Check reports if the folder is there and can't be read.
func (d *DiskFolder) Check(context.Context) error {
	if _, err := os.ReadDir(d.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *DiskFolder) path(path string) string {
	return filepath.Join(d.dir, filepath.FromSlash(path))
}

// S3Folder is a Folder in a bucket.
type S3Folder struct {
	shelf *S3
	spool string
}

// OpenS3Folder returns the folder. It does not call S3 yet: Check does.
func OpenS3Folder(o S3Options, spool string) (*S3Folder, error) {
	if err := os.MkdirAll(spool, folderMode); err != nil {
		return nil, fmt.Errorf("create the folder for what is not sent yet: %w", err)
	}
	shelf, err := OpenS3(o)
	if err != nil {
		return nil, err
	}
	return &S3Folder{shelf, spool}, nil
}

// ErrSpoolFull is Create's error of an S3Folder that has no room on this machine.
var ErrSpoolFull = errors.New("the folder of this machine where files wait until they are sent is full")

// Create writes a file in the spool, and sends it when it is whole.
func (s *S3Folder) Create(ctx context.Context, name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(s.spool, "")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer f.Close()
	if err := write(f); err != nil {
		if IsFull(err) {
			err = fmt.Errorf("%w: %w", ErrSpoolFull, err)
		}
		return err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.shelf.put(ctx, s.key(name), path.Base(name), f, size)
}

// Open opens a file.
func (s *S3Folder) Open(ctx context.Context, name string) (*File, error) {
	return s.shelf.open(ctx, s.key(name))
}

// List returns what lies in a folder.
func (s *S3Folder) List(ctx context.Context, folder string) iter.Seq2[Entry, error] {
	prefix := s.key(strings.TrimSuffix(folder, "/"))
	if folder != "" {
		prefix += "/"
	}
	return func(yield func(Entry, error) bool) {
		for info, err := range s.shelf.list(ctx, prefix) {
			entry := Entry{Name: strings.TrimPrefix(info.Key, prefix), Size: info.Size, ModTime: info.LastModified}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// Remove removes a file.
func (s *S3Folder) Remove(ctx context.Context, name string) error {
	return s.shelf.remove(ctx, s.key(name))
}

// abandonedAge is after how long what was not sent to its end is removed from S3. What is younger may be
// somebody else's, in the same bucket.
const abandonedAge = 24 * time.Hour

// Sweep empties the spool, and removes the parts of files that were not sent to their end a day ago.
func (s *S3Folder) Sweep(ctx context.Context) error {
	err := errors.Join(os.RemoveAll(s.spool), os.MkdirAll(s.spool, folderMode))
	if err != nil {
		return err
	}
	ctx, wait := s.shelf.wait(ctx)
	defer wait.end()
	for upload := range s.shelf.client.ListIncompleteUploads(ctx, s.shelf.bucket, s.shelf.prefix, true) {
		if upload.Err != nil {
			return stalled(ctx, s3Error(upload.Err))
		}
		wait.goOn()
		if time.Since(upload.Initiated) < abandonedAge {
			continue
		}
		if err := s.shelf.client.RemoveIncompleteUpload(ctx, s.shelf.bucket, upload.Key); err != nil {
			return stalled(ctx, s3Error(err))
		}
	}
	return nil
}

// Check reports if the bucket can't be reached.
func (s *S3Folder) Check(ctx context.Context) error { return s.shelf.Check(ctx) }

func (s *S3Folder) key(name string) string { return s.shelf.key("", name) }
