package dbtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

func TestServerStops(t *testing.T) {
	s := NewServer(t)
	a, err := openAdmin(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer a.pool.Close()
	if err := a.exec(t.Context(), "CREATE DATABASE allowed"); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := a.exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the server still answers")
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the server's folder is still there: %v", err)
	}
}

func TestOrphansAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	orphan := filepath.Join(os.TempDir(), serverDir+strconv.Itoa(dead.Process.Pid)+"-1")
	ours := filepath.Join(os.TempDir(), serverDir+strconv.Itoa(os.Getpid())+"-1")
	for _, dir := range []string{orphan, ours} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	removeOrphans()
	if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the orphan is still there: %v", err)
	}
	if _, err := os.Stat(ours); err != nil {
		t.Errorf("a living process lost its folder: %v", err)
	}
}
