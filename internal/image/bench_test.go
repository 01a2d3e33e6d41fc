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
			if _, err := s.Upload(b.Context(), UploadOptions{}, each(upload("照片.jpg", data))); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkReceive is an upload of new bytes without the database.
func BenchmarkReceive(b *testing.B) {
	s, _ := openService(b, nil, Options{})
	data := photo(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			batch := s.Store.NewBatch()
			p, err := s.receive(b.Context(), batch, upload("照片.jpg", data), s.MaxBytes)
			if err == nil {
				err = p.write(batch)
			}
			if err == nil {
				err = batch.Place(b.Context())
			}
			if err == nil {
				err = batch.Keep()
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkFindAndOpen(b *testing.B) {
	s, _ := openService(b, dbtest.Open(b, ""), Options{CacheBytes: 1 << 20})
	image := uploadOne(b, s, "", photo(b))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			found, err := s.Find(b.Context(), image.Name, Reader{})
			if err != nil {
				b.Error(err)
				continue
			}
			f, err := s.Open(b.Context(), found)
			if err != nil {
				b.Error(err)
				continue
			}
			f.Content.Close()
		}
	})
}
