// Package threads owns how many threads the runtime has for Go code, which is one number for the
// whole process.
package threads

import (
	"runtime"
	"sync"
)

// Threads gives the runtime more threads while something keeps the cores busy for long, such as hashing
// passwords or decoding pictures, so that the operating system lets short requests through. At other
// times they would only be in each other's way. A nil *Threads changes nothing.
type Threads struct {
	usual, busy int // GOMAXPROCS

	mu      sync.Mutex
	callers int // who keep a core busy, or wait for their turn
}

// New returns the threads of this process; busy is GOMAXPROCS while cores are kept busy, if it is more
// than at other times.
func New(busy int) *Threads {
	usual := runtime.GOMAXPROCS(0)
	return &Threads{usual: usual, busy: max(usual, busy)}
}

// Enter is called before a core is kept busy. A change stops all goroutines for some microseconds, but
// a flood needs one only.
func (t *Threads) Enter() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers++; t.callers == 1 {
		runtime.GOMAXPROCS(t.busy)
	}
}

// Leave is called after it.
func (t *Threads) Leave() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers--; t.callers == 0 {
		runtime.GOMAXPROCS(t.usual)
	}
}
