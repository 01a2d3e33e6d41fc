package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	coldThumbnails     = 20
	parallelThumbnails = 64
	thumbnailQuery     = "?w=320"
)

// coldThumbnail measures the milliseconds that the server computes for a thumbnail that it has not
// made before.
func coldThumbnail(ctx context.Context, s *server) (float64, error) {
	urls, err := s.uploadPhotographs(ctx, coldThumbnails)
	if err != nil {
		return 0, err
	}
	before, err := processorTime(s.Process.Pid)
	if err != nil {
		return 0, err
	}
	for _, url := range urls {
		if _, err := s.load(ctx, url+thumbnailQuery); err != nil {
			return 0, err
		}
	}
	after, err := processorTime(s.Process.Pid)
	return milliseconds(after-before) / coldThumbnails, err
}

// vipsThumbnail measures the same of vipsthumbnail. It makes all thumbnails in one process, since the
// server does not start anew for each, either. It decodes at a quarter of the sides, to shrink that well,
// where an eighth is enough for the server.
func vipsThumbnail(ctx context.Context, b *bench, _ string) (float64, error) {
	photo, err := photograph()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(b.dir, "vips-")
	if err != nil {
		return 0, err
	}
	args := []string{"--size", "320x"}
	for i := range coldThumbnails {
		file := filepath.Join(dir, strconv.Itoa(i)+".jpg")
		if err := os.WriteFile(file, numbered(photo, i), 0o600); err != nil {
			return 0, err
		}
		args = append(args, file)
	}
	cmd := exec.CommandContext(ctx, "vipsthumbnail", args...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("vipsthumbnail: %w\n%s", err, output)
	}
	computed := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return milliseconds(computed) / coldThumbnails, os.RemoveAll(dir)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// cachedThumbnail is the traffic of readers of a thumbnail that is stored, and notes it for nginx.
func cachedThumbnail(ctx context.Context, s *server) (traffic, error) {
	urls, err := s.uploadPhotographs(ctx, 1)
	if err != nil {
		return traffic{}, err
	}
	url := urls[0] + thumbnailQuery
	s.bench.thumbnail, err = s.load(ctx, url)
	return get(url, ""), err
}

// thumbnailMemory measures the most megabytes that a server ever had resident of which many readers
// want thumbnails at once that it has not made before, each of another picture.
func thumbnailMemory(ctx context.Context, s *server) (float64, error) {
	urls, err := s.uploadPhotographs(ctx, parallelThumbnails)
	if err != nil {
		return 0, err
	}
	if err := s.restart(ctx); err != nil { // lest the uploads count
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, url := range urls {
		group.Go(func() error {
			_, err := s.load(ctx, url+thumbnailQuery)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return peakResident(s.Process.Pid)
}

// uploadPhotographs uploads different photographs and waits until each has been decoded, so that the
// server has nothing to do when it returns.
func (s *server) uploadPhotographs(ctx context.Context, n int) (urls []string, err error) {
	photo, err := photograph()
	if err != nil {
		return nil, err
	}
	for i := range n {
		url, err := s.uploadPicture(ctx, "/upload/file?wait=true", numbered(photo, i))
		if err != nil {
			return nil, err
		}
		urls = append(urls, url)
	}
	return urls, nil
}

func (s *server) load(ctx context.Context, url string) ([]byte, error) {
	return s.persist(ctx, func() (*http.Response, []byte, error) { return s.send(ctx, http.MethodGet, url, "", nil) })
}

// processorTime returns how long a process has computed, for itself and in the kernel.
func processorTime(pid int) (time.Duration, error) {
	const (
		user, system = 11, 12                // fields behind the name
		tick         = 10 * time.Millisecond // on every machine that Go runs on
	)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) <= system {
		return 0, fmt.Errorf("read the processor time of process %d: %q", pid, stat)
	}
	var sum time.Duration
	for _, field := range []string{fields[user], fields[system]} {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}
