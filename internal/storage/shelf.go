package storage

import (
	"context"
	"io"
	"iter"
	"strings"
	"time"
)

// Shelf is where finished files lie: a *Disk or an *S3. It takes valid names only, which the Store
// sees to.
type Shelf interface {
	// Open opens a file for reading, until ctx ends. The error is fs.ErrNotExist if there is none.
	Open(ctx context.Context, name string) (*File, error)
	// Stat describes a file. The error is fs.ErrNotExist if there is none.
	Stat(ctx context.Context, name string) (Entry, error)
	// Walk returns all files in no particular order. The last pair has an error if there is one.
	Walk(ctx context.Context) iter.Seq2[Entry, error]
	// WalkVariants returns the names of the files that have variants, in the same way. A name that
	// is no file's any more is a stray: Remove removes its variants.
	WalkVariants(ctx context.Context) iter.Seq2[string, error]
	// Variants returns the variants of a file in no particular order, by their own names.
	Variants(ctx context.Context, name string) ([]Entry, error)
	// Remove removes a file, and then its variants. It is no error if there is none.
	Remove(ctx context.Context, name string) error
	// Check reports if the shelf can't be reached.
	Check(ctx context.Context) error

	// place makes the file written in the spool visible under its name, with all its bytes or not at
	// all, and returns the entry in the spool that then marks it as undecided, also with an error.
	// The error is errMayAppear if the file may become visible after all.
	place(ctx context.Context, written, name string) (entry string, err error)
	openVariant(ctx context.Context, name, variant string) (*File, error)
	// putVariant stores a variant, with all its bytes or not at all. The folder is for temporary files.
	putVariant(ctx context.Context, folder, name, variant string, data []byte) error
	// removeVariant removes a variant. It is no error if there is none.
	removeVariant(ctx context.Context, name, variant string) error
	removeVariants(ctx context.Context, name string) error
}

// Entry describes a file or a variant.
type Entry struct {
	Name    string
	Size    int64 // in bytes
	ModTime time.Time
}

// File is a file opened for reading. The caller closes its content.
type File struct {
	Content io.ReadSeekCloser // an *os.File if it lies on a disk
	Size    int64             // in bytes
	ModTime time.Time
}

// maxName is the most bytes in a name.
const maxName = 64

// valid reports whether a file may have the name: lower-case letters, digits and dots, no dot
// among the first two characters. So no name leads out of its folder or to a lock.
func valid(name string) bool {
	return len(name) >= 3 && len(name) <= maxName && !strings.Contains(name[:2], ".") && consistsOf(name, ".")
}

// validVariant reports whether a variant may have the name.
func validVariant(variant string) bool {
	return variant != "" && len(variant) <= maxName && variant[0] != '.' && consistsOf(variant, ".-_")
}

// consistsOf reports whether a name has only lower-case letters, digits and the other characters.
func consistsOf(name, others string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}
