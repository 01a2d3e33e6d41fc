// Package backup saves the database and the pictures into a folder or a bucket, while servers run, and
// restores them. The layout there:
//
//	pictures/<ab>/<name>     the pictures of all backups, each once
//	<time>/database.zst      a copy of the database: a file of SQLite, or SQL
//	<time>/pictures.zst      the pictures that the rows of this copy name, one in a line
//	<time>/secret            the secret, where that was wanted
//	<time>/manifest.json     what the others must be; it is written last
//
// A backup is consistent because the database is copied first, and then the pictures that this very copy
// names. Pictures never change, and their bytes outlive their last row by an hour. One that is missing all
// the same is looked for in the live database: if it has no row there either, it was deleted meanwhile,
// which the list says, and a restore deletes its row too. If it has one, it is lost, and the backup says so.
//
// A backup without a manifest does not exist: whatever ends one early, the next one removes what is left
// of it, but for the pictures, which it reads and need not copy again. One backup of a database runs at a time, by a lease in the database.
package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/gofrs/flock"

	"gatehouse/internal/database"
	"gatehouse/internal/image"
	"gatehouse/internal/lease"
	"gatehouse/internal/storage"
)

// Options of a Service. All are required but those of the schedule.
type Options struct {
	Database *database.Database
	Store    *storage.Store
	Images   *image.Service
	Folder   storage.Folder // where backups are
	Spool    string         // a folder of this machine with room for a copy of the database
	Program  string         // the version that manifests name
	Now      func() time.Time
	Logger   *slog.Logger
	Output   io.Writer // where people are told how far it is

	Every time.Duration // of Run; 0 never
	Keep  int           // backups that Run leaves; 0 all
}

// Service makes backups.
type Service struct {
	Options
	mu    sync.Mutex
	stats Stats
}

// New returns a service.
func New(o Options) *Service { return &Service{Options: o} }

// Stats are what this process knows of its backups.
type Stats struct {
	Succeeded   int64
	Failed      int64
	LastSuccess time.Time     // when the last one was complete, or was begun by another server; zero if there was none
	Duration    time.Duration // of the last that succeeded
	Bytes       int64         // that it wrote
}

// Stats returns what is known now.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// MakeOptions say what a backup has, and how it is made.
type MakeOptions struct {
	Verify bool   // read back everything, also what was there
	Secret []byte // what is put into the secret's file; nil for none
	Prune  bool   // remove the backups that Keep does not keep
}

// Problem is a picture that is missing or damaged.
type Problem struct {
	Picture string
	Why     string
}

// Made is a backup that was made.
type Made struct {
	Backup
	Copied      int64 // pictures
	CopiedBytes int64
	Problems    []Problem
	Removed     []string // backups that were too old
}

// Make makes a backup. Pictures that are missing or damaged do not stop it: they are its problems. The
// error is ErrHeld if another one is under way.
func (s *Service) Make(ctx context.Context, o MakeOptions) (made Made, err error) {
	err = s.exclusively(ctx, func(ctx context.Context, l *lease.Lease) error {
		made, err = s.make(ctx, o, l)
		return err
	})
	return made, err
}

// make makes a backup while the lease is held, and takes note of the result.
func (s *Service) make(ctx context.Context, o MakeOptions, l *lease.Lease) (Made, error) {
	began := time.Now()
	made, err := s.makeInSpool(ctx, o, l)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.stats.Failed++
		return made, explain(err)
	}
	s.stats.Succeeded++
	s.stats.LastSuccess, s.stats.Duration = s.Now(), time.Since(began)
	s.stats.Bytes = made.CopiedBytes + made.Bytes()
	return made, nil
}

func explain(err error) error {
	if storage.IsFull(err) && !errors.Is(err, errSpool) && !errors.Is(err, storage.ErrSpoolFull) {
		return fmt.Errorf("%w: the destination is full; make room there, or keep fewer backups. The backups that are there stay good", err)
	}
	return err
}

var errSpool = errors.New("the data folder is too full")

func (s *Service) makeInSpool(ctx context.Context, o MakeOptions, l *lease.Lease) (made Made, err error) {
	spool, err := openSpool(s.Spool)
	if err != nil {
		return Made{}, err
	}
	defer func() { err = errors.Join(err, spool.close()) }()
	b := &making{Service: s, MakeOptions: o, archive: archive{s.Folder}, lease: l, copied: filepath.Join(spool.dir, "database")}
	if err := b.prepare(ctx); err != nil {
		return Made{}, err
	}
	if err := b.copyDatabase(ctx); err != nil {
		return Made{}, err
	}
	if err := b.findSaved(ctx); err != nil {
		return Made{}, err
	}
	if err := b.savePictures(ctx); err != nil {
		return Made{}, err
	}
	if err := b.saveRest(ctx); err != nil {
		return Made{}, err
	}
	if o.Prune && s.Keep > 0 {
		if b.made.Removed, err = prune(ctx, b.archive, s.Keep); err != nil {
			err = fmt.Errorf("backup %s is complete, but not every old one could be removed: %w", b.made.Name, err)
		}
	}
	return b.made, err
}

// making is a backup under way.
type making struct {
	*Service
	MakeOptions
	archive
	lease  *lease.Lease
	copied string // the copy of the database

	last     Backup             // the one before, without a name if there is none
	pictures map[string]picture // of this backup

	mu   sync.Mutex // guards what follows and pictures, while they are saved
	made Made
}

// prepare removes what interrupted backups left, and finds the one before.
func (b *making) prepare(ctx context.Context) error {
	if err := b.Check(ctx); err != nil {
		return fmt.Errorf("reach the destination: %w", err)
	}
	if err := b.Sweep(ctx); err != nil {
		return fmt.Errorf("remove what interrupted backups left: %w", err)
	}
	all, err := b.backups(ctx)
	if err != nil {
		return err
	}
	for _, name := range all.interrupted {
		if err := b.removeFolder(ctx, name); err != nil {
			return fmt.Errorf("remove the interrupted backup %s: %w", name, err)
		}
	}
	for _, name := range all.damaged {
		b.Logger.WarnContext(ctx, "the manifest of a backup is damaged: remove its folder", "backup", name)
	}
	b.last = newest(all.complete)
	b.made.Manifest = Manifest{
		Format: format, Number: b.last.Number + 1, Program: b.Program, Database: b.Database.Kind(),
		CreatedAt: database.Timestamp(b.Now()),
	}
	b.made.Name = freeName(all, b.made.CreatedAt)
	return nil
}

// freeName is that of the time, or of a later one if there is a backup of that name.
func freeName(taken contents, at time.Time) string {
	for {
		name := at.Format(nameForm)
		isTaken := slices.Contains(taken.damaged, name) || slices.ContainsFunc(taken.complete, func(b Backup) bool { return b.Name == name })
		if !isTaken {
			return name
		}
		at = at.Add(time.Second)
	}
}

// copyDatabase copies the database, and reads which pictures and migrations the copy has.
func (b *making) copyDatabase(ctx context.Context) error {
	if err := b.checkRoom(ctx); err != nil {
		return err
	}
	err := b.Database.Copy(ctx, b.copied)
	if err != nil && (storage.IsFull(err) || database.IsFull(err)) {
		err = fmt.Errorf("%w, which must have room for an uncompressed copy of the database: %w", errSpool, err)
	}
	if err != nil {
		return err
	}
	if b.pictures, err = picturesIn(ctx, b.Database.Kind(), b.copied); err != nil {
		return err
	}
	b.made.Migrations, err = migrationsIn(ctx, b.Database.Kind(), b.copied)
	return err
}

// spareRoom is what a copy leaves of the data folder at least, besides a quarter of its size.
const spareRoom = 16 << 20

// checkRoom refuses a copy that would fill the data folder: the server writes there too.
func (b *making) checkRoom(ctx context.Context) error {
	size, err := b.Database.CopySize(ctx)
	if err != nil {
		return err
	}
	free, known := freeRoom(b.Spool)
	if needed := size + size/4 + spareRoom; known && free < needed {
		return fmt.Errorf("%w: a copy of the database needs %s there, and %s are free; make room",
			errSpool, humanize.Bytes(uint64(needed)), humanize.Bytes(uint64(free)))
	}
	return nil
}

// saveRest saves what is not a picture, and the manifest if everything went well.
func (b *making) saveRest(ctx context.Context) error {
	write := map[string]func(io.Writer) error{databaseFile: compressed(func(w io.Writer) error { return copyFile(w, b.copied) })}
	if b.Secret != nil {
		write[secretFile] = func(w io.Writer) error { _, err := w.Write(b.Secret); return err }
	}
	for name, content := range write {
		saved, err := b.save(ctx, b.made.Name, name, content)
		if err != nil {
			return err
		}
		b.made.Files = append(b.made.Files, saved)
	}
	saved, err := b.saveList(ctx, b.made.Name, b.pictures)
	if err != nil {
		return err
	}
	b.made.Files = append(b.made.Files, saved)
	slices.SortFunc(b.made.Files, func(x, y SavedFile) int { return cmp.Compare(x.Name, y.Name) })
	for _, file := range b.made.Files {
		if err := b.load(ctx, b.made.Backup, file.Name, io.Discard); err != nil {
			return err
		}
	}
	if err := renew(ctx, b.lease); err != nil {
		return err
	}
	return b.saveManifest(ctx, b.made.Backup)
}

func copyFile(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// spool is a folder for one process, which is empty at its start.
type spool struct {
	dir  string
	lock *flock.Flock
}

func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for copies: %w", err)
	}
	s := &spool{dir, flock.New(filepath.Join(dir, ".lock"), flock.SetPermissions(0o600))}
	free, err := s.lock.TryLock()
	if err == nil && !free {
		err = fmt.Errorf("%w: it holds %s", ErrHeld, s.lock.Path())
	}
	if err != nil {
		return nil, err
	}
	return s, s.empty()
}

// empty leaves the lock, and the folder of what is not sent yet, which has an owner of its own.
func (s *spool) empty() error {
	entries, err := os.ReadDir(s.dir)
	for _, entry := range entries {
		if entry.Type().IsRegular() && entry.Name() != filepath.Base(s.lock.Path()) {
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, entry.Name())))
		}
	}
	return err
}

func (s *spool) close() error { return errors.Join(s.empty(), s.lock.Close()) }

// picturesIn returns the pictures that a copy of the database names.
func picturesIn(ctx context.Context, kind database.Kind, file string) (map[string]picture, error) {
	pictures, hashes := make(map[string]picture), make(map[string]bool)
	blobs := database.Columns{Table: "blobs", Names: []string{"file", "bytes", "hash"}}
	err := database.ReadCopy(ctx, kind, file, []database.Columns{blobs}, func(_ string, row [][]byte) error {
		hashes[string(row[2])] = true
		return note(pictures, row, true)
	})
	if err != nil {
		return nil, err
	}
	images := database.Columns{Table: "images", Names: []string{"name", "bytes", "sha256"}}
	err = database.ReadCopy(ctx, kind, file, []database.Columns{images}, func(_ string, row [][]byte) error {
		if hashes[string(row[2])] {
			return nil
		}
		return note(pictures, row, false) // an older program stored it
	})
	return pictures, err
}

func note(pictures map[string]picture, row [][]byte, adopted bool) error {
	name := string(row[0])
	bytes, err := strconv.ParseInt(string(row[1]), 10, 64)
	if err != nil || len(name) < 3 {
		return fmt.Errorf("a picture %q of %q bytes", name, row[1])
	}
	pictures[name] = picture{Name: name, Bytes: bytes, SHA256: fmt.Sprintf("%x", row[2]), adopted: adopted}
	return nil
}

func migrationsIn(ctx context.Context, kind database.Kind, file string) (versions []int64, err error) {
	table := database.Columns{Table: "goose_db_version", Names: []string{"version_id"}}
	err = database.ReadCopy(ctx, kind, file, []database.Columns{table}, func(_ string, row [][]byte) error {
		version, err := strconv.ParseInt(string(row[0]), 10, 64)
		if version > 0 {
			versions = append(versions, version)
		}
		return err
	})
	slices.Sort(versions)
	return versions, err
}

// Describe says in a line what a backup has.
func (b Backup) Describe() string {
	text := fmt.Sprintf("%s: %s database, %s; %s pictures, %s", b.Name, b.Database, humanize.Bytes(uint64(b.Bytes())),
		humanize.Comma(b.Pictures.Count), humanize.Bytes(uint64(b.Pictures.Bytes)))
	if b.Pictures.Lost > 0 {
		text += fmt.Sprintf("; %s more were missing or damaged already", humanize.Comma(b.Pictures.Lost))
	}
	if b.HasSecret() {
		text += "; with the secret"
	}
	return text
}

// removeFolder removes a backup: its manifest first, without which it is none.
func (a archive) removeFolder(ctx context.Context, name string) error {
	if err := a.Remove(ctx, path.Join(name, manifestFile)); err != nil {
		return err
	}
	var files []string
	for entry, err := range a.List(ctx, name) {
		if err != nil {
			return err
		}
		files = append(files, entry.Name)
	}
	for _, file := range files {
		if err := a.Remove(ctx, path.Join(name, file)); err != nil {
			return err
		}
	}
	return nil
}
