//go:build !linux

package servertest

import "syscall"

func dieWithParent(syscall.Signal) *syscall.SysProcAttr { return nil }

func awaitStop(int) error { return nil }
