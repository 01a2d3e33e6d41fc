package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gatehouse/internal/browsertest"
)

// TestGoSDK generates a Go client from the contract and plays the story with it.
func TestGoSDK(t *testing.T) {
	skipIfShort(t)
	dir := t.TempDir()
	client := filepath.Join(dir, "client.gen.go")
	mustRun(t, "", "go", "tool", "-modfile=tools/go.mod", "oapi-codegen",
		"-config", "testdata/sdk/go/oapi-codegen.yaml", "-o", client, "api/openapi.yaml")

	// The overlay makes the client a package of this module, without a file in the tree.
	overlay := filepath.Join(dir, "overlay.json")
	writeJSON(t, overlay, map[string]any{"Replace": map[string]string{
		filepath.Join(workingDir(t), "testdata/sdk/go/gatehouse/client.gen.go"): client,
	}})
	story := filepath.Join(dir, "story")
	mustRun(t, "", "go", "build", "-overlay", overlay, "-o", story, "./testdata/sdk/go")

	mustRun(t, "", story, start(t, "--data-dir", filepath.Join(dir, "data")).url())
}

// TestTypeScriptSDK generates a TypeScript client from the contract and plays the story with it.
func TestTypeScriptSDK(t *testing.T) {
	skipIfShort(t)
	node, err := exec.LookPath("node")
	if err != nil {
		browsertest.Missing(t, "node is not installed")
	}
	tools := filepath.Join(workingDir(t), "tools/node_modules/.bin")
	if _, err := os.Stat(tools); err != nil {
		browsertest.Missing(t, "the npm packages are not installed; run sh tools/setup.sh node")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/sdk/typescript")); err != nil {
		t.Fatal(err)
	}
	contract := filepath.Join(workingDir(t), "api/openapi.yaml")
	mustRun(t, dir, filepath.Join(tools, "openapi-ts"), "--input", contract, "--no-log-file")
	mustRun(t, dir, filepath.Join(tools, "tsc"), "--project", ".")

	mustRun(t, dir, node, "out/story.js", start(t, "--data-dir", filepath.Join(dir, "data")).url())
}

func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it generates and compiles a client; make test-all runs this")
	}
}

// mustRun runs a program to its end in a folder, or where the tests run.
func mustRun(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, output)
	}
}

func workingDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeJSON(t *testing.T, file string, value any) {
	t.Helper()
	content, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
