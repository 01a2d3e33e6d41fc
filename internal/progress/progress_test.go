package progress

import "testing"

func TestProgressLine(t *testing.T) {
	for _, test := range []struct {
		total, done, lately, bytes int64
		want                       string
	}{
		{0, 1234, 500, 2_000_000, "went through 1,234 files, 2.0 MB, 100/s"},
		{10_000, 1000, 500, 3000, "went through 1,000 of 10,000 files, 3.0 kB, 100/s, 1m30s left"},
		{10, 10, 5, 0, "went through 10 of 10 files, 0 B, 1/s"},
		{10, 9, 0, 0, "went through 9 of 10 files, 0 B, 0/s"},
	} {
		p := &Progress{what: "went through", total: test.total}
		p.bytes.Store(test.bytes)
		if got := p.line(test.done, test.lately); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
