package handover

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestCloseKeepsQueue closes a socket that nobody has accepted from yet.
func TestCloseKeepsQueue(t *testing.T) {
	const clients = 20
	l := listen(t)
	connections := make([]net.Conn, clients)
	for i := range connections {
		connections[i] = dial(t, l)
		if _, err := connections[i].Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range connections {
		conn, err := l.Accept()
		if err != nil {
			t.Fatalf("a connection that was made before the close: %v", err)
		}
		if _, err := io.CopyN(conn, conn, 1); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if conn, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the last connection: %v, %v; want net.ErrClosed", conn, err)
	}
	for i, conn := range connections {
		answer, err := io.ReadAll(conn)
		if err != nil || len(answer) != 1 || answer[0] != byte(i) {
			t.Errorf("client %d was answered %v, %v", i, answer, err)
		}
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("a closed socket takes a connection")
	}
}

// TestCloseWakesAccept closes a socket while somebody waits for a connection.
func TestCloseWakesAccept(t *testing.T) {
	l := listen(t)
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	for range 2 { // the second close does nothing
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}

// TestCloseLeavesSharedSocket closes a socket that another process has too: that one accepts what is waiting.
func TestCloseLeavesSharedSocket(t *testing.T) {
	l := listen(t)
	l.goesOn = true
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	other, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	waiting := dial(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dial(t, l)
	for range 2 {
		conn, err := other.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := waiting.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection that was waiting: %v, want it open", err)
	}
}

func listen(t *testing.T) *Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := &Listener{TCPListener: l.(*net.TCPListener)}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
