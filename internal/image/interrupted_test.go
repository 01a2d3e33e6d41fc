package image

import (
	"bytes"
	"context"
	"errors"
	"io"
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
			s, p := openService(t, d, Options{})
			ctx, cancel := context.WithCancel(t.Context())
			goAway := func() (*Upload, error) { cancel(); return nil, io.EOF }
			first := each(upload("a.jpg", encodeJPEG(t, 8, 8)))
			_, err := s.Upload(ctx, UploadOptions{}, func() (*Upload, error) {
				if u, err := first(); err == nil {
					return u, nil
				}
				return goAway()
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want context.Canceled", err)
			}
			wantFiles(t, p)
			wantCount(t, pool, "images", 0)
			wantCount(t, pool, "blobs", 0)
		})
		t.Run("closed", func(t *testing.T) {
			d, _ := openDatabase(t, url)
			s, p := openService(t, d, Options{})
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Upload(t.Context(), UploadOptions{}, each(upload("a.jpg", encodeJPEG(t, 8, 8)))); err == nil {
				t.Error("uploaded without a database")
			}
			wantFiles(t, p)
		})
	})
}

func TestUploadPanicLeavesNothing(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, p := openService(t, d, Options{})
		for name, last := range map[string]func() (*Upload, error){
			"next": func() (*Upload, error) { panic("as net/http does for a client that is gone") },
			"content": func() (*Upload, error) {
				large := largePhoto(t, 2*memorySize)
				return &Upload{Content: io.MultiReader(bytes.NewReader(large[:len(large)-1]), panicking{})}, nil
			},
		} {
			first := each(upload("a.jpg", encodeJPEG(t, 8, 8)))
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s did not panic", name)
					}
				}()
				s.Upload(t.Context(), UploadOptions{}, func() (*Upload, error) {
					if u, err := first(); err == nil {
						return u, nil
					}
					return last()
				})
			}()
			wantFiles(t, p)
		}
	})
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("as a body does whose connection was hijacked") }

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
			{"not committed", false, false, database.ErrCommitUnknown, false},
			{"committed", true, false, nil, true},
			{"committed, client gone", true, true, nil, true},
		}
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s, p := openService(t, d, Options{})
				batch, pictures := placed(t, s, distinct(t, i+1)[i])
				if test.committed {
					addRows(t, s, pictures)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if test.cancelled {
					cancel()
				}
				defer cancel()
				err := s.settle(ctx, batch, s.imagesOf(pictures), database.Refusal(database.ErrCommitUnknown))
				if !errors.Is(err, test.wantErr) {
					t.Errorf("error is %v, want %v", err, test.wantErr)
				}
				if err != nil && !apperr.Is(err, apperr.ServerBusy) {
					t.Errorf("error is %v, want ServerBusy", err)
				}
				if err := batch.Discard(t.Context()); err != nil {
					t.Fatal(err)
				}
				sweep(t, s)
				if test.wantVisible {
					wantFiles(t, p, pictures[0].own.file)
				} else {
					wantFiles(t, p)
				}
			})
		}
	})
}

// TestInsertFindsItsOwnRow runs a transaction again whose first run was stored after all.
func TestInsertFindsItsOwnRow(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, p := openService(t, d, Options{})
		batch, pictures := placed(t, s)
		addRows(t, s, pictures)
		if _, err := s.insert(t.Context(), batch, UploadOptions{}, pictures); err != nil {
			t.Error(err)
		}
		sweep(t, s)
		wantFiles(t, p, pictures[0].own.file)
	})
}

// TestSettleLater cannot reach the database: a later sweep decides.
func TestSettleLater(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, _ := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		batch, pictures := placed(t, s)
		closed, _ := openDatabase(t, url)
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		cutOff := changed(t, s, func(o *Options) { o.Database = closed })
		if err := cutOff.settle(t.Context(), batch, s.imagesOf(pictures), database.ErrCommitUnknown); err == nil {
			t.Error("settled without a database")
		}
		if err := batch.Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
		if visible, incoming := p.files(t); len(visible) != 1 || len(incoming) != 1 {
			t.Fatalf("files %q, incoming %q, want both to wait for the sweep", visible, incoming)
		}
		addRows(t, s, pictures)
		sweepAfter(t, s, p)
		wantFiles(t, p, pictures[0].own.file)
	})
}

func TestSweepAfterEachStep(t *testing.T) {
	tests := []struct {
		name        string
		steps       func(t *testing.T, s *Service) []*picture
		wantVisible bool
	}{
		{"while received", func(t *testing.T, s *Service) []*picture {
			batch := s.Store.NewBatch()
			if _, err := s.receiveAll(t.Context(), batch, UploadOptions{}, each(upload("a.jpg", encodeJPEG(t, 8, 8)))); err != nil {
				t.Fatal(err)
			}
			return nil
		}, false},
		{"placed", func(t *testing.T, s *Service) []*picture {
			_, pictures := placed(t, s)
			return pictures
		}, false},
		{"placed, and stored by somebody else", func(t *testing.T, s *Service) []*picture {
			_, lost := placed(t, s)
			uploadOne(t, s, "", encodeJPEG(t, 8, 8))
			if _, err := insertOnce(t, s, lost); !errors.Is(err, errBlobChanged) {
				t.Fatalf("error is %v, want errBlobChanged", err)
			}
			if _, err := insertOnce(t, s, lost); err != nil {
				t.Fatal(err)
			}
			return []*picture{{own: *lost[0].known}}
		}, true},
		{"committed", func(t *testing.T, s *Service) []*picture {
			_, pictures := placed(t, s)
			addRows(t, s, pictures)
			return pictures
		}, true},
		{"kept", func(t *testing.T, s *Service) []*picture {
			batch, pictures := placed(t, s)
			addRows(t, s, pictures)
			if err := batch.Keep(); err != nil {
				t.Fatal(err)
			}
			return pictures
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dbtest.RunURL(t, func(t *testing.T, url string) {
				d, pool := openDatabase(t, url)
				s, p := openService(t, d, Options{})
				pictures := test.steps(t, s)
				sweepAfter(t, s, p)
				if test.wantVisible {
					wantFiles(t, p, pictures[0].own.file)
				} else {
					wantFiles(t, p)
				}
				wantConsistent(t, pool, p)
			})
		})
	}
}

// insertOnce stores the rows of pictures, and nothing else.
func insertOnce(t *testing.T, s *Service, pictures []*picture) (images []Image, err error) {
	t.Helper()
	err = s.Database.InTx(t.Context(), func(q *db.Queries) (err error) {
		images, err = s.insertRows(t.Context(), q, UploadOptions{}, pictures)
		return err
	})
	return images, err
}

// TestSweepWaitsForCommitUnderWay sweeps while the database still commits for a killed process.
func TestSweepWaitsForCommitUnderWay(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, p := openService(t, d, Options{})
		_, pictures := placed(t, s)
		inserted, commit := make(chan struct{}), make(chan struct{})
		committed := make(chan error, 1)
		go func() {
			committed <- d.InTx(t.Context(), func(q *db.Queries) error {
				_, err := s.insertRows(t.Context(), q, UploadOptions{}, pictures)
				close(inserted)
				<-commit
				return err
			})
		}()
		<-inserted
		time.AfterFunc(50*time.Millisecond, func() { close(commit) })
		sweepAfter(t, s, p)
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
		wantFiles(t, p, pictures[0].own.file)
	})
}

func TestSweepLeavesLivingProcessesAlone(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, p := openService(t, d, Options{})
		batch, pictures := placed(t, s)
		for _, service := range []*Service{s, anotherProcess(t, s, p)} {
			sweep(t, service)
		}
		addRows(t, s, pictures)
		if err := batch.Keep(); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, p, pictures[0].own.file)
	})
}

// placed returns pictures that are placed and have no rows; usually one.
func placed(t *testing.T, s *Service, data ...[]byte) (*storage.Batch, []*picture) {
	t.Helper()
	if data == nil {
		data = [][]byte{encodeJPEG(t, 8, 8)}
	}
	var uploads []*Upload
	for _, one := range data {
		uploads = append(uploads, upload("a.jpg", one))
	}
	batch := s.Store.NewBatch()
	pictures, err := s.receiveAll(t.Context(), batch, UploadOptions{}, each(uploads...))
	if err != nil {
		t.Fatal(err)
	}
	if err := batch.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	return batch, pictures
}

func addRows(t *testing.T, s *Service, pictures []*picture) {
	t.Helper()
	if _, err := insertOnce(t, s, pictures); err != nil {
		t.Fatal(err)
	}
}
