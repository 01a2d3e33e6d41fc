package image

import (
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

// TestQuotaIsExact uploads on two nodes at once, as much as is allowed and more.
func TestQuotaIsExact(t *testing.T) {
	data := distinct(t, 50)
	most := int64(len(data[0]))
	for _, one := range data {
		most = max(most, int64(len(one)))
	}
	tests := []struct {
		name       string
		quota      Quota
		wantImages func(images int64) bool
		wantCode   apperr.Code
	}{
		{"count", Quota{Images: 17}, func(images int64) bool { return images == 17 }, apperr.ImageCountExceeded},
		{"bytes", Quota{Bytes: 17 * most}, func(images int64) bool { return images >= 17 && images < 50 }, apperr.ImageBytesExceeded},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dbtest.RunURL(t, func(t *testing.T, url string) {
				d, pool := openDatabase(t, url)
				one, p := openService(t, d, Options{Quota: test.quota})
				two := anotherProcess(t, one, p)
				owner := uuid.NewString()
				var stored atomic.Int64
				together(len(data), func(i int) {
					s := []*Service{one, two}[i%2]
					_, err := s.Upload(t.Context(), UploadOptions{OwnerID: owner}, each(upload("a.jpg", data[i])))
					if err == nil {
						stored.Add(1)
					} else if !apperr.Is(err, test.wantCode) {
						t.Errorf("error is %v, want code %d", err, test.wantCode)
					}
				})
				has, err := d.Queries().SumImagesOfOwner(t.Context(), owner)
				if err != nil || has.Images != stored.Load() || !test.wantImages(has.Images) {
					t.Errorf("%d images, %v, of which %d were acknowledged", has.Images, err, stored.Load())
				}
				if test.quota.Bytes > 0 && (has.Bytes > test.quota.Bytes || has.Bytes <= test.quota.Bytes-most) {
					t.Errorf("%d bytes, want as many of %d as fit", has.Bytes, test.quota.Bytes)
				}
				wantConsistent(t, pool, p)
				wantAllOwned(t, pool)
			})
		})
	}
}

func TestQuota(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		data := encodeJPEG(t, 8, 8)
		size := int64(len(data))
		s, p := openService(t, d, Options{Quota: Quota{Images: 3, Bytes: 2*size + 10}})
		owner := uuid.NewString()
		first := uploadOne(t, s, owner, data)
		uploadOne(t, s, owner, data) // bytes that are stored once count for each of its images
		tests := []struct {
			name  string
			owner string
			bytes int64
			want  apperr.Code
		}{
			{"exactly", owner, 10, apperr.OK},
			{"one byte more", owner, 11, apperr.ImageBytesExceeded},
			{"somebody else", uuid.NewString(), 2 * size, apperr.OK},
			{"nobody", "", 1 << 40, apperr.OK},
		}
		for _, test := range tests {
			err := s.CheckQuota(t.Context(), d.Queries(), test.owner, Quota{Images: 1, Bytes: test.bytes})
			if err != nil != (test.want != apperr.OK) || err != nil && !apperr.Is(err, test.want) {
				t.Errorf("%s: %v, want code %d", test.name, err, test.want)
			}
		}
		_, err := s.Upload(t.Context(), UploadOptions{OwnerID: owner}, each(upload("a.jpg", data)))
		if !apperr.Is(err, apperr.ImageBytesExceeded) {
			t.Errorf("uploaded more than allowed: %v", err)
		}
		wantFiles(t, p, first.file)
		if err := s.Delete(t.Context(), owner, first.ID); err != nil {
			t.Fatal(err)
		}
		uploadOne(t, s, owner, data) // what is deleted does not count
		for range 10 {
			uploadOne(t, s, "", data) // nobody has no quota
		}
	})
}
