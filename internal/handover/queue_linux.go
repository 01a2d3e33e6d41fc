package handover

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// takeQueue accepts what is waiting, and ends the socket at the same instant, so that nothing comes in between.
func takeQueue(l *net.TCPListener) (queue []net.Conn, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	var accepted []int
	err = raw.Control(func(fd uintptr) {
		for {
			conn, _, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
				continue
			}
			if err != nil { // EAGAIN: nothing is waiting
				break
			}
			accepted = append(accepted, conn)
		}
		_ = unix.Shutdown(int(fd), unix.SHUT_RD) // which is closed next, whatever this says
	})
	for _, fd := range accepted {
		conn, connErr := connOf(fd)
		if err = errors.Join(err, connErr); connErr == nil {
			queue = append(queue, conn)
		}
	}
	return queue, err
}

// connOf takes over a descriptor.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close() // FileConn has a copy
	return net.FileConn(file)
}
