package threads

import (
	"runtime"
	"testing"
)

func TestThreadsWhileBusy(t *testing.T) {
	usual := runtime.GOMAXPROCS(0)
	threads := New(usual + 3)
	for _, step := range []struct {
		change func()
		want   int
	}{
		{threads.Enter, usual + 3}, {threads.Enter, usual + 3}, {threads.Leave, usual + 3}, {threads.Leave, usual},
		{threads.Enter, usual + 3}, {threads.Leave, usual},
	} {
		step.change()
		if got := runtime.GOMAXPROCS(0); got != step.want {
			t.Errorf("GOMAXPROCS is %d, want %d", got, step.want)
		}
	}
}
