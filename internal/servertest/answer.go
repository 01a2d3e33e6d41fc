package servertest

import (
	"net"
	"sync"
	"testing"
)

// Answer answers each connection to a listener until the test ends, and then waits for those under way.
func Answer(tb testing.TB, l net.Listener, answer func(conn net.Conn)) {
	tb.Helper()
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answering.Go(func() {
				defer conn.Close()
				answer(conn)
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		answering.Wait()
	})
}
