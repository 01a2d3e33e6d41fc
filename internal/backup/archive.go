package backup

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"gatehouse/internal/database"
	"gatehouse/internal/storage"
)

// format is that of the manifests that this program writes, and the newest that it reads.
const format = 1

// The files of a backup. The manifest is written last: without it, there is no backup.
const (
	manifestFile = "manifest.json"
	databaseFile = "database.zst"
	listFile     = "pictures.zst"
	secretFile   = "secret"
)

// picturesFolder holds the pictures of all backups.
const picturesFolder = "pictures"

// nameForm is the name of a backup: when it was begun.
const nameForm = "20060102T150405Z"

// Manifest says what a backup consists of.
type Manifest struct {
	Format     int           `json:"format"`
	Number     int64         `json:"number"` // one more than that of the backup before: clocks may go backwards
	Program    string        `json:"program"`
	CreatedAt  time.Time     `json:"createdAt"`
	Database   database.Kind `json:"database"`
	Migrations []int64       `json:"migrations"`
	Files      []SavedFile   `json:"files"`
	Pictures   Pictures      `json:"pictures"`
}

// SavedFile is a file of a backup, beside its manifest.
type SavedFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Pictures counts the pictures of a backup. They are listed in a file of their own.
type Pictures struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
	Gone  int64 `json:"gone"` // deleted while the backup was made
	Lost  int64 `json:"lost"` // missing or damaged where they are stored
}

// Backup is a backup that is complete.
type Backup struct {
	Name string
	Manifest
}

// Bytes returns what the backup takes without its pictures.
func (b Backup) Bytes() (bytes int64) {
	for _, file := range b.Files {
		bytes += file.Bytes
	}
	return bytes
}

// HasSecret reports whether the secret is in the backup.
func (b Backup) HasSecret() bool {
	return slices.ContainsFunc(b.Files, func(f SavedFile) bool { return f.Name == secretFile })
}

// picture is a line in the list of pictures.
type picture struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Gone   bool   `json:"gone,omitempty"`
	Lost   string `json:"lost,omitempty"` // why the bytes are not in the backup

	adopted bool // it has a row among the blobs
	stored  bool // the archive has a file of its name and size
	listed  bool // the backup before has it
}

func (p picture) isSaved() bool { return !p.Gone && p.Lost == "" }

// shardLength is how many letters of a name name its folder.
const shardLength = 2

func (p picture) path() string { return path.Join(picturesFolder, p.Name[:shardLength], p.Name) }

// archive is a folder of backups.
type archive struct{ storage.Folder }

// List returns the backups that are in a folder, the oldest first.
func List(ctx context.Context, folder storage.Folder) ([]Backup, error) {
	found, err := archive{folder}.backups(ctx)
	return found.complete, err
}

// contents are the backups in a folder.
type contents struct {
	complete    []Backup // the oldest first
	interrupted []string // without a manifest
	damaged     []string // whose manifest can't be read
}

// backups returns what there is. One that is damaged is in the way of no other.
func (a archive) backups(ctx context.Context) (all contents, err error) {
	for entry, err := range a.List(ctx, "") {
		if err != nil {
			return contents{}, fmt.Errorf("list the backups: %w", err)
		}
		name := strings.TrimSuffix(entry.Name, "/")
		if _, err := time.Parse(nameForm, name); err != nil || name == entry.Name {
			continue
		}
		switch backup, err := a.read(ctx, name); {
		case errors.Is(err, fs.ErrNotExist):
			all.interrupted = append(all.interrupted, name)
		case isDamage(err):
			all.damaged = append(all.damaged, name)
		case err != nil:
			return contents{}, fmt.Errorf("read the manifest of backup %s: %w", name, err)
		default:
			all.complete = append(all.complete, backup)
		}
	}
	slices.SortFunc(all.complete, func(a, b Backup) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// maxManifest is far more than a manifest has.
const maxManifest = 16 << 20

func (a archive) read(ctx context.Context, name string) (Backup, error) {
	file, err := a.Open(ctx, path.Join(name, manifestFile))
	if err != nil {
		return Backup{}, err
	}
	defer file.Content.Close()
	content, err := io.ReadAll(io.LimitReader(file.Content, maxManifest))
	if err != nil {
		return Backup{}, err
	}
	backup := Backup{Name: name}
	if err := json.Unmarshal(content, &backup.Manifest); err != nil {
		return Backup{}, damage("it is no manifest: " + err.Error())
	}
	return backup, nil
}

// newest returns the last of the backups; none is there if its name is empty.
func newest(backups []Backup) Backup {
	if len(backups) == 0 {
		return Backup{}
	}
	return backups[len(backups)-1]
}

// save stores a file of a backup, and returns its size and SHA-256.
func (a archive) save(ctx context.Context, backup, name string, write func(io.Writer) error) (SavedFile, error) {
	saved := SavedFile{Name: name}
	err := a.Create(ctx, path.Join(backup, name), func(w io.Writer) error {
		sum := &summed{Writer: w, hash: sha256.New()}
		err := write(sum)
		saved.Bytes, saved.SHA256 = sum.bytes, sum.sum()
		return err
	})
	if err != nil {
		return SavedFile{}, fmt.Errorf("save %s: %w", name, err)
	}
	return saved, nil
}

// summed counts and hashes what is written.
type summed struct {
	io.Writer
	hash  hash.Hash
	bytes int64
}

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	s.hash.Write(p[:n])
	s.bytes += int64(n)
	return n, err
}

func (s *summed) sum() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// load writes a file of a backup to w. The error is a damage if it is not what the manifest says.
func (a archive) load(ctx context.Context, backup Backup, name string, w io.Writer) error {
	i := slices.IndexFunc(backup.Files, func(f SavedFile) bool { return f.Name == name })
	if i < 0 {
		return fmt.Errorf("backup %s has no %s", backup.Name, name)
	}
	saved := backup.Files[i]
	if err := copyVerified(ctx, a, path.Join(backup.Name, name), saved.Bytes, saved.SHA256, w); err != nil {
		return fmt.Errorf("read %s of backup %s: %w", name, backup.Name, err)
	}
	return nil
}

// damage is why a file is not what it should be.
type damage string

func (d damage) Error() string { return string(d) }

// opener is a Folder, or a Store.
type opener interface {
	Open(ctx context.Context, name string) (*storage.File, error)
}

// copyVerified copies a file. The error is a damage if it has another size or SHA-256, and fs.ErrNotExist
// if there is none.
func copyVerified(ctx context.Context, from opener, name string, bytes int64, sha string, w io.Writer) error {
	file, err := from.Open(ctx, name)
	if err != nil {
		return err
	}
	defer file.Content.Close()
	if file.Size != bytes {
		return damage(fmt.Sprintf("it has %d bytes instead of %d", file.Size, bytes))
	}
	sum := &summed{Writer: w, hash: sha256.New()}
	if _, err := io.Copy(sum, file.Content); err != nil {
		return err
	}
	if sum.sum() != sha {
		return damage("its SHA-256 is another one")
	}
	return nil
}

// isDamage reports whether one file is bad, rather than what it lies on.
func isDamage(err error) bool {
	_, damaged := errors.AsType[damage](err)
	return damaged || errors.Is(err, fs.ErrNotExist)
}

// compressed writes what write writes, with zstd and one core, since requests need the others.
func compressed(write func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		return errors.Join(write(z), z.Close())
	}
}

// saveList stores the list of the pictures.
func (a archive) saveList(ctx context.Context, backup string, pictures map[string]picture) (SavedFile, error) {
	return a.save(ctx, backup, listFile, compressed(func(w io.Writer) error {
		lines := json.NewEncoder(w)
		for _, name := range slices.Sorted(maps.Keys(pictures)) {
			if err := lines.Encode(pictures[name]); err != nil {
				return err
			}
		}
		return nil
	}))
}

// loadList returns the pictures of a backup by name.
func (a archive) loadList(ctx context.Context, backup Backup) (map[string]picture, error) {
	pictures := make(map[string]picture)
	err := a.readList(ctx, backup, func(p picture) { pictures[p.Name] = p })
	return pictures, err
}

// readList calls see with each picture of a backup. It may see some of a list that is damaged.
func (a archive) readList(ctx context.Context, backup Backup, see func(picture)) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(a.load(ctx, backup, listFile, writer)) }()
	defer reader.Close()
	z, err := zstd.NewReader(reader)
	if err != nil {
		return err
	}
	defer z.Close()
	lines := json.NewDecoder(bufio.NewReader(z))
	for {
		var p picture
		if err := lines.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			_, cause := io.Copy(io.Discard, reader) // what load says of the whole file
			return fmt.Errorf("read the list of pictures: %w", errors.Join(cause, err))
		}
		if len(p.Name) < 3 {
			return damage("the list of pictures has one without a name")
		}
		see(p)
	}
}

// saveManifest makes a backup exist.
func (a archive) saveManifest(ctx context.Context, backup Backup) error {
	err := a.Create(ctx, path.Join(backup.Name, manifestFile), func(w io.Writer) error {
		lines := json.NewEncoder(w)
		lines.SetIndent("", "  ")
		return lines.Encode(backup.Manifest)
	})
	if err != nil {
		return fmt.Errorf("save the manifest: %w", err)
	}
	return nil
}

// pictures returns the pictures that are there. The last pair has an error if there is one.
func (a archive) pictures(ctx context.Context) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for shard, err := range a.List(ctx, picturesFolder) {
			if err != nil {
				yield(storage.Entry{}, fmt.Errorf("list the saved pictures: %w", err))
				return
			}
			letters := strings.TrimSuffix(shard.Name, "/")
			if len(letters) != shardLength { // somebody else's, in the same bucket
				continue
			}
			for entry, err := range a.List(ctx, path.Join(picturesFolder, letters)) {
				if err != nil {
					err = fmt.Errorf("list the saved pictures: %w", err)
				} else if !strings.HasPrefix(entry.Name, letters) || strings.HasSuffix(entry.Name, "/") {
					continue // somebody else's too
				}
				if !yield(entry, err) || err != nil {
					return
				}
			}
		}
	}
}
