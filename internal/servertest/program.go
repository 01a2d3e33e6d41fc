package servertest

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"

	"github.com/gofrs/flock"
)

// Program is a server that is built from a Go module, once on a machine.
type Program struct {
	Package string // its path, such as github.com/minio/minio
	Version string
	Without string // what is not tested without it, such as "the S3 half of the tests"
}

// Need builds the program, the first time on this machine, which may take some minutes. Where that is
// impossible, or short tests would have to do it, the test is skipped, or fails if skipping is forbidden.
func (p Program) Need(tb testing.TB) {
	tb.Helper()
	_, err := os.Stat(p.Path())
	if err != nil && testing.Short() && !NoSkip() {
		p.skip(tb, "not built yet; make test-all builds it")
	}
	if err == nil {
		return
	}
	if err := p.build(); err != nil && !NoSkip() {
		p.skip(tb, err.Error())
	} else if err != nil {
		tb.Fatal(err)
	}
}

func (p Program) skip(tb testing.TB, why string) {
	tb.Helper()
	fmt.Fprintf(os.Stderr, "SKIP: no %s, so %s does NOT run: %s\n", p.name(), p.Without, why)
	tb.Skipf("SKIP: no %s: %s", p.name(), why)
}

func (p Program) name() string { return path.Base(p.Package) }

// Path is where the program is kept, among what this user may lose.
func (p Program) Path() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "gatehouse", p.name()+"-"+p.Version)
}

// build builds the program, unless another process has just done it.
func (p Program) build() error {
	path := p.Path()
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
	fmt.Fprintf(os.Stderr, "building %s for the tests; this may take some minutes, once\n", p.name())
	return p.install(path)
}

// install builds in a folder of its own, so that a program that is there is whole.
func (p Program) install(path string) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "install", p.Package+"@"+p.Version)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", p.name(), err, out)
	}
	return os.Rename(filepath.Join(dir, p.name()), path)
}
