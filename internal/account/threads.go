package account

import (
	"runtime"
	"sync"
)

// threads gives the runtime more threads while passwords are hashed, so that the operating system
// lets short requests through. At other times they would only be in each other's way.
type threads struct {
	usual, hashing int // GOMAXPROCS

	mu      sync.Mutex
	callers int // who hash, or wait for their turn
}

func newThreads(hashing int) *threads {
	usual := runtime.GOMAXPROCS(0)
	return &threads{usual: usual, hashing: max(usual, hashing)}
}

// enter is called before a hash. A change stops all goroutines for some microseconds, but a flood of
// hashes needs one only.
func (t *threads) enter() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers++; t.callers == 1 {
		runtime.GOMAXPROCS(t.hashing)
	}
}

// leave is called after it.
func (t *threads) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers--; t.callers == 0 {
		runtime.GOMAXPROCS(t.usual)
	}
}
