package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// uploadHEIC measures how many photographs of an iPhone the server takes in a second, from a client
// for each core that comes back where the server is too busy.
func uploadHEIC(ctx context.Context, s *server) (float64, error) {
	photo, err := s.bench.heic(ctx)
	if err != nil {
		return 0, err
	}
	contentType, body, err := form(photo)
	if err != nil {
		return 0, err
	}
	return s.bench.repeat(ctx, func(ctx context.Context) error {
		_, err := s.persist(ctx, func() (*http.Response, []byte, error) {
			return s.send(ctx, http.MethodPost, s.url("/upload/file"), contentType, bytes.NewReader(body))
		})
		return err
	})
}

// heifConvert measures how many of them libheif makes JPEGs of in a second, with a process for each core.
func heifConvert(ctx context.Context, b *bench, _ string) (float64, error) {
	if _, err := b.heic(ctx); err != nil {
		return 0, err
	}
	return b.repeat(ctx, func(ctx context.Context) error {
		dir, err := os.MkdirTemp(b.dir, "heif-")
		if err != nil {
			return err
		}
		output, err := exec.CommandContext(ctx, "heif-convert", "-q", "90",
			filepath.Join(b.dir, heicName), filepath.Join(dir, pictureName)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("heif-convert: %w\n%s", err, output)
		}
		return os.RemoveAll(dir)
	})
}
