package dbtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	minioModule  = "github.com/minio/minio"
	minioVersion = "v0.0.0-20260212201848-7aac2a2c5b7c"
	minioStartup = 30 * time.Second
	minioKeyID   = "gatehouse"
)

// MinIO is a private MinIO server, which speaks the protocol of S3, with an empty bucket. Tests stop
// and suspend it to play that S3 is away.
type MinIO struct {
	Endpoint  string // host:port for http, the same after Start
	Region    string
	Bucket    string
	KeyID     string
	KeySecret string

	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// NewMinIO starts a MinIO on a free port of 127.0.0.1 that runs until the test ends. On Linux, it dies
// with this process. The first time on this machine it builds MinIO, which takes some minutes. Where
// that is impossible, or short tests would have to do it, the test is skipped, or fails if skipping is
// forbidden.
func NewMinIO(tb testing.TB) *MinIO {
	tb.Helper()
	findMinIO(tb)
	m, err := startMinIO(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.Stop)
	if err := m.createBucket(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return m
}

// SharedMinIO returns the server that the tests of this process share, with a new bucket. It is
// skipped as NewMinIO is. Nobody may stop or suspend it. It needs Main.
func SharedMinIO(tb testing.TB) *MinIO {
	tb.Helper()
	findMinIO(tb)
	server, err := sharedMinIO()
	if err != nil {
		tb.Fatal(err)
	}
	m := *server
	m.Bucket = "test-" + strings.ToLower(rand.Text())
	if err := m.createBucket(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return &m
}

var sharedMinIO = sync.OnceValues(func() (*MinIO, error) {
	dir, err := os.MkdirTemp("", "gatehouse-minio-")
	if err != nil {
		return nil, err
	}
	m, err := startMinIO(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	startedMinIO = m
	return m, nil
})

// startedMinIO is the server that sharedMinIO started, if it did.
var startedMinIO *MinIO

func stopSharedMinIO() error {
	if startedMinIO == nil {
		return nil
	}
	startedMinIO.Stop()
	return os.RemoveAll(startedMinIO.dir)
}

// findMinIO skips or ends the test if there is no program.
func findMinIO(tb testing.TB) {
	tb.Helper()
	_, err := os.Stat(minioPath())
	if err != nil && testing.Short() && !NoSkip() {
		skipMinIO(tb, "not built yet; make test-all builds it")
	}
	if err == nil {
		return
	}
	if err := buildMinIO(); err != nil && !NoSkip() {
		skipMinIO(tb, err.Error())
	} else if err != nil {
		tb.Fatal(err)
	}
}

func skipMinIO(tb testing.TB, why string) {
	tb.Helper()
	fmt.Fprintln(os.Stderr, "SKIP: no MinIO, so the S3 half of the tests does NOT run:", why)
	tb.Skip("SKIP: no MinIO:", why)
}

// minioPath is where the program is kept, among what this user may lose.
func minioPath() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "gatehouse", "minio-"+minioVersion)
}

// buildMinIO builds the program, unless another process has just done it.
func buildMinIO() error {
	path := minioPath()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	lock := flock.New(path + ".lock")
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "building MinIO for the tests; this takes some minutes, once")
	return installMinIO(path)
}

// installMinIO builds in a folder of its own, so that a program that is there is whole.
func installMinIO(path string) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "install", minioModule+"@"+minioVersion)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build MinIO: %w\n%s", err, out)
	}
	return os.Rename(filepath.Join(dir, "minio"), path)
}

func startMinIO(dir string) (*MinIO, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	m := &MinIO{
		Endpoint:  "127.0.0.1:" + strconv.Itoa(port),
		Region:    "us-east-1",
		Bucket:    "pictures",
		KeyID:     minioKeyID,
		KeySecret: rand.Text(),
		dir:       dir,
	}
	return m, m.Start()
}

// Start starts the server, which keeps its files when it is stopped, and waits until it answers.
func (m *MinIO) Start() error {
	var log bytes.Buffer
	m.cmd = exec.Command(minioPath(), "server", "--quiet", "--address", m.Endpoint,
		"--certs-dir", filepath.Join(m.dir, "certs"), filepath.Join(m.dir, "data"))
	m.cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+m.KeyID, "MINIO_ROOT_PASSWORD="+m.KeySecret,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off")
	m.cmd.Stdout, m.cmd.Stderr = &log, &log
	var err error
	if m.done, err = spawn(m.cmd); err != nil {
		return err
	}
	if err := m.await(); err != nil {
		m.Stop()
		return fmt.Errorf("start a private MinIO: %w\n%s", err, log.Bytes())
	}
	return nil
}

// await waits until the server is ready.
func (m *MinIO) await() error {
	deadline := time.After(minioStartup)
	for {
		response, err := http.Get("http://" + m.Endpoint + "/minio/health/cluster")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-m.done:
			return errors.New("minio ended")
		case <-deadline:
			return errors.New("minio does not get ready")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Client returns a client of the server.
func (m *MinIO) Client() (*minio.Client, error) {
	return minio.New(m.Endpoint, &minio.Options{
		Creds:  credentials.NewStaticV4(m.KeyID, m.KeySecret, ""),
		Region: m.Region,
	})
}

func (m *MinIO) createBucket(ctx context.Context) error {
	client, err := m.Client()
	if err != nil {
		return err
	}
	if err := client.MakeBucket(ctx, m.Bucket, minio.MakeBucketOptions{Region: m.Region}); err != nil {
		return fmt.Errorf("create bucket %s: %w", m.Bucket, err)
	}
	return nil
}

// Suspend stops the process: the server no longer answers, but its connections stay open.
func (m *MinIO) Suspend() error {
	if err := m.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return awaitStop(m.cmd.Process.Pid)
}

// Resume lets a suspended server go on.
func (m *MinIO) Resume() error {
	return m.cmd.Process.Signal(syscall.SIGCONT)
}

// Stop kills the server, suspended or not. It may be called again.
func (m *MinIO) Stop() {
	m.cmd.Process.Kill()
	<-m.done
}

// PostForm uploads a file by a form that was presigned, as a client does, and returns the status.
func PostForm(tb testing.TB, url string, fields map[string]string, file []byte) int {
	tb.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := form.WriteField(name, value); err != nil {
			tb.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("file", "a.jpg")
	if err == nil {
		_, err = part.Write(file)
	}
	if err := errors.Join(err, form.Close()); err != nil {
		tb.Fatal(err)
	}
	response, err := http.Post(url, form.FormDataContentType(), &body)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
