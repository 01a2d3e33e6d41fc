package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	bigUploads     = 50
	bigUploadBytes = 50_000_000
)

// peakMemory measures the most megabytes that the server ever had resident, once it has taken
// big uploads that were all under way at once.
func peakMemory(ctx context.Context, s *server) (float64, error) {
	contentType, form, err := s.bench.form()
	if err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	middle := &meeting{ctx: ctx, complete: make(chan struct{})}
	for range bigUploads {
		group.Go(func() error {
			return s.post(ctx, "/upload/file", contentType, bigForm(form, s.bench.picture, middle), nil)
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return peakResident(s.Process.Pid)
}

// bigForm makes a big picture of the one in the form, by zeros behind its end.
func bigForm(form, picture []byte, middle io.Reader) io.Reader {
	end := bytes.Index(form, picture) + len(picture)
	half := int64(bigUploadBytes-len(picture)) / 2
	return io.MultiReader(bytes.NewReader(form[:end]),
		io.LimitReader(zeros{}, half), middle, io.LimitReader(zeros{}, half), bytes.NewReader(form[end:]))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// meeting is a reader of nothing that returns when every upload has come to read it.
type meeting struct {
	ctx      context.Context
	arrived  atomic.Int32
	complete chan struct{}
}

func (m *meeting) Read([]byte) (int, error) {
	if m.arrived.Add(1) == bigUploads {
		close(m.complete)
	}
	select {
	case <-m.complete:
		return 0, io.EOF
	case <-m.ctx.Done():
		return 0, m.ctx.Err()
	}
}

// peakResident returns the megabytes that the kernel saw resident at most.
func peakResident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	amount, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kibibytes, err := strconv.ParseFloat(amount, 64)
	return kibibytes * 1024 / 1e6, err
}
