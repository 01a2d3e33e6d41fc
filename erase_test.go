package main

import (
	"bytes"
	stdimage "image"
	"image/png"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/audit"
	"gatehouse/internal/config"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/image"
	"gatehouse/internal/logging"
	"gatehouse/internal/upload"
)

// TestErase lets a user's grace pass, and looks for what is left in every table and on the disk.
func TestErase(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		a, dataDir := newTestApp(t, url, "--deletion-grace", "0s", "--quota-images", "10")
		gone, other := addUser(t, a, "18866668888"), addUser(t, a, "18866669999")
		if _, err := a.accounts.RequestDeletion(t.Context(), gone, account.Confirmation{Code: devCode}, audit.Origin{}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // safe to repeat
			a.eraseUsers(t.Context())
		}
		for table, column := range map[string]string{
			"users": "id", "sessions": "user_id", "audit_events": "user_id",
			"images": "owner_id", "image_owners": "owner_id", "upload_sessions": "owner_id",
		} {
			if left := countRows(t, url, dataDir, table, column, gone); left != 0 {
				t.Errorf("%d rows of the user are left in %s", left, table)
			}
			if kept := countRows(t, url, dataDir, table, column, other); kept == 0 {
				t.Errorf("another user has lost what was in %s", table)
			}
		}
		wantFiles(t, dataDir, 3) // of both, for who uploads the same meanwhile
		setTable(t, url, dataDir, "blobs", "unowned_at", time.Now().Add(-2*unownedKept), "unowned_at IS NOT NULL")
		if _, err := a.images.SweepBlobs(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dataDir, 2)     // the other's own, and what both had
		addUser(t, a, "18866668888") // the phone is free again
	})
}

// newTestApp returns an app that nobody has started to serve.
func newTestApp(t *testing.T, url string, options ...string) (a *app, dataDir string) {
	t.Helper()
	args, dataDir := databaseArgs(t, url)
	command, err := config.Parse(append(args, options...), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := logging.New(logging.Options{Dir: t.TempDir(), Console: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if a, err = newApp(t.Context(), command.Options, logs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	return a, dataDir
}

// addUser registers somebody who logs in and uploads two pictures, one of which everybody has, and the beginning of
// a third. It returns the id.
func addUser(t *testing.T, a *app, phone string) string {
	t.Helper()
	registration := account.Registration{Phone: phone, Password: "demo123456", Code: devCode}
	if err := a.accounts.Register(t.Context(), registration, audit.Origin{}, nil); err != nil {
		t.Fatal(err)
	}
	user, _, err := a.accounts.Login(t.Context(), account.Credentials{Phone: phone, Code: devCode}, audit.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	pictures := []*image.Upload{{Name: "a.png", Content: bytes.NewReader(pngPicture(t))}, {Name: "b.png", Content: bytes.NewReader(ownPicture(t, phone))}}
	next := func() (*image.Upload, error) {
		if len(pictures) == 0 {
			return nil, io.EOF
		}
		first := pictures[0]
		pictures = pictures[1:]
		return first, nil
	}
	if _, err := a.images.Upload(t.Context(), image.UploadOptions{OwnerID: user.ID}, next); err != nil {
		t.Fatal(err)
	}
	if _, err := a.uploads.Create(t.Context(), user.ID, upload.Announcement{Bytes: 100}); err != nil {
		t.Fatal(err)
	}
	return user.ID
}

// ownPicture is one that nobody else has.
func ownPicture(t *testing.T, phone string) []byte {
	t.Helper()
	picture := stdimage.NewGray(stdimage.Rect(0, 0, len(phone), 1))
	copy(picture.Pix, phone)
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func countRows(t *testing.T, url, dataDir, table, column, value string) (rows int) {
	t.Helper()
	pool := dbtest.OpenPool(t, url, dataDir)
	defer pool.Close()
	if err := pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table+" WHERE "+column+" = ?", value).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// setTable changes the rows of a table for which a condition holds.
func setTable(t *testing.T, url, dataDir, table, column string, value any, condition string) {
	t.Helper()
	pool := dbtest.OpenPool(t, url, dataDir)
	defer pool.Close()
	if _, err := pool.ExecContext(t.Context(), "UPDATE "+table+" SET "+column+" = ? WHERE "+condition, value); err != nil {
		t.Fatal(err)
	}
}

// wantFiles checks how many pictures are on the disk.
func wantFiles(t *testing.T, dataDir string, want int) {
	t.Helper()
	if files := countFiles(t, filepath.Join(dataDir, "image")); files != want {
		t.Errorf("%d pictures are on the disk, want %d", files, want)
	}
}

func countFiles(t *testing.T, dir string) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".png") {
			files++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
