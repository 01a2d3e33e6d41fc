package storage

import (
	"context"
	"errors"
	"syscall"
)

// What the errors of S3 wrap.
var (
	errFull        = errors.New("the storage is full")
	errUnavailable = errors.New("the storage is unavailable")
	// errMayAppear is in the error of a request that may still be carried out.
	errMayAppear = errors.New("the file may still appear")
)

// IsFull reports whether a write failed because the storage is full or a quota is used up.
func IsFull(err error) bool {
	return isAny(err, errFull, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG)
}

// IsUnavailable reports whether the storage can't do its work now: a disk that is read-only, closed to
// us or broken; an S3 that can't be reached, is too slow, overloaded or broken, or does not know our
// bucket or keys.
func IsUnavailable(err error) bool {
	return isAny(err, errUnavailable, context.DeadlineExceeded,
		syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.EIO, syscall.ESTALE)
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
