// Package storage stores the bytes of pictures. A Disk is one folder, which several server
// processes may share.
//
//	<folder>/<ab>/<name>                  a file, in the shard named by the first two letters of its name
//	<folder>/incoming/<process>/<name>    a file of an unfinished upload
//	<folder>/incoming/<process>/<name>~…  the mark of a file that may lack its row
//	<folder>/incoming/<process>/.lock     held while the process runs
//
// A file and its row in the database appear together or not at all, whenever a process is killed.
// The entry in incoming is written first and removed last, so every file that may lack its row has
// an entry. What a killed process leaves behind, and what Disk.Sweep does about it:
//
//	killed while the file is written    entry only, no row          remove the entry
//	… after Place                       entry and file, no row      remove the file, then the entry
//	… while the database commits        entry and file, row or not  ask the database, then as above or below
//	… after the commit, before Keep     entry and file, row         remove the entry
//	… in Discard                        entry, perhaps file         remove the file, then the entry
//
//	… in Removal, before the commit     mark and file, row          remove the mark
//	… while the database commits        mark and file, row or not   ask the database, then as above or below
//	… after the commit                  mark, perhaps file, no row  remove the file, then the mark
//
// If a sweep is killed, the next one repeats it. A sweep reads only the folders in incoming whose
// lock is free, never the shards. Of its own process it decides what was left to it.
//
// Nothing is synced to the disk: a kill loses nothing, a power failure may lose the last seconds.
package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/gofrs/flock"
)

// Only the user that runs the server may read the files, as in the whole data folder.
const (
	folderMode = 0o700
	fileMode   = 0o600
)

// Disk keeps files in a folder. Its methods may be called by several goroutines at once.
type Disk struct {
	dir        string // holds the shards
	incoming   string // holds a folder for each process
	processDir string // the folder of this process
	lock       *flock.Flock
	link       func(oldname, newname string) error

	mu   sync.Mutex
	left []string // entries of this process that are left to a sweep
}

// OpenDisk opens the folder, and creates it if it is missing.
func OpenDisk(dir string) (*Disk, error) {
	d := &Disk{dir: dir, incoming: filepath.Join(dir, "incoming"), link: os.Link}
	if err := os.MkdirAll(d.incoming, folderMode); err != nil {
		return nil, fmt.Errorf("create the folder of files: %w", err)
	}
	if err := d.enroll(); err != nil {
		return nil, fmt.Errorf("create a folder for incoming files: %w", err)
	}
	return d, nil
}

// Close unlocks the folder of this process. No batch may be in use any more.
// What is still undecided is left to the next sweep.
func (d *Disk) Close() error {
	entries, err := entriesOf(d.processDir)
	if err == nil && len(entries) == 0 {
		err = d.removeFolder(d.processDir)
	}
	return errors.Join(err, d.lock.Close())
}

// Open opens a file for reading. Its error is fs.ErrNotExist if there is no such file, or the name is not valid.
func (d *Disk) Open(name string) (*os.File, error) {
	if !valid(name) {
		return nil, fs.ErrNotExist
	}
	return os.Open(d.path(name))
}

// IsFull reports whether a write failed because the disk is full or a quota is used up.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// place makes an incoming file visible under its name, and returns the entry in incoming that
// marks it as undecided.
func (d *Disk) place(name string) (entry string, err error) {
	written, target := filepath.Join(d.processDir, name), d.path(name)
	entry, err = d.linkOrMove(written, target)
	if !errors.Is(err, fs.ErrNotExist) {
		return entry, err
	}
	if err := os.Mkdir(filepath.Dir(target), folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
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

// remove removes the file of a name, if there is one.
func (d *Disk) remove(name string) error {
	return removeIfThere(d.path(name))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *Disk) path(name string) string {
	return d.dir + string(filepath.Separator) + name[:2] + string(filepath.Separator) + name
}

// valid reports whether a file may have the name: lower-case letters, digits and dots, no dot
// among the first two characters. So no name leads out of its folder or to a lock.
func valid(name string) bool {
	if len(name) < 3 || len(name) > 64 || strings.Contains(name[:2], ".") {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return true
}
