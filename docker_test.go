package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// composition is what the tests read of compose.yaml.
type composition struct {
	Services struct {
		App   struct{ Environment map[string]string }
		Nginx struct{ Command []string }
	}
	Secrets map[string]struct{ File string }
}

// readComposition reads compose.yaml in a new folder, where secrets.sh has made the secrets.
func readComposition(t *testing.T) (c composition, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("deploy")); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "docker")
	if out, err := exec.Command("sh", filepath.Join(dir, "secrets.sh")).CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	content, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	if err == nil {
		err = yaml.Unmarshal(content, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// TestDockerSaysUntested holds the files to their first line until an engine has run them.
func TestDockerSaysUntested(t *testing.T) {
	for _, file := range []string{"deploy/docker/Dockerfile", "deploy/docker/compose.yaml"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(content), "# Untested: ") {
			t.Errorf("%s does not begin with # Untested", file)
		}
	}
}

var variable = regexp.MustCompile(`\$\{(\w+):\?.*?\}`)

// TestComposeOptions checks the options of the app, with the secrets that are made for it.
func TestComposeOptions(t *testing.T) {
	c, dir := readComposition(t)
	for name, secret := range c.Secrets {
		if info, err := os.Stat(filepath.Join(dir, secret.File)); err != nil || info.Size() == 0 {
			t.Errorf("secrets.sh does not make %s: %v", name, err)
		}
	}
	wantMode(t, filepath.Join(dir, "secrets"), 0o700)
	values := map[string]string{"DOMAIN": publicHost, "SMS": "none"}
	args := []string{"config"}
	for name, value := range c.Services.App.Environment {
		value = variable.ReplaceAllStringFunc(value, func(v string) string { return values[variable.FindStringSubmatch(v)[1]] })
		flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "GATEHOUSE_")), "_", "-")
		args = append(args, "--"+flag, strings.ReplaceAll(value, "/run/secrets/", dir+"/secrets/"))
	}
	stdout, stderr, code := call(t, args...)
	for _, want := range []string{`mysql://gatehouse:\S+@mysql/gatehouse`, `redis://\S+@redis:6379/0`, `s3://pictures\?endpoint=http://minio:9000`} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("the options lack %s", want)
		}
	}
	if code != 0 {
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
}

// TestComposeNginx runs the command that fits the configuration of nginx to the containers.
func TestComposeNginx(t *testing.T) {
	c, dir := readComposition(t)
	result := filepath.Join(dir, "nginx.conf")
	command := strings.NewReplacer("$$", "$", "/etc/gatehouse/gatehouse.conf", filepath.Join(dir, "../nginx/gatehouse.conf"),
		"/etc/nginx/conf.d/default.conf", result, "exec nginx", "true").Replace(c.Services.Nginx.Command[2])
	shell := exec.Command("sh", "-c", command)
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "DOMAIN=shop.example.org"}
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	content, err := os.ReadFile(result)
	if err != nil {
		t.Fatal(err)
	}
	site := string(content)
	if strings.Count(site, "server app:8000 ") != 1 || strings.Count(site, "server_name shop.example.org;") != 2 ||
		strings.Count(site, "access_log /dev/stdout ") != 2 {
		t.Errorf("it makes\n%s", site)
	}
	for _, left := range []string{"127.0.0.1:", publicHost + ";", "/var/log"} {
		if strings.Contains(site, left) {
			t.Errorf("it leaves %q in\n%s", left, site)
		}
	}
}
