package logging

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keepDays is how many files of past days are kept.
const keepDays = 30

// dailyFile is a log file that is rotated each day: image.log is today's, image.log.2026-01-31 is that of a past
// day. (Libraries name a file after the time of its rotation, which is the day after its lines.)
// It is not safe for concurrent use.
type dailyFile struct {
	path string
	now  func() time.Time
	file *os.File // nil if it could not be opened
	day  string   // of the lines in it
}

// openDaily opens today's log, which only its owner can read. A file from an earlier run keeps its day.
func openDaily(path string, now func() time.Time) (*dailyFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f := &dailyFile{path: path, now: now}
	return f, f.open()
}

func (f *dailyFile) open() error {
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f.file, f.day = file, dayOf(f.now())
	if info, err := file.Stat(); err == nil && info.Size() > 0 {
		f.day = dayOf(info.ModTime())
	}
	return nil
}

// Write appends whole lines, and rotates the file first if the day has changed.
func (f *dailyFile) Write(lines []byte) (int, error) {
	if f.file != nil && dayOf(f.now()) > f.day {
		f.rotate()
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	return f.file.Write(lines)
}

// Close closes the file. The next Write opens it again.
func (f *dailyFile) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// rotate closes the file and renames it to its day. If that fails, the lines of two days share a file, which is
// better than losing some.
func (f *dailyFile) rotate() {
	_ = f.file.Close()
	f.file = nil
	past := f.path + "." + f.day
	// Another process may have rotated it already, and renaming would destroy its file.
	if _, err := os.Lstat(past); errors.Is(err, fs.ErrNotExist) {
		_ = os.Rename(f.path, past)
	}
	f.prune()
}

// prune removes the oldest files of past days.
func (f *dailyFile) prune() {
	past, _ := filepath.Glob(f.path + ".????-??-??")
	past = slices.DeleteFunc(past, func(path string) bool {
		_, err := time.Parse(time.DateOnly, strings.TrimPrefix(path, f.path+"."))
		return err != nil
	})
	slices.Sort(past)
	for _, path := range past[:max(0, len(past)-keepDays)] {
		_ = os.Remove(path) // the next day will try again
	}
}

func dayOf(t time.Time) string { return t.Format(time.DateOnly) }
