package database_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func newImage() db.InsertImageParams {
	id := newID()
	return db.InsertImageParams{
		ID:           id,
		OwnerID:      newID(),
		Name:         id + ".jpg",
		OriginalName: "照片.jpg",
		Bytes:        48 << 10,
		Width:        640,
		Height:       480,
		ContentType:  "image/jpeg",
		Sha256:       bytes.Repeat([]byte{1}, 32),
		CreatedAt:    time.Now(),
	}
}

// benchmark runs the benchmark once for each kind of database.
func benchmark(b *testing.B, run func(b *testing.B, d *database.Database)) {
	b.Run("sqlite", func(b *testing.B) { run(b, dbtest.Open(b, "")) })
	b.Run("mysql", func(b *testing.B) { run(b, dbtest.Open(b, dbtest.MySQL(b))) })
}

// BenchmarkInTxInsert inserts single rows, for many clients at the same time.
func BenchmarkInTxInsert(b *testing.B) {
	benchmark(b, func(b *testing.B, d *database.Database) {
		b.SetParallelism(8)
		b.ReportAllocs()
		b.ResetTimer() // the first call may have started a server
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				err := d.InTx(b.Context(), func(q *db.Queries) error {
					return q.InsertImage(b.Context(), newImage())
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkRead reads a user, as many requests do.
func BenchmarkRead(b *testing.B) {
	benchmark(b, func(b *testing.B, d *database.Database) {
		u := newUser("1")
		if err := insertUser(b.Context(), d, u); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := d.Queries().GetUser(b.Context(), u.ID); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
