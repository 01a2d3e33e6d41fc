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

func wantNotes(t *testing.T, pool *sql.DB, want int) {
	t.Helper()
	var notes int
	if err := pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM audit_events").Scan(&notes); err != nil {
		t.Fatal(err)
	}
	if notes != want {
		t.Errorf("%d notes, want %d", notes, want)
	}
}

func TestUploadCommitsAlong(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		for i, count := range []int{1, 3} {
			s, dir := openService(t, d, Options{})
			var uploads []*Upload
			for range count {
				uploads = append(uploads, upload("a.jpg", encodeJPEG(t, 8, 8)))
			}
			var told []Image
			commit := func(q *db.Queries, images []Image) error {
				told = images
				for _, image := range images { // it runs before the rows are there
					if _, err := q.GetImageOfOwner(t.Context(), db.GetImageOfOwnerParams{ID: image.ID}); !errors.Is(err, sql.ErrNoRows) {
						t.Errorf("row %s: %v, want sql.ErrNoRows", image.ID, err)
					}
				}
				return note(t, q)
			}
			images, err := s.Upload(t.Context(), "", each(uploads...), commit)
			if err != nil || !reflect.DeepEqual(told, images) {
				t.Errorf("commit is told of %q, %v, want %q", namesOf(told), err, namesOf(images))
			}
			wantNotes(t, pool, i+1)
			wantFiles(t, dir, namesOf(images)...)
			for _, image := range images {
				wantRow(t, pool, image)
			}
		}
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
				s, dir := openService(t, d, Options{})
				commit := func(q *db.Queries, images []Image) error { return test.commit(t, q, images) }
				_, err := s.Upload(t.Context(), "", each(upload("a.jpg", encodeJPEG(t, 8, 8))), commit)
				if !test.want(err) {
					t.Errorf("error is %v", err)
				}
				wantFiles(t, dir)
				wantNoRows(t, pool)
				wantNotes(t, pool, 0)
			})
		}
	})
}

// TestInsertSettlesWithCommit runs a transaction again whose first run was stored after all, commit included.
func TestInsertSettlesWithCommit(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, _ := openService(t, d, Options{})
		batch, image := placed(t, s)
		commit := func(q *db.Queries, _ []Image) error { return note(t, q) }
		for range 2 {
			if err := s.insert(t.Context(), batch, []Image{image}, commit); err != nil {
				t.Error(err)
			}
		}
		wantNotes(t, pool, 1)
	})
}
