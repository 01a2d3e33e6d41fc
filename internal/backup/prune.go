package backup

import (
	"context"
	"fmt"
)

// prune removes all backups but the newest ones, and then the pictures that none of those names. The
// caller has the lease: no backup counts on pictures that are removed.
func prune(ctx context.Context, a archive, keep int) (removed []string, err error) {
	complete, err := List(ctx, a.Folder)
	if err != nil || len(complete) <= keep {
		return nil, err
	}
	old, kept := complete[:len(complete)-keep], complete[len(complete)-keep:]
	needed := make(map[string]bool)
	for _, backup := range kept {
		if err := a.readList(ctx, backup, func(p picture) { needed[p.Name] = true }); err != nil {
			return nil, err
		}
	}
	for _, backup := range old {
		if err := a.removeFolder(ctx, backup.Name); err != nil {
			return removed, fmt.Errorf("remove backup %s: %w", backup.Name, err)
		}
		removed = append(removed, backup.Name)
	}
	return removed, a.removePictures(ctx, needed)
}

// removePictures removes the pictures that are not needed.
func (a archive) removePictures(ctx context.Context, needed map[string]bool) error {
	var old []string
	for entry, err := range a.pictures(ctx) {
		if err != nil {
			return err
		}
		if !needed[entry.Name] {
			old = append(old, entry.Name)
		}
	}
	for _, name := range old {
		if err := a.Remove(ctx, picture{Name: name}.path()); err != nil {
			return fmt.Errorf("remove saved picture %s: %w", name, err)
		}
	}
	return nil
}
