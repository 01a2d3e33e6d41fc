package main

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowClient holds a connection, and does nothing or too little with it.
type slowClient struct {
	name  string
	begin string        // what it sends at once
	drip  string        // what it sends in each second after that
	limit time.Duration // after which it is cut off
}

// TestSlowClientsAreCutOff opens many connections of each kind of client that would hold them for ever, and waits
// until they are closed. Meanwhile others are served.
func TestSlowClientsAreCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for two minutes; make test-all runs this")
	}
	p := start(t, "--data-dir", t.TempDir())
	app := newClient(t, p)
	token := registerAndLogIn(t, app)
	stored := messageOf[uploaded](t, app.upload([]file{{"large.png", largePicture(t)}}, "Authorization", "Bearer "+token))
	var waiting sync.WaitGroup
	for _, slow := range []slowClient{
		{"says nothing", "", "", 10 * time.Second},
		{"drips headers", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "X-A: b\r\n", 10 * time.Second},
		{"drips a body", "POST /users/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", " ", 30 * time.Second},
		{"drips an upload", uploadHead(p, token), "x", 30 * time.Second},
		{"is gone after an answer", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "", 120 * time.Second},
	} {
		for range 20 {
			waiting.Go(func() { slow.wantCutOff(t, p) })
		}
	}
	waiting.Go(func() { wantUnreadCutOff(t, p, mustParse(t, stored.ImageURL[0]).Path) })
	waited := make(chan struct{})
	go func() { defer close(waited); waiting.Wait() }()
	for {
		messageOf[string](t, app.get("/healthz"))
		select {
		case <-waited:
			return
		case <-time.After(time.Second):
		}
	}
}

func uploadHead(p *process, token string) string {
	return fmt.Sprintf("POST /upload/file HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"+
		"--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n", p.address, token)
}

// wantCutOff reads what the server says until it closes the connection.
func (s slowClient) wantCutOff(t *testing.T, p *process) {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	began := time.Now()
	if _, err := io.WriteString(conn, s.begin); err != nil {
		t.Errorf("who %s: %v", s.name, err)
		return
	}
	if err := conn.SetReadDeadline(began.Add(s.limit + patience)); err != nil {
		t.Error(err)
		return
	}
	closed := make(chan struct{})
	go s.keepDripping(conn, closed)
	_, err = io.Copy(io.Discard, conn)
	close(closed)
	if wait := time.Since(began); err != nil && strings.Contains(err.Error(), "timeout") || wait < s.limit/2 {
		t.Errorf("who %s holds a connection for %s (%v), want about %s", s.name, wait, err, s.limit)
	}
}

func (s slowClient) keepDripping(conn net.Conn, closed <-chan struct{}) {
	for {
		select {
		case <-closed:
			return
		case <-time.After(time.Second):
			_, _ = io.WriteString(conn, s.drip) // that it fails is what the test waits for
		}
	}
}

// wantUnreadCutOff asks for a large picture and reads none of it until the server has given up.
func wantUnreadCutOff(t *testing.T, p *process, path string) {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Error(err)
		return
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Request-ID: never-reads\r\n\r\n", path, p.address)
	deadline := time.Now().Add(60*time.Second + patience)
	for {
		if logged := neverReads.FindStringSubmatch(p.stderr.String()); logged != nil {
			if len(logged[1]) > len("9999999") { // what fits into the buffers of the kernel, and no more
				t.Errorf("who never reads was sent %s bytes", logged[1])
			}
			return
		}
		if time.Now().After(deadline) {
			t.Error("who never reads holds a request")
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// neverReads is the log line of a request that has ended.
var neverReads = regexp.MustCompile(`bytes=(\d+) client=\S+ request_id=never-reads`)
