package servertest

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent makes the kernel signal the server when the tests are killed.
func dieWithParent(signal syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: signal}
}

// awaitStop waits until a child that was sent SIGSTOP has stopped.
func awaitStop(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}
