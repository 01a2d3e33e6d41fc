package redis

import (
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

func subscribe(t *testing.T, c *Client) <-chan string {
	t.Helper()
	messages := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		c.Subscribe(ctx, "channel", func(message string) {
			select {
			case messages <- message:
			case <-ctx.Done():
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return messages
}

// awaitMessage publishes until the message is heard: a subscription takes a moment.
func awaitMessage(t *testing.T, publisher *Client, messages <-chan string, message string) {
	t.Helper()
	await(t, message+" arrives", func() bool {
		publisher.Publish(t.Context(), "channel", message) // fails until Redis is back
		for {
			select {
			case got := <-messages:
				if got == message {
					return true
				}
			case <-time.After(50 * time.Millisecond):
				return false
			}
		}
	})
}

func TestSubscribe(t *testing.T) {
	server := dbtest.NewRedis(t)
	server.Stop()
	publisher, _ := open(t, server.URL)
	subscriber, _ := open(t, server.URL)
	messages := subscribe(t, subscriber)
	for _, message := range []string{"after the start", "after a restart"} {
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		awaitMessage(t, publisher, messages, message)
		server.Stop()
		awaitAway(t, publisher)
	}
}

func TestSubscribeNoticesVanishedPeer(t *testing.T) {
	server := dbtest.NewRedis(t)
	publisher, _ := open(t, server.URL)
	network := newNetwork(t, server.URL)
	subscriber, _ := open(t, network.url)
	messages := subscribe(t, subscriber)
	awaitMessage(t, publisher, messages, "first")
	network.lose()
	awaitMessage(t, publisher, messages, "second")
}

// network forwards connections to a server, and can lose them without a word to either side.
type network struct {
	url  string
	lost atomic.Pointer[atomic.Bool] // set for the connections that were made before the last loss
}

func newNetwork(t *testing.T, serverURL string) *network {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	server := u.Host
	u.Host = listener.Addr().String()
	n := &network{url: u.String()}
	n.lost.Store(new(atomic.Bool))
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go n.connect(client, server)
		}
	}()
	return n
}

func (n *network) connect(client net.Conn, server string) {
	backend, err := net.Dial("tcp", server)
	if err != nil {
		client.Close()
		return
	}
	lost := n.lost.Load()
	go forward(client, backend, lost)
	forward(backend, client, lost)
}

func (n *network) lose() {
	n.lost.Swap(new(atomic.Bool)).Store(true)
}

// forward keeps a lost connection open, and drops what is sent.
func forward(to, from net.Conn, lost *atomic.Bool) {
	defer to.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if lost.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
