package logging

import (
	"strings"
	"testing"
)

func TestRequestID(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		logs, read := open(t, "info", asJSON)
		logs.Module(Image).InfoContext(WithRequestID(t.Context(), "r-1"), "stored", "bytes", 7)
		logs.Module(Image).InfoContext(t.Context(), "swept")
		_, file := read(Image)
		stored, swept, _ := strings.Cut(file, "\n")
		want := map[bool]string{false: "bytes=7 request_id=r-1", true: `"bytes":7,"request_id":"r-1"`}[asJSON]
		if !strings.Contains(stored, want) {
			t.Errorf("line %q, want %q in it", stored, want)
		}
		if strings.Contains(swept, requestIDKey) {
			t.Errorf("line %q names a request, want none outside of one", swept)
		}
	}
}

func TestTraceID(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		logs, read := open(t, "info", asJSON)
		logs.Module(Image).InfoContext(WithTraceID(WithRequestID(t.Context(), "r-1"), "t-1"), "stored", "bytes", 7)
		_, file := read(Image)
		want := map[bool]string{false: "bytes=7 request_id=r-1 trace_id=t-1", true: `"bytes":7,"request_id":"r-1","trace_id":"t-1"`}[asJSON]
		if !strings.Contains(file, want) {
			t.Errorf("line %q, want %q in it", file, want)
		}
	}
}
