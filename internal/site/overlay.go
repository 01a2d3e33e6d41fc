package site

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// overlay is a file system in which the files of a directory go before those that are embedded.
type overlay struct {
	dir  string // empty for none
	over fs.FS
	base fs.FS
}

func newOverlay(dir string, base fs.FS) (overlay, error) {
	if dir == "" {
		return overlay{over: noFiles{}, base: base}, nil
	}
	if info, err := os.Stat(dir); err != nil {
		return overlay{}, fmt.Errorf("open web directory: %w", err)
	} else if !info.IsDir() {
		return overlay{}, fmt.Errorf("open web directory: %s is not a directory", dir)
	}
	return overlay{dir: dir, over: os.DirFS(dir), base: base}, nil
}

// Open opens the file of the directory, or else the embedded one.
func (o overlay) Open(name string) (fs.File, error) {
	file, err := o.over.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o.base.Open(name)
	}
	return file, err
}

// ReadDir lists both. A name that is in both comes from the directory.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	over, err := fs.ReadDir(o.over, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	base, err := fs.ReadDir(o.base, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	byName := func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) }
	all := append(over, base...)
	slices.SortStableFunc(all, byName)
	return slices.CompactFunc(all, func(a, b fs.DirEntry) bool { return byName(a, b) == 0 }), nil
}

// origin says where a file was read from, for messages.
func (o overlay) origin(name string) string {
	if _, err := fs.Stat(o.over, name); err == nil {
		return filepath.Join(o.dir, filepath.FromSlash(name))
	}
	return "embedded " + name
}

// noFiles is the file system without any.
type noFiles struct{}

func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
