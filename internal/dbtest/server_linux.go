package dbtest

import "syscall"

// dieWithParent makes the kernel kill the server when the tests are killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
