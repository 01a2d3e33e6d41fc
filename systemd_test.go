package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/browsertest"
)

// mostExposed is ten times the score of systemd-analyze security that the unit may have; 100 is the worst.
const mostExposed = "20"

// TestSystemdUnits lets systemd check the units that are shipped, with the program where this machine has it.
func TestSystemdUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		browsertest.Missing(t, "systemd-analyze is not installed")
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	service, socket := filepath.Join(dir, "gatehouse.service"), filepath.Join(dir, "gatehouse.socket")
	for _, unit := range []string{service, socket} {
		content, err := os.ReadFile(filepath.Join("deploy/systemd", filepath.Base(unit)))
		if err == nil {
			err = os.WriteFile(unit, []byte(strings.ReplaceAll(string(content), "/usr/local/bin/gatehouse", path)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("systemd-analyze", "verify", service, socket).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+mostExposed, service).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
