//go:build !linux

package servertest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

func awaitStop(int) error { return nil }
