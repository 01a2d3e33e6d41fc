//go:build !linux

package doctor

import "context"

// Clock knows nothing of this system.
func Clock(context.Context) []Finding { return nil }

// User knows nothing of this system.
func User(string) func(context.Context) []Finding {
	return func(context.Context) []Finding { return nil }
}

// Disk knows nothing of this system.
func Disk([]string, string) func(context.Context) []Finding {
	return func(context.Context) []Finding { return nil }
}

// Limits know nothing of this system.
func Limits(context.Context) []Finding { return nil }
