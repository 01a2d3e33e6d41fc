package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// Only the user that runs the server may read the files, as in the whole data folder.
const (
	folderMode = 0o700
	fileMode   = 0o600
)

// The modes of what is shared with the group.
const (
	sharedFolderMode = 0o750
	sharedFileMode   = 0o640
)

// Disk is a shelf in a folder.
type Disk struct {
	dir    string // holds the shards
	shared bool
	link   func(oldname, newname string) error
}

// OpenDisk opens the folder, and creates it if it is missing.
func OpenDisk(dir string) (*Disk, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("create the folder of files: %w", err)
	}
	return &Disk{dir: dir, link: os.Link}, nil
}

// Share lets the group of this process, and with it a web server, read the files that are stored from now on. Those
// in the spool stay closed.
func (d *Disk) Share() error {
	d.shared = true
	err := os.MkdirAll(d.variants(), sharedFolderMode)
	for _, dir := range []string{d.dir, d.variants()} {
		if err == nil {
			err = os.Chmod(dir, sharedFolderMode)
		}
	}
	if err != nil {
		return fmt.Errorf("share the folder of files: %w", err)
	}
	return nil
}

// makeFolder makes a folder of stored files, and those that it lies in.
func (d *Disk) makeFolder(dir string) error {
	if d.shared {
		return os.MkdirAll(dir, sharedFolderMode)
	}
	return os.MkdirAll(dir, folderMode)
}

// letRead lets the group read a file that is about to be stored, if it may.
func (d *Disk) letRead(path string) error {
	if !d.shared {
		return nil
	}
	return os.Chmod(path, sharedFileMode)
}

// incoming is the spool of a disk, in the same file system.
func (d *Disk) incoming() string {
	return filepath.Join(d.dir, "incoming")
}

// Check reports if the folder can't be read.
func (d *Disk) Check(context.Context) error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return f.Close()
}

// Open opens a file. Its content is an *os.File.
func (d *Disk) Open(_ context.Context, name string) (*File, error) {
	return openFile(d.path(name))
}

func openFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{Content: f, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// Stat describes a file.
func (d *Disk) Stat(_ context.Context, name string) (Entry, error) {
	info, err := os.Stat(d.path(name))
	if err != nil {
		return Entry{}, err
	}
	return Entry{Name: name, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// Remove removes a file, and then its variants.
func (d *Disk) Remove(ctx context.Context, name string) error {
	if err := removeIfThere(d.path(name)); err != nil {
		return err
	}
	return d.removeVariants(ctx, name)
}

// Walk returns all files.
func (d *Disk) Walk(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for found, err := range walkShards(ctx, d.dir) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			info, err := found.Info()
			if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
				continue
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !yield(Entry{Name: found.Name(), Size: info.Size(), ModTime: info.ModTime()}, nil) {
				return
			}
		}
	}
}

// WalkVariants returns the names of the files that have variants.
func (d *Disk) WalkVariants(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for found, err := range walkShards(ctx, d.variants()) {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(found.Name(), nil) {
				return
			}
		}
	}
}

// walkShards returns what lies in the shards of a folder under valid names. The last pair has an
// error if there is one.
func walkShards(ctx context.Context, dir string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		shards, err := entriesOf(dir)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, shard := range shards {
			if len(shard) != shardLength {
				continue
			}
			entries, err := os.ReadDir(filepath.Join(dir, shard))
			if err := errors.Join(err, ctx.Err()); err != nil {
				yield(nil, err)
				return
			}
			for _, entry := range entries {
				if valid(entry.Name()) && entry.Name()[:shardLength] == shard && !yield(entry, nil) {
					return
				}
			}
		}
	}
}

// place makes a file visible by a link, so that it is in the spool too, or else by a move.
func (d *Disk) place(_ context.Context, written, name string) (entry string, err error) {
	if err := d.letRead(written); err != nil {
		return written, err
	}
	target := d.path(name)
	entry, err = d.linkOrMove(written, target)
	if !errors.Is(err, fs.ErrNotExist) {
		return entry, err
	}
	if err := d.makeFolder(filepath.Dir(target)); err != nil {
		return entry, err
	}
	return d.linkOrMove(written, target)
}

// marked ends the name in the empty entry that marks a file: one that was moved, on a file system
// without hard links, or one that is being removed.
const marked = "~"

func (d *Disk) linkOrMove(written, target string) (entry string, err error) {
	err = d.link(written, target)
	if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return written, err
	}
	entry = written + marked
	if err := os.WriteFile(entry, nil, fileMode); err != nil {
		return entry, err
	}
	return entry, os.Rename(written, target)
}

func (d *Disk) openVariant(_ context.Context, name, variant string) (*File, error) {
	return openFile(filepath.Join(d.variantsOf(name), variant))
}

// putVariant writes a temporary file, whose name a sweep takes for no file's, and moves it.
func (d *Disk) putVariant(_ context.Context, folder, name, variant string, data []byte) error {
	temporary, err := writeTemporary(folder, data)
	if err != nil {
		return err
	}
	target := d.variantsOf(name)
	if err := errors.Join(d.letRead(temporary), d.makeFolder(target)); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, filepath.Join(target, variant)); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}

func writeTemporary(folder string, data []byte) (path string, err error) {
	f, err := os.CreateTemp(folder, ".variant-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func (d *Disk) removeVariants(_ context.Context, name string) error {
	return os.RemoveAll(d.variantsOf(name))
}

func (d *Disk) removeVariant(_ context.Context, name, variant string) error {
	return removeIfThere(filepath.Join(d.variantsOf(name), variant))
}

// Variants returns the variants of a file.
func (d *Disk) Variants(_ context.Context, name string) ([]Entry, error) {
	found, err := entriesOf(d.variantsOf(name))
	if err != nil {
		return nil, err
	}
	var variants []Entry
	for _, variant := range found {
		info, err := os.Stat(filepath.Join(d.variantsOf(name), variant))
		if errors.Is(err, fs.ErrNotExist) { // it has just made room for another one
			continue
		}
		if err != nil {
			return nil, err
		}
		variants = append(variants, Entry{Name: variant, Size: info.Size(), ModTime: info.ModTime()})
	}
	return variants, nil
}

// shardLength is how many letters of a name name its shard.
const shardLength = 2

func (d *Disk) path(name string) string {
	return d.dir + string(filepath.Separator) + name[:shardLength] + string(filepath.Separator) + name
}

func (d *Disk) variants() string {
	return filepath.Join(d.dir, "variants")
}

func (d *Disk) variantsOf(name string) string {
	return filepath.Join(d.variants(), name[:shardLength], name)
}
