package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/dbtest"
)

// TestTerminateDrains stops a server in the middle of an upload.
func TestTerminateDrains(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, database string) {
		args, _ := databaseArgs(t, database)
		p := start(t, args...)
		app := newClient(t, p)
		token := registerAndLogIn(t, app)

		picture := pngPicture(t)
		uploader, rest := startUpload(t, p, token, picture)
		p.terminate(t)
		eventually(t, "new connections are refused", func() bool {
			conn, err := net.Dial("tcp", p.address)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})

		if _, err := uploader.conn.Write(rest); err != nil {
			t.Fatalf("send the rest of the upload: %v", err)
		}
		stored := messageOf[uploaded](t, readAnswer(t, uploader.reader))
		p.awaitGoodEnd(t)

		next := newClient(t, start(t, args...))
		if loaded := next.get(mustParse(t, stored.ImageURL[0]).Path); loaded.body != string(picture) {
			t.Errorf("after the restart the picture is not there: %d", loaded.status)
		}
	})
}

func registerAndLogIn(t *testing.T, app *client) (token string) {
	t.Helper()
	messageOf[string](t, app.postJSON("/users/regist", registration))
	return messageOf[login](t, app.postJSON("/users/login", credentials)).AccessToken
}

type connection struct {
	conn   net.Conn
	reader *bufio.Reader
}

// startUpload sends the head of an upload and half of its body, and returns the other half when
// the server has begun to read.
func startUpload(t *testing.T, p *process, token string, picture []byte) (c connection, rest []byte) {
	t.Helper()
	contentType, body := form(t, "image", []file{{"slow.png", picture}})
	c.conn = dial(t, p)
	c.reader = bufio.NewReader(c.conn)
	fmt.Fprintf(c.conn, "POST /upload/file HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		p.address, token, contentType, body.Len())
	if line, err := c.reader.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("the server does not read the upload: %q, %v", line, err)
	}
	if _, err := c.reader.ReadString('\n'); err != nil { // the blank line
		t.Fatal(err)
	}
	half := body.Len() / 2
	if _, err := c.conn.Write(body.Next(half)); err != nil {
		t.Fatal(err)
	}
	return c, body.Bytes()
}

func dial(t *testing.T, p *process) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func readAnswer(t *testing.T, r *bufio.Reader) answer {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("read an answer: %v", err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, response.Body); err != nil {
		t.Fatalf("read an answer: %v", err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: body.String()}
}

// readiness is what a server that is ready says of what it stands on.
type readiness struct{ Database, Redis string }

// TestTerminateTurnsNotReadyFirst shows load balancers that the server goes while it still serves.
func TestTerminateTurnsNotReadyFirst(t *testing.T) {
	p := start(t, "--data-dir", t.TempDir(), "--shutdown-delay", "1s")
	app := newClient(t, p)
	messageOf[readiness](t, app.get("/readyz"))
	p.terminate(t)
	eventually(t, "the server is not ready", func() bool {
		return app.get("/readyz").status == http.StatusServiceUnavailable
	})
	messageOf[string](t, app.get("/healthz"))
	p.awaitGoodEnd(t)
}

// TestTwoAtOnce starts two servers at the same instant on one database that has no tables yet.
func TestTwoAtOnce(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, database string) {
		args, _ := databaseArgs(t, database)
		args = append(args, "--addr", "127.0.0.1:0", "--secret-file", newSecret(t, strings.Repeat("s3cret-", 6)))
		pair := []*process{launch(t, args...), launch(t, args...)}
		for _, p := range pair {
			p.awaitBanner(t)
		}
		one, other := newClient(t, pair[0]), newClient(t, pair[1])
		messageOf[readiness](t, one.get("/readyz"))
		messageOf[readiness](t, other.get("/readyz"))

		bearer := []string{"Authorization", "Bearer " + registerAndLogIn(t, one)}
		messageOf[user](t, one.get("/users/me", bearer...))
		messageOf[user](t, other.get("/users/me", bearer...))
		other.postJSON("/users/regist", registration).wantError(t, http.StatusConflict, 1002)
		registerOneOnBoth(t, one, other)

		status, _, code := call(t, append([]string{"migrate", "status"}, args...)...)
		if code != 0 || strings.Contains(status, "not applied") {
			t.Errorf("migrate status: code %d\n%s", code, status)
		}
		for _, p := range pair {
			p.stop(t)
		}
	})
}

// registerOneOnBoth registers a phone with two servers at once: one of them says yes.
func registerOneOnBoth(t *testing.T, apps ...*client) {
	t.Helper()
	statuses := make([]int, len(apps))
	var both sync.WaitGroup
	for i, app := range apps {
		both.Go(func() {
			statuses[i] = app.postJSON("/users/regist", strings.Replace(registration, "6668888", "6669999", 1)).status
		})
	}
	both.Wait()
	if sum := statuses[0] + statuses[1]; sum != http.StatusOK+http.StatusConflict {
		t.Errorf("two registrations of a phone answer %v, want one 200 and one 409", statuses)
	}
}
