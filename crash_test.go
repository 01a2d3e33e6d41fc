package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

const (
	crashes      = 50
	crashesShort = 3
	crashClients = 6
	longestLoad  = 150 * time.Millisecond // before a server under load is killed
)

// TestCrash kills the server at random moments, while it starts and under uploads and registrations.
// After each restart, nothing that was answered is lost, and nothing is half done.
func TestCrash(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
		c := newCrash(t, databaseURL)
		p := c.start(t)
		c.logIn(t, p)
		for crash := range crashesWanted() {
			if crash%4 == 3 {
				p.stop(t)
				c.killAtStart(t)
			} else {
				c.killUnderLoad(t, p)
			}
			p = c.start(t)
			c.check(t, p)
			if t.Failed() {
				t.Fatalf("failed after crash %d", crash+1)
			}
		}
		c.checkPictures(t, p, slices.Collect(maps.Keys(c.pictures)))
		c.checkPhones(t, p, c.registered)
		t.Logf("answered: %d registrations, %d pictures", len(c.registered), len(c.pictures))
		if !testing.Short() && (len(c.registered) == 0 || len(c.pictures) == 0) {
			t.Error("the servers were killed before they answered anything")
		}
	})
}

func crashesWanted() int {
	if testing.Short() {
		return crashesShort
	}
	return crashes
}

// crash is a server that is killed repeatedly, and what its clients know.
type crash struct {
	args                  []string
	databaseURL, dataDir  string
	random                *rand.Rand
	jpeg                  []byte
	startup               time.Duration // how long the last start took
	token                 string        // of the user who uploads
	lastPhone, lastUpload atomic.Int64

	mu             sync.Mutex        // guards what the clients record
	pictures       map[string]string // all that were answered: name in the URL to name at the client
	registered     map[string]bool   // all phones that were answered
	recentPictures []string          // names in the URLs, since the last check
	recentPhones   map[string]bool   // sent since the last check; true if answered
}

func newCrash(t *testing.T, databaseURL string) *crash {
	t.Helper()
	args, dataDir := databaseArgs(t, databaseURL)
	return &crash{
		args: append(args, "--addr", "127.0.0.1:0", "--log-level", "warn",
			"--password-memory", "64", "--password-iterations", "1"), // quick
		databaseURL: databaseURL, dataDir: dataDir, random: rand.New(rand.NewPCG(1, 2)), jpeg: jpegPicture(t),
		pictures: make(map[string]string), registered: make(map[string]bool), recentPhones: make(map[string]bool),
	}
}

func (c *crash) start(t *testing.T) *process {
	t.Helper()
	began := time.Now()
	p := launch(t, c.args...)
	p.awaitBanner(t)
	c.startup = time.Since(began)
	return p
}

// kill ends a process with SIGKILL. It fails if the process has ended before.
func kill(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Fatalf("it ended before it was killed: %v\n%s", p.cmd.ProcessState, p.stderr.String())
	}
}

func (c *crash) killAtStart(t *testing.T) {
	t.Helper()
	p := launch(t, c.args...)
	time.Sleep(time.Duration(c.random.Int64N(int64(c.startup))))
	kill(t, p)
}

func (c *crash) killUnderLoad(t *testing.T, p *process) {
	t.Helper()
	var clients sync.WaitGroup
	for range crashClients {
		random := rand.New(rand.NewPCG(c.random.Uint64(), 0))
		clients.Go(func() { c.load(t, p, random) })
	}
	time.Sleep(time.Duration(c.random.Int64N(int64(longestLoad))))
	kill(t, p)
	clients.Wait()
}

// logIn registers the user who uploads.
func (c *crash) logIn(t *testing.T, p *process) {
	t.Helper()
	client := newClient(t, p)
	client.postJSON("/users/regist", registration)
	c.token = messageOf[login](t, client.postJSON("/users/login", credentials)).AccessToken
}

// load registers and uploads until the server is gone.
func (c *crash) load(t *testing.T, p *process, random *rand.Rand) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for gone := false; !gone; {
		if random.IntN(3) == 0 {
			gone = c.register(t, client, p)
		} else {
			gone = c.upload(t, client, p, 1+random.IntN(3))
		}
	}
}

func (c *crash) register(t *testing.T, client *http.Client, p *process) (gone bool) {
	phone := fmt.Sprintf("138%08d", c.lastPhone.Add(1))
	c.mu.Lock()
	c.recentPhones[phone] = false
	c.mu.Unlock()
	body := strings.NewReader(`{"phone":"` + phone + `","password":"demo123456","code":"123456"}`)
	_, gone = c.post(t, client, p.url()+"/users/regist", "application/json", body)
	if !gone {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.registered[phone], c.recentPhones[phone] = true, true
	}
	return gone
}

func (c *crash) upload(t *testing.T, client *http.Client, p *process, count int) (gone bool) {
	id := c.lastUpload.Add(1)
	files := make([]file, count)
	for i := range files {
		name := fmt.Sprintf(pictureName, id, i+1, count)
		files[i] = file{name, c.picture(name)}
	}
	contentType, body := form(t, "image", files)
	answer, gone := c.post(t, client, p.url()+"/upload/file", contentType, body)
	if gone {
		return true
	}
	var success struct{ Data struct{ Msg uploaded } }
	if err := json.Unmarshal(answer, &success); err != nil || len(success.Data.Msg.ImageURL) != count {
		t.Errorf("%d pictures uploaded, answer %s", count, answer)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, address := range success.Data.Msg.ImageURL {
		c.pictures[path.Base(address)] = files[i].name
		c.recentPictures = append(c.recentPictures, path.Base(address))
	}
	return false
}

// post returns the body of a success. The server is gone if there is no complete answer.
func (c *crash) post(t *testing.T, client *http.Client, address, contentType string, body io.Reader) (answer []byte, gone bool) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, body)
	if err != nil {
		t.Error(err)
		return nil, true
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+c.token)
	response, err := client.Do(r)
	if err != nil {
		return nil, true
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(response.Body); err != nil {
		return nil, true
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s answered %d: %s", address, response.StatusCode, answer)
	}
	return answer, false
}

// pictureName is the name of a picture at the client: the upload, and which of its pictures it is.
const pictureName = "%d-%d-of-%d.jpg"

// picture returns the content of the picture with a name: a JPEG with random bytes in its colour profile, mostly a few
// KB. Some names have the same content.
func (c *crash) picture(name string) []byte {
	random := rand.NewChaCha8(sha256.Sum256([]byte(name)))
	if random.Uint64()%8 == 0 {
		random = rand.NewChaCha8([32]byte{byte(random.Uint64() % 4)})
	}
	size := random.Uint64() % (16 << 10)
	if random.Uint64()%16 == 0 {
		size += 200 << 10
	}
	const start = 2 // the marker of a JPEG's start
	content := slices.Clone(c.jpeg[:start])
	for left := int(size); left >= 0; left -= profilePart {
		part := make([]byte, min(left, profilePart))
		random.Read(part) // never fails
		content = binary.BigEndian.AppendUint16(append(content, 0xff, 0xe2), uint16(2+len(profileStart)+len(part)))
		content = append(append(content, profileStart...), part...)
	}
	return append(content, c.jpeg[start:]...)
}

const (
	profileStart = "ICC_PROFILE\x00\x01\x01"
	profilePart  = 60_000 // bytes of a segment
)

// check checks everything that the server has after its restart.
func (c *crash) check(t *testing.T, p *process) {
	t.Helper()
	c.checkRowsAndFiles(t)
	c.checkPictures(t, p, c.recentPictures)
	c.checkPhones(t, p, c.recentPhones)
	c.recentPictures = nil
	clear(c.recentPhones)
}

// checkPictures loads pictures that were answered.
func (c *crash) checkPictures(t *testing.T, p *process, names []string) {
	t.Helper()
	client := newClient(t, p)
	for _, name := range names {
		loaded := client.get("/static/image/" + name)
		if loaded.status != http.StatusOK || loaded.body != string(c.picture(c.pictures[name])) {
			t.Errorf("picture %s, which was answered: status %d, %d bytes", name, loaded.status, len(loaded.body))
		}
	}
}

// checkPhones logs in everyone whose registration was answered. If it was not answered, there may be
// no such user, but nothing between.
func (c *crash) checkPhones(t *testing.T, p *process, phones map[string]bool) {
	t.Helper()
	client := newClient(t, p)
	for phone, answered := range phones {
		login := client.postJSON("/users/login", `{"phone":"`+phone+`","password":"demo123456"}`)
		if login.status != http.StatusOK && (answered || login.status != http.StatusNotFound) {
			t.Errorf("phone %s, registration answered: %t: login has status %d", phone, answered, login.status)
		}
	}
}

// checkRowsAndFiles compares the database with the disk.
func (c *crash) checkRowsAndFiles(t *testing.T) {
	t.Helper()
	rows, files := c.imageRows(t), c.imageFiles(t)
	owned := make(map[string]bool)
	for _, row := range rows {
		owned[row.file] = true
	}
	for name := range files {
		if !owned[name] {
			t.Errorf("file %s has no row", name)
		}
	}
	missing := make(map[int64]int) // pictures of an upload
	for name, row := range rows {
		var upload int64
		var i, count int
		if _, err := fmt.Sscanf(row.originalName, pictureName, &upload, &i, &count); err != nil {
			t.Fatalf("row %s: name %q: %v", name, row.originalName, err)
		}
		if _, found := missing[upload]; !found {
			missing[upload] = count
		}
		missing[upload]--
		want := c.picture(row.originalName)
		if row.bytes != len(want) || row.sha256 != sha256.Sum256(want) {
			t.Errorf("row %s does not describe its picture", name)
		}
		if files[row.file] != int64(len(want)) {
			t.Errorf("row %s: a file of %d bytes, want %d", name, files[row.file], len(want))
		}
	}
	for upload, count := range missing {
		if count != 0 {
			t.Errorf("upload %d lacks %d of its pictures", upload, count)
		}
	}
}

type imageRow struct {
	file         string
	originalName string
	bytes        int
	sha256       [32]byte
}

// imageRows returns the rows by the names of the pictures.
func (c *crash) imageRows(t *testing.T) map[string]imageRow {
	t.Helper()
	pool := dbtest.OpenPool(t, c.databaseURL, c.dataDir)
	defer pool.Close() // a connection of ours would keep SQLite from recovering after the next crash
	result, err := pool.QueryContext(t.Context(), `SELECT images.name, blobs.file, images.original_name, images.bytes, images.sha256
		FROM images JOIN blobs ON blobs.hash = images.sha256`)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	rows := make(map[string]imageRow)
	for result.Next() {
		var name string
		var row imageRow
		var sum []byte
		if err := result.Scan(&name, &row.file, &row.originalName, &row.bytes, &sum); err != nil {
			t.Fatal(err)
		}
		row.sha256 = [32]byte(sum)
		rows[name] = row
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// imageFiles returns the sizes of all served files, by name. The only other files are the locks of the
// running process.
func (c *crash) imageFiles(t *testing.T) map[string]int64 {
	t.Helper()
	files := make(map[string]int64)
	locks := 0
	err := filepath.WalkDir(filepath.Join(c.dataDir, "image"), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case entry.Name() == ".lock":
			locks++
		case strings.Contains(file, "/incoming/"):
			t.Errorf("still undecided: %s", file)
		default:
			files[entry.Name()] = info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if locks != 2 {
		t.Errorf("%d locks, want 2: of incoming and of the process", locks)
	}
	return files
}
