package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	connections = 16          // clients that call at once
	floodLead   = time.Second // for which logins flood before a measurement, and after it
)

// report is what report.lua prints.
type report struct {
	Requests int
	Failed   int
	Seconds  float64
	P99      float64 // ms
}

// wrk returns an error where a request was not answered with 2xx. The duration is cut to seconds.
func (b *bench) wrk(ctx context.Context, t traffic, duration time.Duration) (report, error) {
	return b.wrkOn(ctx, connections, t, duration)
}

func (b *bench) wrkOn(ctx context.Context, connections int, t traffic, duration time.Duration) (report, error) {
	args := []string{
		"--threads=2", "--connections=" + strconv.Itoa(connections), fmt.Sprintf("--duration=%ds", duration/time.Second),
		"--timeout=10s", "--script=" + t.script,
	}
	if t.token != "" {
		args = append(args, "--header=Authorization: Bearer "+t.token)
	}
	syscall.Sync() // lest the disk be busy with what an earlier measurement wrote
	cmd := exec.CommandContext(ctx, "wrk", append(append(args, t.url, "--"), t.args...)...)
	cmd.Dir = b.dir
	output, err := cmd.CombinedOutput()
	if err != nil {
		return report{}, fmt.Errorf("wrk: %w\n%s", err, output)
	}
	var r report
	lines := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &r); err != nil {
		return report{}, fmt.Errorf("wrk reported nothing: %w\n%s", err, output)
	}
	if r.Failed > 0 || r.Requests == 0 {
		return report{}, fmt.Errorf("%d of %d requests to %s failed\n%s", r.Failed, r.Requests, t.url, output)
	}
	return r, nil
}

// rate measures how many requests are answered in a second.
func (b *bench) rate(ctx context.Context, t traffic) (float64, error) {
	r, err := b.wrk(ctx, t, b.duration)
	if err != nil {
		return 0, err
	}
	return float64(r.Requests) / r.Seconds, nil
}

// rateOf makes a measurement of a server of some traffic.
func rateOf(make func(context.Context, *server) (traffic, error)) measurement {
	return func(ctx context.Context, s *server) (float64, error) {
		t, err := make(ctx, s)
		if err != nil {
			return 0, err
		}
		return s.bench.rate(ctx, t)
	}
}

// p99WhileLoginsFlood measures the milliseconds within which 99 of 100 requests are answered,
// while as many clients again do nothing but log in.
func p99WhileLoginsFlood(make func(context.Context, *server) (traffic, error)) measurement {
	return func(ctx context.Context, s *server) (float64, error) {
		t, err := make(ctx, s)
		if err != nil {
			return 0, err
		}
		flood, err := login(ctx, s)
		if err != nil {
			return 0, err
		}
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			_, err := s.bench.wrk(ctx, flood, s.bench.duration+2*floodLead)
			return err
		})
		var measured report
		group.Go(func() (err error) {
			time.Sleep(floodLead)
			measured, err = s.bench.wrk(ctx, t, s.bench.duration)
			return err
		})
		err = group.Wait()
		return measured.P99, err
	}
}
