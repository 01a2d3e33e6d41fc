package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/klauspost/compress/zstd"

	"gatehouse/internal/database"
	"gatehouse/internal/progress"
	"gatehouse/internal/storage"
)

// RestoreOptions say what is restored, and where to.
type RestoreOptions struct {
	Folder   storage.Folder
	At       string // see Choose
	Database database.Options
	Store    *storage.Store
	Spool    string // a folder within that of the database
	Output   io.Writer
	// Secret is the secret that is configured, nil if there is none. PutSecret takes the one of the backup then.
	Secret    []byte
	PutSecret func(secret []byte) error
	// Opens reports whether a secret opens a signing key.
	Opens func(secret []byte, keyID string, sealed []byte) error
}

// Restored is what a restore has done.
type Restored struct {
	Backup
	There     int64 // pictures that were in the storage already
	Gone      int64 // pictures that were deleted while the backup was made: their rows are deleted
	Problems  []Problem
	PutSecret bool  // the secret was in the backup, and there was none
	Sealed    error // why the secret does not open the signing keys; nil if it does
}

// restoring is a restore under way.
type restoring struct {
	RestoreOptions
	archive
	spool    *spool
	copied   string // the copy of the database
	pictures map[string]picture
	done     Restored
}

// Restore restores a backup into an empty database and an empty storage. Pictures that the backup has may be
// in the storage already, as an interrupted restore leaves them: so it can be run again. Everything is
// compared with the backup, the database comes last, and nothing is there for a server until it is.
func Restore(ctx context.Context, o RestoreOptions) (done Restored, err error) {
	spool, err := openSpool(o.Spool)
	if err != nil {
		return Restored{}, err
	}
	defer func() { err = errors.Join(err, spool.close()) }()
	r := &restoring{RestoreOptions: o, archive: archive{o.Folder}, spool: spool, copied: filepath.Join(spool.dir, "database")}
	for _, step := range []func(context.Context) error{r.choose, r.checkTarget, r.fetchDatabase, r.checkSecret, r.restorePictures} {
		if err := step(ctx); err != nil {
			return r.done, err
		}
	}
	if err := database.Restore(ctx, o.Database, r.copied, r.changes()); err != nil {
		return r.done, err
	}
	return r.done, nil
}

// choose finds the backup, and refuses one that this program or database can't take.
func (r *restoring) choose(ctx context.Context) error {
	all, err := r.backups(ctx)
	if err != nil {
		return err
	}
	if len(all.damaged) > 0 && r.At == "" {
		return fmt.Errorf("the manifest of backup %s is damaged, and it may be the newest: name another one with --at", all.damaged[0])
	}
	backup, err := Choose(all.complete, r.At)
	if err != nil {
		return err
	}
	r.done.Backup = backup
	if backup.Format > format {
		return fmt.Errorf("backup %s was made by %s, which is newer than this program: restore it with that one", backup.Name, backup.Program)
	}
	if kind := database.KindOf(r.Database.URL); backup.Database != kind {
		return fmt.Errorf("backup %s is of %s, and this database is %s: restore it into the same kind of database, which --database names",
			backup.Name, backup.Database, kind)
	}
	known, err := database.Migrations(backup.Database)
	if err != nil {
		return err
	}
	for _, version := range backup.Migrations {
		if !slices.ContainsFunc(known, func(name string) bool { return versionOf(name) == version }) {
			return fmt.Errorf("backup %s has migration %d, which this program does not know: it was made by a newer one (%s); restore it with that one",
				backup.Name, version, backup.Program)
		}
	}
	r.pictures, err = r.loadList(ctx, backup)
	return err
}

// versionOf returns the number that the name of a migration begins with.
func versionOf(migration string) int64 {
	digits, _, _ := strings.Cut(migration, "_")
	version, _ := strconv.ParseInt(digits, 10, 64)
	return version
}

// checkTarget makes sure that nothing is overwritten.
func (r *restoring) checkTarget(ctx context.Context) error {
	if err := database.CheckVacant(ctx, r.Database); err != nil {
		return fmt.Errorf("restore the database: %w", err)
	}
	if err := r.Store.Check(ctx); err != nil {
		return fmt.Errorf("reach the storage: %w", err)
	}
	var strays int64
	var example string
	for entry, err := range r.Store.Walk(ctx) {
		if err != nil {
			return fmt.Errorf("list the storage: %w", err)
		}
		if p, listed := r.pictures[entry.Name]; !listed || !p.isSaved() {
			strays, example = strays+1, entry.Name
		}
	}
	if strays > 0 {
		return fmt.Errorf("the storage is not empty: it has %s files that are not in the backup, such as %s; move them away, or name another --storage",
			humanize.Comma(strays), example)
	}
	return nil
}

func (r *restoring) fetchDatabase(ctx context.Context) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(r.load(ctx, r.done.Backup, databaseFile, writer)) }()
	defer reader.Close()
	z, err := zstd.NewReader(reader)
	if err != nil {
		return err
	}
	defer z.Close()
	f, err := os.OpenFile(r.copied, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, z)
	return errors.Join(err, f.Close())
}

// checkSecret puts the secret of the backup where there is none, and looks whether it is the right one.
func (r *restoring) checkSecret(ctx context.Context) error {
	if r.Secret == nil && r.done.HasSecret() {
		var secret strings.Builder
		if err := r.load(ctx, r.done.Backup, secretFile, &secret); err != nil {
			return err
		}
		r.Secret = []byte(secret.String())
		if err := r.PutSecret(r.Secret); err != nil {
			return fmt.Errorf("write the secret: %w", err)
		}
		r.done.PutSecret = true
	}
	if r.Secret == nil {
		r.done.Sealed = errors.New("there is no secret here, and none in the backup")
		return nil
	}
	keys := database.Columns{Table: "signing_keys", Names: []string{"id", "sealed"}}
	return database.ReadCopy(ctx, r.done.Database, r.copied, []database.Columns{keys}, func(_ string, row [][]byte) error {
		r.done.Sealed = errors.Join(r.done.Sealed, r.Opens(r.Secret, string(row[0]), row[1]))
		return nil
	})
}

func (r *restoring) restorePictures(ctx context.Context) error {
	told := progress.Start(r.Output, "restored", int64(len(r.pictures)))
	defer told.Stop()
	for _, name := range slices.Sorted(maps.Keys(r.pictures)) {
		switch p := r.pictures[name]; {
		case p.Gone:
			r.done.Gone++
		case p.Lost != "":
			r.done.Problems = append(r.done.Problems, Problem{name, p.Lost})
		}
	}
	saved := maps.Clone(r.pictures)
	maps.DeleteFunc(saved, func(_ string, p picture) bool { return !p.isSaved() })
	return each(ctx, slices.Values(slices.Collect(maps.Values(saved))), func(ctx context.Context, p picture) error {
		defer told.Add(p.Bytes)
		if err := r.restorePicture(ctx, p); err != nil {
			return fmt.Errorf("restore picture %s: %w", p.Name, err)
		}
		return nil
	})
}

// restorePicture brings a picture into the storage, unless it is there, and reads it there.
func (r *restoring) restorePicture(ctx context.Context, p picture) error {
	err := copyVerified(ctx, r.Store, p.Name, p.Bytes, p.SHA256, io.Discard)
	if err == nil || !isDamage(err) {
		return err
	}
	if err := r.Store.Remove(ctx, p.Name); err != nil { // it may be cut off
		return err
	}
	if err := r.place(ctx, p); err != nil {
		return err
	}
	return copyVerified(ctx, r.Store, p.Name, p.Bytes, p.SHA256, io.Discard)
}

func (r *restoring) place(ctx context.Context, p picture) error {
	batch := r.Store.NewBatch()
	defer batch.Discard(ctx)
	f, err := batch.Create(p.Name)
	if err != nil {
		return err
	}
	err = copyVerified(ctx, r.archive, p.path(), p.Bytes, p.SHA256, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := batch.Place(ctx); err != nil {
		return err
	}
	return batch.Keep()
}

// changes delete the rows of what is not restored: uploads in pieces that were not finished, and pictures
// that were deleted while the backup was made.
func (r *restoring) changes() []database.Statement {
	changes := []database.Statement{
		{Query: "DELETE FROM upload_pieces"},
		{Query: "DELETE FROM upload_sessions WHERE image_id IS NULL"},
		{Query: "DELETE FROM leases"}, // that of the backup
	}
	for name, p := range r.pictures {
		if p.Gone {
			changes = append(changes,
				database.Statement{Query: "DELETE FROM images WHERE sha256 IN (SELECT hash FROM blobs WHERE file = ?)", Args: []any{name}},
				database.Statement{Query: "DELETE FROM blobs WHERE file = ?", Args: []any{name}})
		}
	}
	return changes
}
