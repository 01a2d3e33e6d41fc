package image

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// uploadFor stores pictures for an owner, and returns them with the newest first.
func uploadFor(tb testing.TB, s *Service, owner string, count int) []Image {
	tb.Helper()
	data := encodeJPEG(tb, 8, 8)
	var uploads []*Upload
	for i := range count {
		uploads = append(uploads, upload(fmt.Sprintf("照片 %d.jpg", i), data))
	}
	images, err := s.Upload(tb.Context(), owner, each(uploads...), nil)
	if err != nil {
		tb.Fatal(err)
	}
	slices.Reverse(images)
	return images
}

func namesOf(images []Image) []string {
	names := make([]string, len(images))
	for i, image := range images {
		names[i] = image.Name
	}
	return names
}

// wantConsistent checks that no file lacks its row, no row its file, and nothing is undecided.
func wantConsistent(t *testing.T, pool *sql.DB, dir string) {
	t.Helper()
	rows, err := pool.QueryContext(t.Context(), "SELECT name FROM images")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, names...)
}

func TestGetIsForTheOwner(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		owner := uuid.NewString()
		mine, nobodys := uploadFor(t, s, owner, 1)[0], uploadFor(t, s, "", 1)[0]
		got, err := s.Get(t.Context(), owner, mine.ID)
		if err != nil || !reflect.DeepEqual(got, mine) {
			t.Errorf("got %+v, %v, want %+v", got, err, mine)
		}
		tests := []struct{ name, owner, id string }{
			{"of another user", uuid.NewString(), mine.ID},
			{"of nobody", owner, nobodys.ID},
			{"for nobody", "", nobodys.ID},
			{"unknown", owner, uuid.NewString()},
			{"no id", owner, ""},
			{"its name", owner, mine.Name},
		}
		for _, test := range tests {
			if got, err := s.Get(t.Context(), test.owner, test.id); !apperr.Is(err, apperr.ImageNotFound) {
				t.Errorf("%s: got %+v, %v, want ImageNotFound", test.name, got, err)
			}
		}
	})
}

func TestList(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		s, _ := openService(t, d, Options{})
		owner := uuid.NewString()
		uploadFor(t, s, uuid.NewString(), 2)
		all := uploadFor(t, s, owner, 7)
		uploadFor(t, s, uuid.NewString(), 2)
		tests := []struct {
			name     string
			owner    string
			before   string
			limit    int
			want     []Image
			wantMore bool
		}{
			{"first page", owner, "", 3, all[:3], true},
			{"second page", owner, all[2].ID, 3, all[3:6], true},
			{"last page", owner, all[5].ID, 3, all[6:], false},
			{"after the last", owner, all[6].ID, 3, []Image{}, false},
			{"exactly all", owner, "", 7, all, false},
			{"all but one", owner, "", 6, all[:6], true},
			{"nothing asked for", owner, "", 0, all[:1], true},
			{"negative", owner, "", -5, all[:1], true},
			{"boundless", owner, "", 1 << 40, all, false},
			{"user without pictures", uuid.NewString(), "", 3, []Image{}, false},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				got, more, err := s.List(t.Context(), test.owner, test.before, test.limit)
				if err != nil || more != test.wantMore || !reflect.DeepEqual(got, test.want) {
					t.Errorf("got %q, %v, %v, want %q, %v", namesOf(got), more, err, namesOf(test.want), test.wantMore)
				}
			})
		}
	})
}

// TestNobodyOwnsNothing checks that pictures of visitors are not taken for those of one person.
func TestNobodyOwnsNothing(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, dir := openService(t, d, Options{})
		images := uploadFor(t, s, "", 2)
		if got, _, err := s.List(t.Context(), "", "", 10); err == nil {
			t.Errorf("listed %q for nobody", namesOf(got))
		}
		if err := s.DeleteAll(t.Context(), ""); err == nil {
			t.Error("deleted the pictures of nobody")
		}
		wantFiles(t, dir, namesOf(images)...)
		wantConsistent(t, pool, dir)
	})
}

func TestDeleteAll(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, dir := openService(t, d, Options{MaxFiles: 2*deletedAtOnce + 1})
		owner := uuid.NewString()
		kept := append(uploadFor(t, s, uuid.NewString(), 2), uploadFor(t, s, "", 2)...)
		deleted := uploadFor(t, s, owner, 2*deletedAtOnce+1)
		for range 2 { // a deletion can be done again
			if err := s.DeleteAll(t.Context(), owner); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, namesOf(kept)...)
			wantConsistent(t, pool, dir)
		}
		if f, err := s.Open(deleted[0].Name); !apperr.Is(err, apperr.ImageNotFound) {
			t.Errorf("opened %v, %v, want ImageNotFound", f, err)
		}
	})
}

// TestSweepAfterEachStepOfDeletion kills a process between the steps of a deletion.
func TestSweepAfterEachStepOfDeletion(t *testing.T) {
	tests := []struct {
		name  string
		steps func(t *testing.T, s *Service, dir string, images []Image)
		want  int
	}{
		{"nothing done", func(t *testing.T, s *Service, dir string, images []Image) {}, 3},
		{"first marked", func(t *testing.T, s *Service, dir string, images []Image) { mark(t, s, images[:1]) }, 3},
		{"marked", func(t *testing.T, s *Service, dir string, images []Image) { mark(t, s, images) }, 3},
		{"rows deleted", func(t *testing.T, s *Service, dir string, images []Image) {
			mark(t, s, images)
			deleteRows(t, s, images)
		}, 0},
		{"rows deleted by another process too", func(t *testing.T, s *Service, dir string, images []Image) {
			mark(t, s, images)
			mark(t, s, images)
			deleteRows(t, s, images)
			deleteRows(t, s, images)
		}, 0},
		{"first file removed", func(t *testing.T, s *Service, dir string, images []Image) {
			mark(t, s, images)
			deleteRows(t, s, images)
			removeFile(t, dir, images[0])
		}, 0},
		{"files removed", func(t *testing.T, s *Service, dir string, images []Image) {
			mark(t, s, images)
			deleteRows(t, s, images)
			for _, image := range images {
				removeFile(t, dir, image)
			}
		}, 0},
		{"all done", func(t *testing.T, s *Service, dir string, images []Image) {
			if err := s.delete(t.Context(), images); err != nil {
				t.Fatal(err)
			}
		}, 0},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				d, pool := openDatabase(t, url)
				s, dir := openService(t, d, Options{})
				owner := uuid.NewString()
				test.steps(t, s, dir, uploadFor(t, s, owner, 3))
				sweepAfter(t, s, dir)
				wantConsistent(t, pool, dir)
				next := anotherProcess(t, s, dir)
				if left, _, err := next.List(t.Context(), owner, "", 10); err != nil || len(left) != test.want {
					t.Errorf("%d pictures left, %v, want %d", len(left), err, test.want)
				}
				if err := next.DeleteAll(t.Context(), owner); err != nil {
					t.Fatal(err)
				}
				wantFiles(t, dir)
			})
		}
	})
}

func mark(t *testing.T, s *Service, images []Image) {
	t.Helper()
	if _, err := s.disk.Mark(namesOf(images)...); err != nil {
		t.Fatal(err)
	}
}

func deleteRows(t *testing.T, s *Service, images []Image) {
	t.Helper()
	var ids []string
	for _, image := range images {
		ids = append(ids, image.ID)
	}
	if err := s.deleteRows(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
}

func removeFile(t *testing.T, dir string, image Image) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, image.Name[:2], image.Name)); err != nil {
		t.Fatal(err)
	}
}

// TestSweepWaitsForDeletionUnderWay sweeps while the database still commits for a killed process.
func TestSweepWaitsForDeletionUnderWay(t *testing.T) {
	rolledBack := errors.New("rolled back")
	for _, end := range []error{nil, rolledBack} {
		t.Run(fmt.Sprint(end), func(t *testing.T) {
			dbtest.RunURL(t, func(t *testing.T, url string) {
				d, pool := openDatabase(t, url)
				s, dir := openService(t, d, Options{})
				images := uploadFor(t, s, uuid.NewString(), 1)
				mark(t, s, images)
				deleted, finish := make(chan struct{}), make(chan struct{})
				finished := make(chan error, 1)
				go func() {
					finished <- d.InTx(t.Context(), func(q *db.Queries) error {
						err := q.DeleteImages(t.Context(), []string{images[0].ID})
						close(deleted)
						<-finish
						return errors.Join(err, end)
					})
				}()
				<-deleted
				time.AfterFunc(50*time.Millisecond, func() { close(finish) })
				sweepAfter(t, s, dir)
				if err := <-finished; !errors.Is(err, end) {
					t.Fatal(err)
				}
				wantConsistent(t, pool, dir)
				if visible, _ := files(t, dir); (len(visible) == 1) != (end != nil) {
					t.Errorf("files are %q after %v", visible, end)
				}
			})
		})
	}
}

// TestDeletionWithoutDatabase cannot learn whether the rows are deleted: a sweep of the same process decides.
func TestDeletionWithoutDatabase(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		for _, deleted := range []bool{false, true} {
			t.Run(fmt.Sprintf("deleted %v", deleted), func(t *testing.T) {
				d, pool := openDatabase(t, url)
				s, dir := openService(t, d, Options{})
				owner := uuid.NewString()
				images := uploadFor(t, s, owner, 2)
				if deleted {
					deleteRows(t, s, images)
				}
				cutOff := *s
				cutOff.database, _ = openDatabase(t, "")
				if err := cutOff.database.Close(); err != nil {
					t.Fatal(err)
				}
				if err := cutOff.delete(t.Context(), images); err == nil {
					t.Error("deleted without a database")
				}
				if visible, incoming := files(t, dir); len(visible) != 2 || len(incoming) != 2 {
					t.Fatalf("files %q, incoming %q, want both to wait for the sweep", visible, incoming)
				}
				if err := s.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantConsistent(t, pool, dir)
				if err := s.DeleteAll(t.Context(), owner); err != nil {
					t.Fatal(err)
				}
				wantFiles(t, dir)
			})
		}
	})
}

// TestFailedDeletionLeavesPictures goes away before the rows are deleted.
func TestFailedDeletionLeavesPictures(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, dir := openService(t, d, Options{})
		images := uploadFor(t, s, uuid.NewString(), 2)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.delete(gone, images); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want context.Canceled", err)
		}
		wantFiles(t, dir, namesOf(images)...)
		wantConsistent(t, pool, dir)
	})
}

// TestDeleteAllWhileUploading deletes on two nodes while both upload for the same owner.
func TestDeleteAllWhileUploading(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		one, dir := openService(t, d, Options{})
		two := anotherProcess(t, one, dir)
		owner := uuid.NewString()
		uploadFor(t, one, owner, 9)
		data := encodeJPEG(t, 8, 8)
		var group sync.WaitGroup
		for i := range 24 {
			s := []*Service{one, two}[i%2]
			group.Go(func() {
				uploads := []*Upload{upload("a.jpg", data), upload("b.jpg", data)}
				if _, err := s.Upload(t.Context(), owner, each(uploads[:1+i%2]...), nil); err != nil {
					t.Error(err)
				}
			})
			if i%4 < 2 {
				group.Go(func() {
					if err := s.DeleteAll(t.Context(), owner); err != nil {
						t.Error(err)
					}
				})
			}
		}
		group.Wait()
		wantConsistent(t, pool, dir)
		if err := one.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir)
		wantNoRows(t, pool)
	})
}
