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
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"gatehouse/internal/servertest"
)

const (
	minioStartup = 30 * time.Second
	minioKeyID   = "gatehouse"
)

var minioProgram = servertest.Program{
	Package: "github.com/minio/minio", Version: "v0.0.0-20260212201848-7aac2a2c5b7c", Without: "the S3 half of the tests",
}

// MinIO is a private MinIO server, which speaks the protocol of S3, with an empty bucket. Tests stop
// and suspend it to play that S3 is away.
type MinIO struct {
	*servertest.Process
	Endpoint  string // host:port for http, the same after Start
	Region    string
	Bucket    string
	KeyID     string
	KeySecret string

	dir string
}

// NewMinIO starts a MinIO on a free port of 127.0.0.1 that runs until the test ends. On Linux, it dies
// with this process. The first time on this machine it builds MinIO, which takes some minutes. Where
// that is impossible, or short tests would have to do it, the test is skipped, or fails if skipping is
// forbidden.
func NewMinIO(tb testing.TB) *MinIO {
	tb.Helper()
	minioProgram.Need(tb)
	m, err := startMinIO(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Stop() })
	if err := m.createBucket(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return m
}

// SharedMinIO returns the server that the tests of this process share, with a new bucket. It is
// skipped as NewMinIO is. Nobody may stop or suspend it. It needs Main.
func SharedMinIO(tb testing.TB) *MinIO {
	tb.Helper()
	minioProgram.Need(tb)
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

func startMinIO(dir string) (*MinIO, error) {
	port, err := servertest.FreePort()
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
func (m *MinIO) Start() (err error) {
	cmd := exec.Command(minioProgram.Path(), "server", "--quiet", "--address", m.Endpoint,
		"--certs-dir", filepath.Join(m.dir, "certs"), filepath.Join(m.dir, "data"))
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+m.KeyID, "MINIO_ROOT_PASSWORD="+m.KeySecret,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off")
	m.Process, err = servertest.Start(cmd, minioStartup, m.ready)
	return err
}

func (m *MinIO) ready() error {
	response, err := http.Get("http://" + m.Endpoint + "/minio/health/cluster")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("minio says %s", response.Status)
	}
	return nil
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
