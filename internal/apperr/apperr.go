// Package apperr owns the one error type that leaves the server and the one table of its codes.
package apperr

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Error is a refusal or a failure that a client is told about.
// Its cause is for the log and never reaches the client.
type Error struct {
	Code       Code
	Details    []Detail
	RetryAfter time.Duration // zero where trying again does not help
	cause      error
}

// Detail names the part of a request that was refused. It never repeats what was sent.
type Detail struct {
	Field  string // JSON pointer into the body, or the parameter's name
	Reason Text
}

// New returns the error of a code.
func New(code Code, details ...Detail) *Error {
	return &Error{Code: code, Details: details}
}

// Wrap returns the error of a code, with the cause that the log shows.
func Wrap(code Code, cause error, details ...Detail) *Error {
	return &Error{Code: code, Details: details, cause: cause}
}

// Later returns the error of a code that asks the client to come back after a while.
func Later(code Code, retryAfter time.Duration, cause error) *Error {
	return &Error{Code: code, RetryAfter: retryAfter, cause: cause}
}

// From finds the Error in a chain of errors. One that has none is an internal error.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Wrap(Internal, err)
}

// Is reports whether the error bears one of the codes.
func Is(err error, codes ...Code) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%d %s: %v", e.Code, e.Code.Text().English, e.cause)
	}
	return fmt.Sprintf("%d %s", e.Code, e.Code.Text().English)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }
