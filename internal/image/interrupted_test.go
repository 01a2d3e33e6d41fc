package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

// TestUploadWithFailingDatabase checks that no file stays if the row cannot be stored.
func TestUploadWithFailingDatabase(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		t.Run("client goes away", func(t *testing.T) {
			d, pool := openDatabase(t, url)
			s, dir := openService(t, d, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			goAway := func() (*Upload, error) { cancel(); return nil, io.EOF }
			first := each(upload("a.jpg", encodeJPEG(t, 8, 8)))
			_, err := s.Upload(ctx, "", func() (*Upload, error) {
				if u, err := first(); err == nil {
					return u, nil
				}
				return goAway()
			}, nil)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want context.Canceled", err)
			}
			wantFiles(t, dir)
			wantNoRows(t, pool)
		})
		t.Run("closed", func(t *testing.T) {
			d, _ := openDatabase(t, url)
			s, dir := openService(t, d, Options{})
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Upload(t.Context(), "", each(upload("a.jpg", encodeJPEG(t, 8, 8))), nil); err == nil {
				t.Error("uploaded without a database")
			}
			wantFiles(t, dir)
		})
	})
}

func TestUploadPanicLeavesNothing(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, dir := openService(t, d, Options{})
		first := each(upload("a.jpg", encodeJPEG(t, 8, 8)))
		func() {
			defer func() { recover() }()
			s.Upload(t.Context(), "", func() (*Upload, error) {
				if u, err := first(); err == nil {
					return u, nil
				}
				panic("as net/http does for a client that is gone")
			}, nil)
		}()
		wantFiles(t, dir)
	})
}

// TestSettle loses the answer to a commit: the database decides whether the upload succeeded.
func TestSettle(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		tests := []struct {
			name        string
			committed   bool
			cancelled   bool
			wantErr     error
			wantVisible bool
		}{
			{"committed", true, false, nil, true},
			{"committed, client gone", true, true, nil, true},
			{"not committed", false, false, database.ErrCommitUnknown, false},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s, dir := openService(t, d, Options{})
				batch, image := placed(t, s)
				if test.committed {
					addRow(t, d, image)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if test.cancelled {
					cancel()
				}
				defer cancel()
				err := s.settle(ctx, batch, []Image{image}, database.Refusal(database.ErrCommitUnknown))
				if !errors.Is(err, test.wantErr) {
					t.Errorf("error is %v, want %v", err, test.wantErr)
				}
				if err != nil && !apperr.Is(err, apperr.ServerBusy) {
					t.Errorf("error is %v, want ServerBusy", err)
				}
				end := batch.Keep
				if err != nil {
					end = batch.Discard
				}
				if err := end(); err != nil {
					t.Fatal(err)
				}
				if test.wantVisible {
					wantFiles(t, dir, image.Name)
				} else {
					wantFiles(t, dir)
				}
			})
		}
	})
}

// TestInsertFindsItsOwnRow runs a transaction again whose first run was stored after all.
func TestInsertFindsItsOwnRow(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		batch, image := placed(t, s)
		addRow(t, d, image)
		if err := s.insert(t.Context(), batch, []Image{image}, nil); err != nil {
			t.Error(err)
		}
	})
}

// TestSettleLater cannot reach the database: a later sweep decides.
func TestSettleLater(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, _ := openDatabase(t, url)
		closed, _ := openDatabase(t, url)
		s, dir := openService(t, closed, Options{})
		batch, image := placed(t, s)
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.settle(t.Context(), batch, []Image{image}, database.ErrCommitUnknown); err == nil {
			t.Error("settled without a database")
		}
		if err := batch.Discard(); err != nil {
			t.Fatal(err)
		}
		if visible, incoming := files(t, dir); len(visible) != 1 || len(incoming) != 1 {
			t.Fatalf("files %q, incoming %q, want both to wait for the sweep", visible, incoming)
		}
		addRow(t, d, image)
		killed := *s
		killed.database = d
		sweepAfter(t, &killed, dir)
		wantFiles(t, dir, image.Name)
	})
}

func TestSweepAfterEachStep(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		tests := []struct {
			name        string
			steps       func(t *testing.T, s *Service) Image
			wantVisible bool
		}{
			{"while received", func(t *testing.T, s *Service) Image {
				batch := s.disk.NewBatch()
				if _, err := s.receiveAll(batch, "", each(upload("a.jpg", encodeJPEG(t, 8, 8)))); err != nil {
					t.Fatal(err)
				}
				return Image{}
			}, false},
			{"placed", func(t *testing.T, s *Service) Image {
				_, image := placed(t, s)
				return image
			}, false},
			{"committed", func(t *testing.T, s *Service) Image {
				_, image := placed(t, s)
				addRow(t, d, image)
				return image
			}, true},
			{"kept", func(t *testing.T, s *Service) Image {
				batch, image := placed(t, s)
				addRow(t, d, image)
				if err := batch.Keep(); err != nil {
					t.Fatal(err)
				}
				return image
			}, true},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s, dir := openService(t, d, Options{})
				image := test.steps(t, s)
				sweepAfter(t, s, dir)
				if test.wantVisible {
					wantFiles(t, dir, image.Name)
				} else {
					wantFiles(t, dir)
				}
			})
		}
	})
}

// TestSweepWaitsForCommitUnderWay sweeps while the database still commits for a killed process.
func TestSweepWaitsForCommitUnderWay(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, dir := openService(t, d, Options{})
		_, image := placed(t, s)
		inserted, commit := make(chan struct{}), make(chan struct{})
		committed := make(chan error, 1)
		go func() {
			committed <- d.InTx(t.Context(), func(q *db.Queries) error {
				err := q.InsertImage(t.Context(), paramsFromImage(image))
				close(inserted)
				<-commit
				return err
			})
		}()
		<-inserted
		time.AfterFunc(50*time.Millisecond, func() { close(commit) })
		sweepAfter(t, s, dir)
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir, image.Name)
	})
}

func TestSweepLeavesLivingProcessesAlone(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, dir := openService(t, d, Options{})
		batch, image := placed(t, s)
		for _, service := range []*Service{s, anotherProcess(t, s, dir)} {
			if err := service.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		addRow(t, d, image)
		if err := batch.Keep(); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir, image.Name)
	})
}

// placed returns a picture that is placed and has no row.
func placed(t *testing.T, s *Service) (*storage.Batch, Image) {
	t.Helper()
	batch := s.disk.NewBatch()
	images, err := s.receiveAll(batch, "", each(upload("a.jpg", encodeJPEG(t, 8, 8))))
	if err != nil {
		t.Fatal(err)
	}
	if err := batch.Place(); err != nil {
		t.Fatal(err)
	}
	return batch, images[0]
}

func addRow(t *testing.T, d *database.Database, image Image) {
	t.Helper()
	err := d.InTx(t.Context(), func(q *db.Queries) error {
		return q.InsertImage(t.Context(), paramsFromImage(image))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sweepAfter closes the service's disk, as a kill does, and sweeps as the next process does.
func sweepAfter(t *testing.T, killed *Service, dir string) {
	t.Helper()
	killed.disk.Close()
	if err := anotherProcess(t, killed, dir).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// files lists the names of the visible files of a disk, and of those that are still undecided.
func files(tb testing.TB, dir string) (visible, incoming []string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir() || entry.Name() == ".lock":
		case strings.Contains(path, "incoming"):
			incoming = append(incoming, entry.Name())
		default:
			visible = append(visible, entry.Name())
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return visible, incoming
}

func wantFiles(tb testing.TB, dir string, want ...string) {
	tb.Helper()
	visible, incoming := files(tb, dir)
	slices.Sort(visible)
	slices.Sort(want)
	if !slices.Equal(visible, want) || len(incoming) > 0 {
		tb.Errorf("files are %q and incoming %q, want %q and none", visible, incoming, want)
	}
}
