package database

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlaceReplacesNothing has a server that made its database while another one was restored.
func TestPlaceReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	file, target := filepath.Join(dir, "restored"), filepath.Join(dir, sqliteFile)
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "restored")
	write(target, "of the server")
	if err := place(file, target); err == nil || !strings.Contains(err.Error(), "appeared meanwhile") {
		t.Errorf("got %v, want that a database appeared", err)
	}
	if content, err := os.ReadFile(target); string(content) != "of the server" {
		t.Errorf("the database of the server is %q, %v", content, err)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := place(file, target); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(target); string(content) != "restored" {
		t.Errorf("the database is %q, %v; want what was restored", content, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the copy is still there")
	}
}
