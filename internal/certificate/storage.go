package certificate

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// storage is where certmagic keeps certificates, private keys, accounts and what it has to answer: in
// the database, sealed, so that all nodes have the same. It implements certmagic.Storage.
type storage struct {
	database *database.Database
	seal     cipher.AEAD
	log      *slog.Logger
	now      func() time.Time

	keep time.Duration // how often a holder keeps its locks

	mu   sync.Mutex
	held map[string]heldLock // by name
}

// Store replaces the value of a path.
func (s *storage) Store(ctx context.Context, path string, value []byte) error {
	sealed, now := s.seal.Seal(nil, nil, value, []byte(path)), database.Timestamp(s.now())
	err := s.database.InTx(ctx, func(q *db.Queries) error {
		update := db.UpdateCertificateFileParams{Path: path, Sealed: sealed, ModifiedAt: now}
		updated, err := q.UpdateCertificateFile(ctx, update)
		if err != nil || updated > 0 {
			return err
		}
		err = q.InsertCertificateFile(ctx, db.InsertCertificateFileParams{Path: path, Sealed: sealed, ModifiedAt: now})
		if database.IsDuplicate(err) { // another node was faster
			_, err = q.UpdateCertificateFile(ctx, update)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("store certificate file %s: %w", path, err)
	}
	return nil
}

// Load returns the value of a path, or fs.ErrNotExist.
func (s *storage) Load(ctx context.Context, path string) ([]byte, error) {
	value, _, err := s.load(ctx, path)
	return value, err
}

func (s *storage) load(ctx context.Context, path string) (value []byte, modified time.Time, err error) {
	row, err := s.database.Queries().GetCertificateFile(ctx, path)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, time.Time{}, fs.ErrNotExist
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("load certificate file %s: %w", path, database.Refusal(err))
	}
	value, err = s.seal.Open(nil, nil, row.Sealed, []byte(path))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("open certificate file %s: it was stored with another secret; "+
			"start with that secret file, or delete the rows of certificate_files, which lets all certificates be fetched anew", path)
	}
	return value, row.ModifiedAt, nil
}

// Delete removes a path and all below it.
func (s *storage) Delete(ctx context.Context, path string) error {
	first, after := below(path)
	err := s.database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.DeleteCertificateFiles(ctx, db.DeleteCertificateFilesParams{Path: path, First: first, After: after})
	})
	if err != nil {
		return fmt.Errorf("delete certificate file %s: %w", path, err)
	}
	return nil
}

// Exists reports whether there is a value of a path, or below it.
func (s *storage) Exists(ctx context.Context, path string) bool {
	_, err := s.Stat(ctx, path)
	return err == nil
}

// List returns the paths below one, or with recursive unset what is directly below it. It returns
// fs.ErrNotExist where there is nothing.
func (s *storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	files, err := s.list(ctx, path)
	if err != nil || recursive {
		return files, err
	}
	var children []string
	prefix, _ := below(path)
	for _, file := range files {
		child, _, _ := strings.Cut(file[len(prefix):], "/")
		if last := len(children) - 1; last < 0 || children[last] != prefix+child {
			children = append(children, prefix+child)
		}
	}
	return children, nil
}

func (s *storage) list(ctx context.Context, path string) ([]string, error) {
	first, after := below(path)
	files, err := s.database.Queries().ListCertificateFiles(ctx, db.ListCertificateFilesParams{First: first, After: after})
	if err != nil {
		return nil, fmt.Errorf("list certificate files of %s: %w", path, database.Refusal(err))
	}
	if len(files) == 0 {
		return nil, fs.ErrNotExist
	}
	return files, nil
}

// Stat describes a path, or returns fs.ErrNotExist.
func (s *storage) Stat(ctx context.Context, path string) (certmagic.KeyInfo, error) {
	value, modified, err := s.load(ctx, path)
	if err == nil {
		return certmagic.KeyInfo{Key: path, Modified: modified, Size: int64(len(value)), IsTerminal: true}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return certmagic.KeyInfo{}, err
	}
	if _, err := s.list(ctx, path); err != nil {
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: path}, nil
}

// below returns the first path that may be below one, and the first after those. The empty path is
// above all.
func below(path string) (first, after string) {
	if path == "" {
		return "", "\x7f"
	}
	return path + "/", path + "0" // which follows /
}
