package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

// uniquePicture is a PNG that the server stores as it is.
func uniquePicture(t *testing.T) []byte {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	for i := range picture.Pix {
		picture.Pix[i] = byte(rand.Uint32())
	}
	var data bytes.Buffer
	if err := png.Encode(&data, picture); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

// storedPicture is what a client knows of its picture.
type storedPicture struct {
	id, path string
	content  []byte
}

// album is a user whose pictures are uploaded, loaded and deleted while their storage moves.
type album struct {
	t      *testing.T
	token  string
	server atomic.Pointer[process]
	http   http.Client

	mu      sync.Mutex
	kept    map[string]storedPicture // by id: whose upload was answered
	deleted []storedPicture          // whose deletion was answered
}

func newAlbum(t *testing.T, p *process) *album {
	t.Helper()
	a := &album{t: t, token: tusToken(t, p), http: http.Client{Transport: newTransport(t), Timeout: patience}, kept: make(map[string]storedPicture)}
	a.server.Store(p)
	return a
}

// request sends a request to the server that runs now. The status is 0 if there was no complete answer.
func (a *album) request(method, path string, body io.Reader, headers ...string) (status int, answer []byte, header http.Header) {
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.server.Load().url()+path, body)
	if err != nil {
		a.t.Error(err)
		return 0, nil, nil
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := a.http.Do(r)
	if err != nil {
		return 0, nil, nil
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(response.Body); err != nil {
		return 0, nil, nil
	}
	return response.StatusCode, answer, response.Header
}

// upload stores pictures, and remembers those whose upload was answered.
func (a *album) upload(contents ...[]byte) {
	files := make([]file, len(contents))
	for i, content := range contents {
		files[i] = file{"a.png", content}
	}
	contentType, body := form(a.t, "image", files)
	status, answer, _ := a.request(http.MethodPost, "/upload/file", body, "Content-Type", contentType)
	if status == 0 || status == http.StatusServiceUnavailable {
		return
	}
	var success struct{ Data struct{ Msg moderatedUpload } }
	if err := json.Unmarshal(answer, &success); err != nil || status != http.StatusOK || len(success.Data.Msg.Images) != len(contents) {
		a.t.Errorf("upload: status %d: %s", status, answer)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, stored := range success.Data.Msg.Images {
		address, err := url.Parse(stored.URL)
		if err != nil {
			a.t.Error(err)
			return
		}
		a.kept[stored.ID] = storedPicture{stored.ID, address.Path, contents[i]}
	}
}

// any returns one of the pictures.
func (a *album) any() (storedPicture, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, picture := range a.kept {
		return picture, true
	}
	return storedPicture{}, false
}

// load expects a picture, unless it is deleted meanwhile.
func (a *album) load(picture storedPicture) {
	status, content, _ := a.request(http.MethodGet, picture.path, nil)
	a.mu.Lock()
	_, kept := a.kept[picture.id]
	a.mu.Unlock()
	if kept && status != 0 && (status != http.StatusOK || !bytes.Equal(content, picture.content)) {
		a.t.Errorf("load %s: status %d, %d bytes; want the picture", picture.path, status, len(content))
	}
}

func (a *album) delete(picture storedPicture) {
	a.mu.Lock()
	delete(a.kept, picture.id) // whatever is answered
	a.mu.Unlock()
	status, answer, _ := a.request(http.MethodDelete, "/upload/images/"+picture.id, nil)
	switch status {
	case http.StatusOK, http.StatusNoContent:
		a.mu.Lock()
		a.deleted = append(a.deleted, picture)
		a.mu.Unlock()
	case 0, http.StatusServiceUnavailable, http.StatusNotFound: // another client was faster
	default:
		a.t.Errorf("delete %s: status %d: %s", picture.id, status, answer)
	}
}

// live uploads, loads and deletes until stop is called.
func (a *album) live() (stop func()) {
	ctx, cancel := context.WithCancel(a.t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				picture, ok := a.any()
				switch n := rand.IntN(12); {
				case n < 4:
					a.upload(uniquePicture(a.t), uniquePicture(a.t))
				case n < 5 && ok:
					a.upload(picture.content) // somebody has it already
				case n < 8 && ok:
					a.delete(picture)
				case ok:
					a.load(picture)
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	return func() { cancel(); clients.Wait() }
}

// check loads everything.
func (a *album) check() {
	a.t.Helper()
	if len(a.kept) == 0 || len(a.deleted) == 0 {
		a.t.Errorf("%d pictures and %d deleted ones are no test", len(a.kept), len(a.deleted))
	}
	for _, picture := range a.kept {
		a.load(picture)
	}
	for _, picture := range a.deleted {
		if status, _, _ := a.request(http.MethodGet, picture.path, nil); status != http.StatusNotFound {
			a.t.Errorf("load %s, which was deleted: status %d, want 404", picture.path, status)
		}
	}
}

// beginUpload sends the first piece of a picture, and returns where the rest goes.
func (a *album) beginUpload(content []byte, first int) (path string) {
	a.t.Helper()
	tus := []string{"Tus-Resumable", "1.0.0"}
	status, _, header := a.request(http.MethodPost, "/upload/session", nil, append(tus, "Upload-Length", strconv.Itoa(len(content)))...)
	if status != http.StatusCreated {
		a.t.Fatalf("begin an upload: status %d", status)
	}
	path = mustParse(a.t, header.Get("Location")).Path
	a.sendPiece(path, 0, content[:first])
	return path
}

func (a *album) sendPiece(path string, offset int, piece []byte) {
	a.t.Helper()
	status, answer, _ := a.request(http.MethodPatch, path, bytes.NewReader(piece), "Tus-Resumable", "1.0.0",
		"Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(offset))
	if status != http.StatusNoContent && status != http.StatusOK {
		a.t.Fatalf("send a piece: status %d: %s", status, answer)
	}
}

// sweep plays a server that deletes at once the bytes that nobody has, until stop is called.
func sweep(t *testing.T, args []string) (stop func()) {
	t.Helper()
	command, err := config.Parse(args, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openForCommand(t.Context(), command.Options)
	if err != nil {
		t.Fatal(err)
	}
	a.images.UnownedKept = 0
	ctx, cancel := context.WithCancel(t.Context())
	var sweeps sync.WaitGroup
	sweeps.Go(func() {
		for ctx.Err() == nil {
			if _, err := a.images.SweepBlobs(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("sweep: %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return func() {
		cancel()
		sweeps.Wait()
		if err := a.close(); err != nil {
			t.Error(err)
		}
	}
}

// s3Args are the options for the bucket of a MinIO, and the shelf in it.
func s3Args(t *testing.T, m *dbtest.MinIO) (location string, keys []string, shelf storage.Shelf) {
	t.Helper()
	shelf, err := storage.OpenS3(storage.S3Options{Endpoint: m.Endpoint, Region: m.Region, Bucket: m.Bucket, KeyID: m.KeyID, KeySecret: m.KeySecret})
	if err != nil {
		t.Fatal(err)
	}
	location = fmt.Sprintf("s3://%s?endpoint=http://%s&region=%s", m.Bucket, m.Endpoint, m.Region)
	return location, []string{"--storage-key-id", m.KeyID, "--storage-key-secret", m.KeySecret}, shelf
}

func diskShelf(t *testing.T, dir string) storage.Shelf {
	t.Helper()
	shelf, err := storage.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	return shelf
}

func countOn(t *testing.T, shelf storage.Shelf) (n int) {
	t.Helper()
	for _, err := range shelf.Walk(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// killWhen starts a command and kills it as soon as a condition is true.
func killWhen(t *testing.T, condition func() bool, args ...string) {
	t.Helper()
	p := launch(t, args...)
	eventually(t, "the command gets to work", func() bool { return p.hasEnded() || condition() })
	kill(t, p)
}

// storageCommand runs a command for the storage, which must succeed, and expects its output.
func storageCommand(t *testing.T, want string, args ...string) {
	t.Helper()
	stdout, stderr, code := command(t, "", append([]string{"storage"}, args...)...)
	if code != 0 || !regexp.MustCompile(want).MatchString(stdout) {
		t.Fatalf("storage %s: code %d, stdout %q, stderr %q; want code 0 and %s", strings.Join(args, " "), code, stdout, stderr, want)
	}
	t.Logf("storage %s\n%s", args[0], stdout)
}

// TestStorageMove moves pictures from a disk to S3 as the operators' guide says, while others are
// uploaded, loaded and deleted. The move is killed in both of its halves.
func TestStorageMove(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds; make test-all runs this")
	}
	dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
		base, dataDir := databaseArgs(t, databaseURL)
		location, keys, s3 := s3Args(t, dbtest.SharedMinIO(t))
		base = append(base, keys...)
		oldDir := filepath.Join(dataDir, "image")
		disk := diskShelf(t, oldDir)
		with := func(args ...string) []string { return slices.Concat(args, base) }

		p := start(t, base...)
		a := newAlbum(t, p)
		for range 25 {
			a.upload(slices.Collect(func(yield func([]byte) bool) {
				for i := 0; i < 9 && yield(uniquePicture(t)); i++ {
				}
			})...)
		}
		inPieces := uniquePicture(t)
		session := a.beginUpload(inPieces, 1000)
		stopSweep, stopLive := sweep(t, base), a.live()

		killWhen(t, func() bool { return countOn(t, s3) > 20 }, with("storage", "move", "--to", location)...)
		storageCommand(t, `(?s)files copied.*next:.*--storage-fallback`, with("move", "--to", location)...)
		stopSweep()
		p.stop(t)

		both := with("--storage", location, "--storage-fallback", "file://"+oldDir)
		p = start(t, both...)
		a.server.Store(p)
		stopSweep = sweep(t, both)
		before := countOn(t, disk)
		killWhen(t, func() bool { return countOn(t, disk) < before-20 }, append([]string{"storage", "move", "--remove"}, both...)...)
		storageCommand(t, `(?s)files removed.*next:.*restart the servers without --storage-fallback`, append([]string{"move", "--remove"}, both...)...)
		if n := countOn(t, disk); n > 0 {
			t.Errorf("%d files are still on the disk", n)
		}
		stopSweep()
		p.stop(t)

		alone := with("--storage", location)
		a.server.Store(start(t, alone...))
		time.Sleep(500 * time.Millisecond)
		stopLive()
		a.check()
		a.sendPiece(session, 1000, inPieces[1000:])
		storageCommand(t, `, 0 missing, 0 damaged\nfiles without a row: 0 found`, append([]string{"check", "--read"}, alone...)...)
		t.Logf("%d pictures, %d deleted", len(a.kept), len(a.deleted))
	})
}

// TestStorageMoveWithoutS3 stops S3 in the middle of a move.
func TestStorageMoveWithoutS3(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds; make test-all runs this")
	}
	m := dbtest.NewMinIO(t)
	location, keys, s3 := s3Args(t, m)
	args, dataDir := databaseArgs(t, "")
	args = append(args, keys...)
	a := newAlbum(t, start(t, args...))
	for range 150 {
		a.upload(uniquePicture(t), uniquePicture(t))
	}
	move := launch(t, slices.Concat([]string{"storage", "move", "--to", location}, args)...)
	eventually(t, "it copies", func() bool { return move.hasEnded() || countOn(t, s3) > 20 })
	m.Stop()
	<-move.ended
	if code := move.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(move.stderr.String(), "the storage is unavailable") ||
		!strings.Contains(move.stderr.String(), "nothing is lost; run it again to go on") {
		t.Errorf("code %d, stderr %q; want code 1 and what is wrong", code, move.stderr.String())
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	storageCommand(t, `files copied \(.*\), \d+ were there already, 0 were deleted`, slices.Concat([]string{"move", "--to", location}, args)...)
	storageCommand(t, `^files with a row: 300 .*, 0 missing, 0 damaged\nfiles without a row: 0 found`,
		slices.Concat([]string{"check", "--read", "--storage", location}, args)...)
	if n := countOn(t, diskShelf(t, filepath.Join(dataDir, "image"))); n != 300 {
		t.Errorf("%d files on the disk, want all 300", n)
	}
}

// TestStorageCheck plants faults beside a running server.
func TestStorageCheck(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
		args, dataDir := databaseArgs(t, databaseURL)
		a := newAlbum(t, start(t, args...))
		a.upload(uniquePicture(t), uniquePicture(t))
		storageCommand(t, `^files with a row: 2 \(.*\), 0 missing, 0 damaged\nfiles without a row: 0 found`, slices.Concat([]string{"check", "--read"}, args)...)

		pictures := slices.Collect(maps.Values(a.kept))
		pathOf := func(picture storedPicture) string {
			name := filepath.Base(picture.path)
			return filepath.Join(dataDir, "image", name[:2], name)
		}
		stray := filepath.Join(dataDir, "image", "st", "stray.png")
		yesterday := time.Now().Add(-24 * time.Hour)
		err := errors.Join(os.Remove(pathOf(pictures[0])), os.WriteFile(pathOf(pictures[1]), make([]byte, len(pictures[1].content)), 0o600),
			os.MkdirAll(filepath.Dir(stray), 0o700), os.WriteFile(stray, []byte("stray"), 0o600), os.Chtimes(stray, yesterday, yesterday))
		if err != nil {
			t.Fatal(err)
		}
		missing := "missing: " + filepath.Base(pictures[0].path) + "; image " + pictures[0].id + " ("
		damaged := "damaged: " + filepath.Base(pictures[1].path) + ": its SHA-256 is not that of its row; image " + pictures[1].id + " ("
		stdout, stderr, code := command(t, "", slices.Concat([]string{"storage", "check", "--read"}, args)...)
		if code != 1 || !strings.Contains(stdout, missing) || !strings.Contains(stdout, damaged) || !strings.Contains(stdout, "stray: stray.png: 5 B since ") ||
			!strings.Contains(stdout, "next: gatehouse storage check --remove") || !strings.Contains(stderr, "2 files are missing or damaged") {
			t.Errorf("code %d, stdout %q, stderr %q; want code 1 and every fault", code, stdout, stderr)
		}
		for _, picture := range pictures {
			a.delete(picture)
		}
		if err := os.Remove(pathOf(pictures[1])); err != nil {
			t.Fatal(err)
		}
		command(t, "", slices.Concat([]string{"storage", "check", "--remove"}, args)...) // the blobs are swept in an hour
		if _, err := os.Stat(stray); err == nil {
			t.Error("the stray is still there")
		}
	})
}
