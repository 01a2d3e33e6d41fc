package account

import (
	"runtime"
	"testing"
)

func TestThreadsWhileHashing(t *testing.T) {
	usual := runtime.GOMAXPROCS(0)
	threads := newThreads(usual + 3)
	for _, step := range []struct {
		change func()
		want   int
	}{
		{threads.enter, usual + 3}, {threads.enter, usual + 3}, {threads.leave, usual + 3}, {threads.leave, usual},
		{threads.enter, usual + 3}, {threads.leave, usual},
	} {
		step.change()
		if got := runtime.GOMAXPROCS(0); got != step.want {
			t.Errorf("GOMAXPROCS is %d, want %d", got, step.want)
		}
	}
}
