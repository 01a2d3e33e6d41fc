//go:build !linux

package dbtest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

func awaitStop(int) error { return nil }
