package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/browsertest"
	"gatehouse/internal/dbtest"
)

// tusUpload is what testdata/tus/upload.cjs is told.
type tusUpload struct {
	Endpoint       string `json:"endpoint"`
	Token          string `json:"token"`
	File           string `json:"file"`
	ChunkSize      int    `json:"chunkSize,omitempty"`      // in bytes; all at once without
	Checksum       string `json:"checksum,omitempty"`       // right or wrong
	TerminateAfter int    `json:"terminateAfter,omitempty"` // bytes
}

// tusOutcome is what it answers.
type tusOutcome struct {
	Requests                            []string // such as "PATCH 204"
	URL, ContentLocation, UploadExpires string
	Error                               string
	Status                              int // of the answer that was the error
}

// TestTusClient uploads with the protocol's own client over a network that breaks, to a server that is killed.
func TestTusClient(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs node and takes some seconds; make test-all runs this")
	}
	picture := noise(t, 2_000_000)
	for _, test := range []struct {
		name      string
		chunkSize int
	}{{"in chunks", 256 << 10}, {"all at once", 0}} {
		t.Run(test.name, func(t *testing.T) {
			dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
				args, dataDir := databaseArgs(t, databaseURL)
				p := start(t, args...)
				token := tusToken(t, p)
				network := newBadNetwork(t, p)
				network.breaksAt(300_000, func() {})
				network.breaksAt(800_000, func() {
					kill(t, p)
					p = start(t, args...)
					network.leadTo(p)
				})
				network.breaksAt(1_500_000, func() {})
				got := runTus(t, tusUpload{Endpoint: network.url() + "/upload/session", Token: token, File: temporary(t, picture), ChunkSize: test.chunkSize})
				if got.Error != "" {
					t.Fatalf("it failed: %+v", got)
				}
				sent, missing := network.seen()
				if missing > 0 || !slices.Contains(got.Requests, "HEAD 200") {
					t.Errorf("%d breaks did not happen; requests %q", missing, got.Requests)
				}
				if sent > int64(len(picture)*3/2) {
					t.Errorf("%d bytes were sent of a picture of %d: what had come was not kept", sent, len(picture))
				}
				wantTusPicture(t, newClient(t, p), token, got, picture)
				wantNoPieces(t, dataDir)
			})
		})
	}
}

func TestTusExtensions(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs node and takes some seconds; make test-all runs this")
	}
	args, dataDir := databaseArgs(t, "")
	p := start(t, args...)
	token, picture := tusToken(t, p), noise(t, 100_000)
	order := tusUpload{Endpoint: p.url() + "/upload/session", Token: token, File: temporary(t, picture)}
	t.Run("checksum", func(t *testing.T) {
		order := order
		order.Checksum = "right"
		got := runTus(t, order)
		wantTusPicture(t, newClient(t, p), token, got, picture)
	})
	t.Run("wrong checksum", func(t *testing.T) {
		order := order
		order.Checksum = "wrong"
		if got := runTus(t, order); got.Status != 460 {
			t.Errorf("outcome %+v, want status 460", got)
		}
	})
	t.Run("termination", func(t *testing.T) {
		order := order
		order.ChunkSize, order.TerminateAfter = 20_000, 40_000
		got := runTus(t, order)
		if got.Error != "" || got.Requests[len(got.Requests)-1] != "DELETE 204" {
			t.Errorf("outcome %+v, want it terminated", got)
		}
		gone := newClient(t, p).do(http.MethodHead, got.URL, nil, "Authorization", "Bearer "+token, "Tus-Resumable", "1.0.0")
		if gone.status != http.StatusNotFound {
			t.Errorf("status %d, want 404", gone.status)
		}
		wantNoPieces(t, dataDir)
	})
	t.Run("no picture", func(t *testing.T) {
		order := order
		order.File = temporary(t, []byte(strings.Repeat("no picture ", 100)))
		if got := runTus(t, order); got.Status != http.StatusUnsupportedMediaType {
			t.Errorf("outcome %+v, want status 415", got)
		}
	})
}

// wantTusPicture loads what was uploaded.
func wantTusPicture(t *testing.T, c *client, token string, got tusOutcome, picture []byte) {
	t.Helper()
	if expires, err := http.ParseTime(got.UploadExpires); err != nil || !expires.After(time.Now()) {
		t.Errorf("Upload-Expires is %q", got.UploadExpires)
	}
	login := []string{"Authorization", "Bearer " + token}
	type stored struct{ ID, URL, Name, Title, Visibility string }
	session := messageOf[struct {
		Bytes, Received int64
		Image           stored
	}](t, c.get(pathOfURL(t, got.URL), login...))
	if session.Received != int64(len(picture)) || session.Bytes != session.Received {
		t.Errorf("session %+v, want all %d bytes", session, len(picture))
	}
	want := stored{session.Image.ID, session.Image.URL, "我的照片.jpg", "海边", "private"}
	if session.Image != want || !strings.HasSuffix(got.ContentLocation, "/upload/images/"+session.Image.ID) {
		t.Errorf("picture %+v, Content-Location %s", session.Image, got.ContentLocation)
	}
	if loaded := c.get(pathOfURL(t, session.Image.URL), login...); loaded.status != http.StatusOK || loaded.body != string(picture) {
		t.Errorf("status %d with %d bytes, want 200 with %d", loaded.status, len(loaded.body), len(picture))
	}
}

func wantNoPieces(t *testing.T, dataDir string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dataDir, "image"), func(path string, entry fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".part") {
			t.Errorf("piece %s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pathOfURL is the path and query, for a client that reaches the server elsewhere.
func pathOfURL(t *testing.T, absolute string) string {
	t.Helper()
	_, rest, ok := strings.Cut(absolute, "://")
	_, path, found := strings.Cut(rest, "/")
	if !ok || !found {
		t.Fatalf("%q is no URL", absolute)
	}
	return "/" + path
}

func tusToken(t *testing.T, p *process) string {
	t.Helper()
	c := newClient(t, p)
	c.postJSON("/users/regist", registration)
	return messageOf[login](t, c.postJSON("/users/login", credentials)).AccessToken
}

// runTus runs tus-js-client to its end.
func runTus(t *testing.T, order tusUpload) tusOutcome {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		browsertest.Missing(t, "node is not installed")
	}
	packages := filepath.Join(workingDir(t), "tools/node_modules")
	if _, err := os.Stat(filepath.Join(packages, "tus-js-client")); err != nil {
		browsertest.Missing(t, "the npm packages are not installed; run sh tools/setup.sh node")
	}
	told, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), node, "testdata/tus/upload.cjs", string(told))
	cmd.Env, cmd.Stderr = append(os.Environ(), "NODE_PATH="+packages), &complaints
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, complaints.String())
	}
	var got tusOutcome
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatalf("node says %q: %v", output, err)
	}
	return got
}

func temporary(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// noise is a JPEG of at least so many bytes.
func noise(t *testing.T, size int) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for side := 200; ; side += 200 {
		picture := image.NewGray(image.Rect(0, 0, side, side))
		for i := range picture.Pix {
			picture.Pix[i] = byte(random.Uint32())
		}
		var data bytes.Buffer
		if err := jpeg.Encode(&data, picture, &jpeg.Options{Quality: 100}); err != nil {
			t.Fatal(err)
		}
		if data.Len() >= size {
			return data.Bytes()
		}
	}
}

// badNetwork stands between a client and a server, and breaks.
type badNetwork struct {
	listener net.Listener

	mu          sync.Mutex
	address     string // of the server
	connections []net.Conn
	breaks      []networkBreak
	sent        int64 // by clients
}

// networkBreak is what happens when clients have sent so many bytes, before their connections are cut.
type networkBreak struct {
	at     int64
	happen func()
}

func newBadNetwork(t *testing.T, p *process) *badNetwork {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &badNetwork{listener: listener, address: p.address}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { n.serve(connection) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		n.mu.Lock()
		n.cut()
		n.mu.Unlock()
		group.Wait()
	})
	return n
}

func (n *badNetwork) url() string { return "http://" + n.listener.Addr().String() }

// leadTo connects clients to another server from now on. Only a break calls it.
func (n *badNetwork) leadTo(p *process) { n.address = p.address }

// breaksAt adds a break, behind those that were added before.
func (n *badNetwork) breaksAt(bytes int64, happen func()) {
	n.breaks = append(n.breaks, networkBreak{bytes, happen})
}

// seen returns how many bytes clients have sent, and how many breaks are still to come.
func (n *badNetwork) seen() (sent int64, missing int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent, len(n.breaks)
}

func (n *badNetwork) serve(client net.Conn) {
	defer client.Close()
	n.mu.Lock()
	server, err := net.Dial("tcp", n.address)
	if err == nil {
		n.connections = append(n.connections, client, server)
	}
	n.mu.Unlock()
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(client, server)
		client.Close()
	})
	io.Copy(server, counting{n, client})
	server.Close()
	back.Wait()
}

// counting reads what a client sends until the network breaks.
type counting struct {
	network *badNetwork
	client  net.Conn
}

func (c counting) Read(p []byte) (int, error) {
	read, err := c.client.Read(p[:min(len(p), 8<<10)])
	if c.network.count(int64(read)) {
		return 0, errors.New("the network broke")
	}
	return read, err
}

// count reports whether the network breaks with these bytes.
func (n *badNetwork) count(sent int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent += sent
	if len(n.breaks) == 0 || n.sent < n.breaks[0].at {
		return false
	}
	n.breaks[0].happen()
	n.breaks = n.breaks[1:]
	n.cut()
	return true
}

func (n *badNetwork) cut() {
	for _, connection := range n.connections {
		connection.Close()
	}
	n.connections = nil
}
