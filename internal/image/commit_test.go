package image

import (
	"database/sql"
	"errors"
	"reflect"
	"testing"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// note adds a row that can be counted.
func note(t *testing.T, q *db.Queries) error {
	return q.InsertAuditEvent(t.Context(), db.InsertAuditEventParams{ID: uuid.NewString(), CreatedAt: fixedNow})
}

func TestUploadCommitsAlong(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		for i, count := range []int{1, 3} {
			s, p := openService(t, d, Options{})
			var uploads []*Upload
			for _, data := range distinct(t, 3*count)[2*count:] {
				uploads = append(uploads, upload("a.jpg", data))
			}
			var told []Image
			commit := func(q *db.Queries, images []Image) error {
				told = images
				for _, image := range images { // it runs before the rows are there
					if _, err := q.GetImage(t.Context(), image.ID); !errors.Is(err, sql.ErrNoRows) {
						t.Errorf("row %s: %v, want sql.ErrNoRows", image.ID, err)
					}
				}
				return note(t, q)
			}
			images, err := s.Upload(t.Context(), UploadOptions{Commit: commit}, each(uploads...))
			if err != nil || !reflect.DeepEqual(told, images) {
				t.Errorf("commit is told of %q, %v, want %q", namesOf(told), err, namesOf(images))
			}
			wantCount(t, pool, "audit_events", i+1)
			wantFiles(t, p, filesOf(images...)...)
		}
		wantCount(t, pool, "images", 4)
	})
}

func TestUploadWithFailingCommit(t *testing.T) {
	refused := errors.New("refused")
	tests := []struct {
		name   string
		commit func(t *testing.T, q *db.Queries, images []Image) error
		want   func(err error) bool
	}{
		{"refuses", func(t *testing.T, q *db.Queries, images []Image) error {
			return errors.Join(note(t, q), refused)
		}, func(err error) bool { return errors.Is(err, refused) }},
		{"has a code", func(t *testing.T, q *db.Queries, images []Image) error {
			return apperr.New(apperr.IdempotencyKeyReused)
		}, func(err error) bool { return apperr.Is(err, apperr.IdempotencyKeyReused) }},
		{"finds a duplicate of its own", func(t *testing.T, q *db.Queries, images []Image) error {
			row := db.InsertAuditEventParams{ID: uuid.NewString(), CreatedAt: fixedNow}
			return errors.Join(q.InsertAuditEvent(t.Context(), row), q.InsertAuditEvent(t.Context(), row))
		}, database.IsDuplicate},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				d, pool := openDatabase(t, url)
				s, p := openService(t, d, Options{})
				commit := func(q *db.Queries, images []Image) error { return test.commit(t, q, images) }
				_, err := s.Upload(t.Context(), UploadOptions{Commit: commit}, each(upload("a.jpg", encodeJPEG(t, 8, 8))))
				if !test.want(err) {
					t.Errorf("error is %v", err)
				}
				wantFiles(t, p)
				for _, table := range []string{"images", "blobs", "audit_events"} {
					wantCount(t, pool, table, 0)
				}
			})
		}
	})
}

// TestCommitIsToldOfTheBlob runs a transaction again, because somebody else has just stored the same bytes.
func TestCommitIsToldOfTheBlob(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		batch, pictures := placed(t, s)
		first := uploadOne(t, s, "", encodeJPEG(t, 8, 8))
		var told []Image
		commit := func(q *db.Queries, images []Image) error {
			told = images
			return note(t, q)
		}
		images, err := s.insert(t.Context(), batch, UploadOptions{Commit: commit}, pictures)
		if err != nil || !reflect.DeepEqual(told, images) || images[0].file != first.file {
			t.Errorf("commit is told of %+v, %v, want %+v", told, err, images)
		}
		wantCount(t, pool, "audit_events", 1)
		wantFiles(t, p, first.file)
	})
}

// TestInsertSettlesWithCommit runs a transaction again whose first run was stored after all, commit included.
func TestInsertSettlesWithCommit(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		batch, pictures := placed(t, s)
		commit := func(q *db.Queries, _ []Image) error { return note(t, q) }
		err := d.InTx(t.Context(), func(q *db.Queries) error {
			_, err := s.insertRows(t.Context(), q, UploadOptions{Commit: commit}, pictures)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.insert(t.Context(), batch, UploadOptions{Commit: commit}, pictures); err != nil {
			t.Error(err)
		}
		wantCount(t, pool, "audit_events", 1)
		sweep(t, s)
		wantFiles(t, p, pictures[0].own.file)
	})
}
