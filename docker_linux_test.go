package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/browsertest"
)

const containerUser = 10001

// TestDockerImage runs the program as the Dockerfile does: as its user, in a folder with its files and no others.
func TestDockerImage(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program as a release; make test-all runs this")
	}
	if os.Getuid() != 0 {
		browsertest.Missing(t, "only root may change the root folder")
	}
	root, address := imageFolder(t), freeAddress(t)
	content, err := os.ReadFile("deploy/docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	health := regexp.MustCompile(`HEALTHCHECK .* CMD \["/gatehouse", "(\w+)"\]`).FindSubmatch(content)
	if health == nil {
		t.Fatal("the Dockerfile has no HEALTHCHECK that the program answers")
	}
	server := inImage(root, address)
	var log output
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill() // it may have ended already
		_ = server.Wait()
	})
	eventually(t, "the image is healthy", func() bool { return inImage(root, address, string(health[1])).Run() == nil })
	if strings.Contains(log.String(), " ERROR ") {
		t.Errorf("it logs errors:\n%s", log.String())
	}
	wantMode(t, filepath.Join(root, "data/gatehouse.db"), 0o600)
}

// imageFolder has the files of the Dockerfile's last stage.
func imageFolder(t *testing.T) string {
	t.Helper()
	program, err := release()
	if err != nil {
		t.Fatal(err)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for as, file := range map[string]string{
		"gatehouse": program, "etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt",
		"zoneinfo.zip": filepath.Join(strings.TrimSpace(string(goroot)), "lib/time/zoneinfo.zip"),
	} {
		content, err := os.ReadFile(file)
		if err == nil {
			err = os.MkdirAll(filepath.Join(root, filepath.Dir(as)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, as), content, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"data", "tmp"} {
		path := filepath.Join(root, folder)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, containerUser, containerUser); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// inImage is the program with arguments, in development mode: production needs more than an image.
func inImage(root, address string, args ...string) *exec.Cmd {
	cmd := exec.Command("/gatehouse", args...)
	cmd.Dir = "/"
	cmd.Env = []string{"ZONEINFO=/zoneinfo.zip", "TZ=Asia/Shanghai", "GATEHOUSE_DATA_DIR=/data", "GATEHOUSE_ADDR=" + address}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: containerUser, Gid: containerUser}}
	return cmd
}
