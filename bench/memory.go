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

const bigUploads = 50

// peakMemory measures the most megabytes that the server ever had resident, once it has taken
// big uploads that were all under way at once.
func peakMemory(ctx context.Context, s *server) (float64, error) {
	picture, err := bigPicture()
	if err != nil {
		return 0, err
	}
	contentType, body, err := form(numbered(picture, 0))
	if err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	middle := &meeting{ctx: ctx, complete: make(chan struct{})}
	for i := range bigUploads {
		group.Go(func() error {
			return s.post(ctx, "/upload/file", contentType, numberedForm(body, i, middle), nil)
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return peakResident(s.Process.Pid)
}

// numberedForm is a form whose picture has the number 0, with another number, and with what is to
// happen when half of it is sent. It shares the bytes of the form.
func numberedForm(form []byte, n int, middle io.Reader) io.Reader {
	before, after, _ := bytes.Cut(form, fmt.Appendf(nil, numberFormat, 0))
	half := len(after) / 2
	return io.MultiReader(bytes.NewReader(before), bytes.NewReader(fmt.Appendf(nil, numberFormat, n)),
		bytes.NewReader(after[:half]), middle, bytes.NewReader(after[half:]))
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
func peakResident(pid int) (float64, error) { return resident(pid, "VmHWM") }

// resident returns the megabytes that the kernel gives under a name: VmHWM at most, VmRSS now.
func resident(pid int, name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), name+":")
	amount, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kibibytes, err := strconv.ParseFloat(amount, 64)
	return kibibytes * 1024 / 1e6, err
}
