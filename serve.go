package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"gatehouse/internal/config"
	"gatehouse/internal/handover"
	"gatehouse/internal/logging"
)

// How long the requests under way may take to finish: longer where the next program serves meanwhile, and nobody
// waits for this one to end.
const (
	stopTimeout     = 30 * time.Second
	handoverTimeout = 10 * time.Minute
)

// serve runs the server until ctx ends or the next program takes over, and then lets the requests under way finish.
func serve(ctx context.Context, options config.Options, stdout, stderr io.Writer) (err error) {
	hangup := notifyHangup()
	if err := os.MkdirAll(options.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	logs, err := logging.New(logging.Options{
		Levels: options.LogLevel, JSON: options.LogFormat == config.LogJSON,
		Dir: filepath.Join(options.DataDir, "log"), Console: stderr,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	sockets, err := handover.Open()
	if err != nil {
		return err
	}
	a, err := newApp(ctx, options, logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()

	a.sweep(ctx) // before anybody asks for what a killed process left behind
	if err := a.listen(sockets); err != nil {
		return err
	}
	address := a.fronts[0].listener.Addr().(*net.TCPAddr)
	a.options.Addr = config.Address(address.String()) // port 0 takes a free one
	a.options.AdminAddr = a.adminAddress()
	if redirect := a.front(redirectFront); redirect != nil {
		a.options.RedirectAddr = config.RedirectAddress(redirect.listener.Addr().String())
	}
	if err := announce(stdout, a.options, address, a.missingCertificates()); err != nil {
		return err
	}
	return a.serve(ctx, sockets, hangup)
}

// notifyHangup tells of each SIGHUP, which asks the program on disk to take over. At a terminal it means that the
// terminal is gone, and ends the process as usual.
func notifyHangup() <-chan os.Signal {
	hangup := make(chan os.Signal, 1)
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		signal.Notify(hangup, syscall.SIGHUP)
	}
	return hangup
}

func (a *app) listen(sockets *handover.Sockets) error {
	var listening []*front
	for _, f := range a.fronts {
		var err error
		f.listener, err = sockets.Listen(f.name, f.address)
		if f.optional && errors.Is(err, syscall.EADDRINUSE) {
			a.log.Warn("going on without the "+f.name+" address, which another process has: name a free one, or none", "error", err)
			continue
		}
		if err != nil {
			return adviseOnPort(err)
		}
		listening = append(listening, f)
	}
	a.fronts = listening
	return nil
}

// adviseOnPort says what a server needs that may not listen on a port.
func adviseOnPort(err error) error {
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%w; below port 1024 a service that is not root needs AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit", err)
	}
	return err
}

func (a *app) serve(ctx context.Context, sockets *handover.Sockets, hangup <-chan os.Signal) error {
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx)) // until the last request is answered
	var background sync.WaitGroup
	background.Go(func() { a.clean(working) })
	background.Go(func() { a.sessions.Run(working) })
	background.Go(func() { a.images.Run(working) })
	background.Go(func() { a.adopt(working) })
	background.Go(func() { a.giveBackMemory(working) })
	if a.backups != nil {
		background.Go(func() { a.backups.Run(working) })
	}
	if a.acme != nil {
		a.answerCA()
		background.Go(func() { a.acme.Run(working) })
	}
	defer func() { stopWorking(); background.Wait() }()

	ended := make(chan error, len(a.fronts))
	for _, f := range a.fronts {
		go func() { ended <- f.serve() }()
	}
	if err := sockets.Ready(); err != nil {
		return err
	}
	a.log.Info("serving", "address", string(a.options.Addr), "version", version, "pid", os.Getpid())
	handedOver := make(chan error, 1)
	for {
		select {
		case err := <-ended:
			return err
		case <-hangup:
			a.log.Info("starting the program on disk, which is to take over")
			go func() { handedOver <- sockets.HandOver(ctx) }()
		case err := <-handedOver:
			if err == nil {
				a.log.Info("the next program serves: letting the requests under way finish")
				return a.drain(ctx, sockets, handoverTimeout)
			}
			a.log.Error("the program on disk did not take over, so this one goes on", "error", err)
		case <-ctx.Done():
			return a.stop(ctx, sockets)
		}
	}
}

// stop lets load balancers see that the server is going, and then the requests under way finish.
func (a *app) stop(ctx context.Context, sockets *handover.Sockets) error {
	a.log.Info("stopping: letting the requests under way finish", "delay", a.options.ShutdownDelay)
	sockets.Keep()
	a.stopping.Store(true)
	time.Sleep(a.options.ShutdownDelay)
	return a.drain(ctx, sockets, stopTimeout)
}

// drain takes no new connections, and ends those that are there, each when its request is answered.
func (a *app) drain(stop context.Context, sockets *handover.Sockets, timeout time.Duration) error {
	ctx, cancel := untilCutOff(stop, timeout, stopTimeout)
	defer cancel()
	err := sockets.Close()
	results := make(chan error)
	for _, f := range a.fronts {
		go func() { results <- f.drain(ctx, a.shutdownIdle()) }()
	}
	for range a.fronts {
		err = errors.Join(err, <-results)
	}
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("some requests were cut off: %w", err)
	}
	return err
}

// untilCutOff ends after a timeout, or earlier: so long after the process was told to stop.
func untilCutOff(stop context.Context, timeout, afterStop time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	context.AfterFunc(stop, func() { time.AfterFunc(afterStop, cancel) })
	return ctx, cancel
}

// shutdownIdle is none in development mode, where no proxy waits for it but a person does.
func (a *app) shutdownIdle() time.Duration {
	if a.options.Mode == config.Dev {
		return 0
	}
	return a.options.ShutdownIdle
}
