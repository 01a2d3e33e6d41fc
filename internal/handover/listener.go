package handover

import (
	"errors"
	"net"
	"sync"
)

// Listener is a listening socket that loses no connection when it is closed.
type Listener struct {
	*net.TCPListener
	goesOn bool // another process has the socket too

	mu     sync.Mutex
	closed bool
	queue  []net.Conn // taken from the kernel at the close
}

// Accept returns the next connection. After Close it returns those that were made before it, and then
// net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if err == nil {
		return conn, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		return nil, err
	}
	if len(l.queue) == 0 {
		return nil, net.ErrClosed
	}
	conn, l.queue = l.queue[0], l.queue[1:]
	return conn, nil
}

// Close stops listening. The kernel would reset the connections that it has made and nobody has accepted yet, whose
// clients may have sent a request already: they are taken first, unless another process accepts them.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var err error
	if !l.goesOn {
		l.queue, err = takeQueue(l.TCPListener)
	}
	return errors.Join(err, l.TCPListener.Close())
}
