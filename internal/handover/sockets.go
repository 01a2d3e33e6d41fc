// Package handover owns the listening sockets: where they come from, how the next process takes them over, and how
// they are closed without losing a connection.
package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/cloudflare/tableflip"
	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// startTimeout is how long the next process may take to be ready. Migrations are part of it.
const startTimeout = 5 * time.Minute

// hearsay is more than the time after which Upgrade knows, too, what WaitForParent has heard.
const hearsay = 50 * time.Millisecond

// The origins of sockets. One of systemd goes on when this process ends.
const (
	ours      = "tcp"
	ofSystemd = "systemd"
)

// Sockets are the listening sockets of this process. They come from the process before it, from systemd, or else
// are made.
type Sockets struct {
	upgrader   *tableflip.Upgrader
	activated  map[string][]net.Listener // by systemd; by FileDescriptorName
	listeners  []*Listener
	handedOver atomic.Bool
}

// Open takes what the process before this one, or systemd, has passed on. A process may call it once.
func Open() (*Sockets, error) {
	activated, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take the sockets of systemd: %w", err)
	}
	upgrader, err := tableflip.New(tableflip.Options{UpgradeTimeout: startTimeout})
	if err != nil {
		return nil, fmt.Errorf("take the sockets of the process before: %w", err)
	}
	return &Sockets{upgrader: upgrader, activated: activated}, nil
}

// Listen returns the socket of a name: the one that the process before this one had for that name and address, or
// the one that systemd passed with that FileDescriptorName, or a new one.
func (s *Sockets) Listen(name, address string) (*Listener, error) {
	key := name + " " + address // two names may both ask for port 0
	for _, origin := range []string{ours, ofSystemd} {
		inherited, err := s.upgrader.Listener(origin, key)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		if inherited != nil {
			return s.add(inherited.(*net.TCPListener), origin), nil
		}
	}
	made, origin, err := s.make(name, address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if err := s.upgrader.AddListener(origin, key, made); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the socket of %s for the next process: %w", address, err), made.Close())
	}
	return s.add(made, origin), nil
}

func (s *Sockets) make(name, address string) (made *net.TCPListener, origin string, err error) {
	listener, origin := s.takeActivated(name), ofSystemd
	if listener == nil {
		origin = ours
		listener, err = net.Listen("tcp", address)
	}
	if err != nil {
		return nil, "", err
	}
	made, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, "", errors.Join(fmt.Errorf("systemd passed a socket of %s: want ListenStream= with a port", listener.Addr().Network()), listener.Close())
	}
	return made, origin, nil
}

// takeActivated returns nil if systemd passed nothing for a name.
func (s *Sockets) takeActivated(name string) net.Listener {
	named := s.activated[name]
	delete(s.activated, name)
	if len(named) == 0 {
		return nil
	}
	return named[0]
}

func (s *Sockets) add(l *net.TCPListener, origin string) *Listener {
	added := &Listener{TCPListener: l, goesOn: origin == ofSystemd}
	s.listeners = append(s.listeners, added)
	return added
}

// Ready tells the process before this one, which then stops, and systemd that this one serves. Its error names a
// socket that systemd passed and nobody asked for.
func (s *Sockets) Ready() error {
	for name := range s.activated {
		return fmt.Errorf("systemd passed a socket called %s, which nothing here listens on: set FileDescriptorName= in its unit", name)
	}
	if err := s.upgrader.Ready(); err != nil {
		return fmt.Errorf("tell the process before that this one serves: %w", err)
	}
	return notify(fmt.Sprintf("%s\nMAINPID=%d", daemon.SdNotifyReady, os.Getpid()))
}

// HandOver starts the program that is on disk, with the same arguments, and returns when that one serves. While the
// process before this one still finishes, it waits for that. Its error says why nobody took over; then nothing has
// changed.
func (s *Sockets) HandOver(ctx context.Context) error {
	if err := notify(daemon.SdNotifyReloading); err != nil {
		return err
	}
	if err := s.upgrade(ctx); err != nil {
		return errors.Join(err, notify(daemon.SdNotifyReady))
	}
	s.handedOver.Store(true)
	return nil
}

func (s *Sockets) upgrade(ctx context.Context) error {
	if s.upgrader.HasParent() {
		if err := s.upgrader.WaitForParent(ctx); err != nil {
			return fmt.Errorf("wait for the process before to end: %w", err)
		}
		time.Sleep(hearsay)
	}
	return s.upgrader.Upgrade()
}

// Keep refuses to hand over from now on. A program that was started and is not ready yet is killed.
func (s *Sockets) Keep() {
	s.upgrader.Stop()
	<-s.upgrader.Exit() // its copies of the sockets are closed then
}

// Close ends every Accept, after it gave out the connections that were made already. Who connects afterwards is
// refused, or is served by who goes on with the socket.
func (s *Sockets) Close() error {
	var err error
	handedOver := s.handedOver.Load()
	if !handedOver {
		err = notify(daemon.SdNotifyStopping)
	}
	s.Keep()
	for _, l := range s.listeners {
		l.goesOn = l.goesOn || handedOver
		err = errors.Join(err, l.Close())
	}
	return err
}

// notify tells systemd, if it wants to know.
func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
