package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	startPatience = 30 * time.Second
	stopPatience  = 10 * time.Second
)

// process is a server that runs beside the bench, until stop or the end of its context.
type process struct {
	*exec.Cmd
	address string // host:port
	cancel  context.CancelFunc
	ended   chan error
}

// startProcess starts a server in a folder, and returns when it listens on the address.
// What it prints goes to a file in that folder.
func startProcess(ctx context.Context, dir, address, program string, args ...string) (*process, error) {
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	ctx, cancel := context.WithCancel(ctx)
	p := &process{exec.CommandContext(ctx, program, args...), address, cancel, make(chan error, 1)}
	p.Dir, p.Stdout, p.Stderr = dir, output, output
	p.Env = []string{} // so that nothing there changes what is measured
	p.Cancel = func() error { return p.Process.Signal(syscall.SIGTERM) }
	p.WaitDelay = stopPatience
	if err := p.Start(); err != nil {
		cancel()
		return nil, err
	}
	go func() { p.ended <- p.Wait() }()
	if err := p.await(ctx); err != nil {
		said, _ := os.ReadFile(output.Name()) // what can be had of it
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", program, err, said), p.stop())
	}
	return p, nil
}

// await returns when the server listens.
func (p *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		connection, err := net.Dial("tcp", p.address)
		if err == nil {
			return connection.Close()
		}
		select {
		case ended := <-p.ended:
			p.ended <- ended
			return fmt.Errorf("it ended: %w", ended)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends the process as an operator would.
func (p *process) stop() error {
	p.cancel()
	if err := <-p.ended; err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("stop %s: %w", p.Path, err)
	}
	return nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
