package database_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a network between the program and MySQL that can fail.
type proxy struct {
	url    string // the database's URL through the proxy
	server string

	refuse   atomic.Bool // close new connections at once
	refused  atomic.Int32
	trigger  string                               // what a packet to the server must contain …
	onPacket func(packet []byte, server net.Conn) // … for this to be called instead of forwarding it
	mute     atomic.Bool                          // drop the server's next answer
	muted    chan struct{}                        // gets a value after that

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, raw string) *proxy {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{server: u.Host, muted: make(chan struct{}, 1)}
	u.Host = l.Addr().String()
	p.url = u.String()
	go p.serve(l)
	t.Cleanup(func() {
		l.Close()
		p.cut()
	})
	return p
}

func (p *proxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		if p.refuse.Load() {
			p.refused.Add(1)
			client.Close()
			continue
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		go p.forward(client, server)
		go p.answer(client, server)
	}
}

func (p *proxy) forward(client, server net.Conn) {
	defer server.Close()
	packet := make([]byte, 64<<10)
	for {
		n, err := client.Read(packet)
		if err != nil {
			return
		}
		if p.onPacket != nil && bytes.Contains(packet[:n], []byte(p.trigger)) {
			p.onPacket(packet[:n], server)
			continue
		}
		if _, err := server.Write(packet[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) answer(client, server net.Conn) {
	defer client.Close()
	packet := make([]byte, 64<<10)
	for {
		n, err := server.Read(packet)
		if err != nil {
			return
		}
		if p.mute.Swap(false) {
			p.muted <- struct{}{}
			continue
		}
		if _, err := client.Write(packet[:n]); err != nil {
			return
		}
	}
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
