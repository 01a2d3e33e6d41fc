package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/progress"
	"gatehouse/internal/storage"
)

// Checked is what a check has read.
type Checked struct {
	Backups  []Backup
	Pictures int64 // of all of them, each once
	Bytes    int64
}

// Check reads everything that the backups in a folder consist of, and calls found with what is missing or
// damaged.
func Check(ctx context.Context, folder storage.Folder, output io.Writer, found func(file, why string)) (Checked, error) {
	a := archive{folder}
	all, err := a.backups(ctx)
	if err != nil {
		return Checked{}, err
	}
	for _, name := range all.damaged {
		found(name+"/"+manifestFile, "it can't be read; remove this backup")
	}
	checked := Checked{Backups: all.complete}
	pictures := make(map[string]picture)
	for _, backup := range all.complete {
		bad, err := a.checkFiles(ctx, backup, found)
		if err != nil {
			return checked, err
		}
		if bad {
			continue
		}
		listed, err := a.loadList(ctx, backup)
		if err != nil {
			return checked, err
		}
		maps.DeleteFunc(listed, func(_ string, p picture) bool { return !p.isSaved() })
		maps.Copy(pictures, listed)
	}
	told := progress.Start(output, "read", int64(len(pictures)))
	defer told.Stop()
	var mu sync.Mutex
	err = each(ctx, slices.Values(slices.Collect(maps.Values(pictures))), func(ctx context.Context, p picture) error {
		err := copyVerified(ctx, a, p.path(), p.Bytes, p.SHA256, io.Discard)
		mu.Lock()
		defer mu.Unlock()
		told.Add(p.Bytes)
		checked.Pictures++
		checked.Bytes += p.Bytes
		if isDamage(err) {
			found(p.path(), reason(err))
			return nil
		}
		return err
	})
	return checked, err
}

// checkFiles reads what belongs to one backup alone. It is bad if the list of pictures can't be used.
func (a archive) checkFiles(ctx context.Context, backup Backup, found func(file, why string)) (bad bool, err error) {
	for _, file := range backup.Files {
		err := a.load(ctx, backup, file.Name, io.Discard)
		if err != nil && !isDamage(err) {
			return false, err
		}
		if err != nil {
			found(backup.Name+"/"+file.Name, reason(err))
			bad = bad || file.Name == listFile
		}
	}
	return bad, nil
}

// reason is what is wrong with one file, without its path.
func reason(err error) string {
	if bad, ok := errors.AsType[damage](err); ok {
		return string(bad)
	}
	return "it is missing"
}

// Choose returns the newest backup, or the newest that was made at a time or before; at may also be the
// name of a backup.
func Choose(backups []Backup, at string) (Backup, error) {
	if len(backups) == 0 {
		return Backup{}, errors.New("there is no backup, or none that is complete")
	}
	if at == "" {
		return newest(backups), nil
	}
	if i := slices.IndexFunc(backups, func(b Backup) bool { return b.Name == strings.ToUpper(at) }); i >= 0 {
		return backups[i], nil
	}
	until, err := parseTime(at)
	if err != nil {
		return Backup{}, err
	}
	for _, backup := range slices.Backward(backups) {
		if !backup.CreatedAt.After(until) {
			return backup, nil
		}
	}
	return Backup{}, fmt.Errorf("the oldest backup was made at %s, after %s", backups[0].CreatedAt.Format(timeForm), at)
}

// timeForm is how people are told when a backup was made, and may say it.
const timeForm = "2006-01-02 15:04:05"

func parseTime(text string) (time.Time, error) {
	for _, form := range []string{nameForm, time.RFC3339, timeForm, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(form, strings.ToUpper(text)); err == nil {
			if form == time.DateOnly { // its end
				at = at.Add(24*time.Hour - 1)
			}
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: name a backup, or a time of UTC such as 2026-01-31 or 2026-01-31T12:00:00Z", text)
}
