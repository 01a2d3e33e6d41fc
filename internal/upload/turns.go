package upload

import (
	"io"
	"sync"
)

// turns lets the pieces of a session come one at a time: a client sends the next one only when it has
// given up the one before, of which the server may not know yet.
type turns struct {
	mu     sync.Mutex
	latest map[string]*turn // by session
}

type turn struct {
	body  io.Reader
	ended chan struct{}
}

// take interrupts the pieces that came to a session before, and returns when they have ended.
func (t *turns) take(session string, body io.Reader) (end func()) {
	mine := &turn{body, make(chan struct{})}
	t.mu.Lock()
	before, waits := t.latest[session]
	if waits {
		interrupt(before.body) // while it is among the latest, its request has not ended
	}
	t.latest[session] = mine
	t.mu.Unlock()
	if waits {
		<-before.ended
	}
	return func() { t.end(session, mine) }
}

func (t *turns) end(session string, ended *turn) {
	t.mu.Lock()
	if t.latest[session] == ended {
		delete(t.latest, session)
	}
	t.mu.Unlock()
	close(ended.ended)
}

// interrupt makes Read of a body fail that waits for the network. Others end by themselves.
func interrupt(body io.Reader) {
	if waiting, ok := body.(interface{ Interrupt() }); ok {
		waiting.Interrupt()
	}
}
