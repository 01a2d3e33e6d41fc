package image

import (
	"testing"

	"gatehouse/internal/dbtest"
)

func BenchmarkUpload(b *testing.B) {
	s, _ := openService(b, dbtest.Open(b, ""), Options{})
	data := photo(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	b.SetParallelism(8) // 16 clients on two cores
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Upload(b.Context(), "", each(upload("照片.jpg", data)), nil); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkReceive is BenchmarkUpload without the database.
func BenchmarkReceive(b *testing.B) {
	s, _ := openService(b, nil, Options{})
	data := photo(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			batch := s.disk.NewBatch()
			if _, err := s.receive(batch, upload("照片.jpg", data), s.maxBytes); err != nil {
				b.Error(err)
			}
			if err := batch.Place(); err != nil {
				b.Error(err)
			}
			if err := batch.Keep(); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s, _ := openService(b, dbtest.Open(b, ""), Options{})
	images, err := s.Upload(b.Context(), "", each(upload("照片.jpg", photo(b))), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f, err := s.Open(images[0].Name)
			if err != nil {
				b.Error(err)
				continue
			}
			f.Close()
		}
	})
}
