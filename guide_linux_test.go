package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/servertest"
)

// notRun are the commands of docs/deploy.md that the test does not run, by their beginnings, and why.
var notRun = map[string]string{
	"scp ":           "there is no second machine: the test copies the same files",
	"apt-get update": "the copy has no network: it installs what tools/setup.sh has fetched",
	"dnf install ":   "this is Debian; the packages have the same names",
	"setsebool ":     "this is Debian, which has no SELinux",
	"firewall-cmd ":  "this is Debian, which has no firewalld",
}

const mostCommands = 30 // in the guide

// guide is what docs/deploy.md tells people to run.
type guide struct{ onComputer, onServer []string }

var (
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```\n")
	heredoc    = regexp.MustCompile(`<<([A-Z]+)`)
)

func readGuide(t *testing.T, file string) guide {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var g guide
	for i, block := range shellBlock.FindAllStringSubmatch(string(content), -1) {
		if commands := commandsOf(block[1]); i == 0 {
			g.onComputer = commands
		} else {
			g.onServer = append(g.onServer, commands...)
		}
	}
	return g
}

// commandsOf splits a block of shell into its commands: a line each, and what is between <<END and END.
func commandsOf(block string) (commands []string) {
	end := ""
	for line := range strings.Lines(block) {
		if end != "" {
			commands[len(commands)-1] += line
			if strings.TrimSpace(line) == end {
				end = ""
			}
			continue
		}
		commands = append(commands, line)
		if document := heredoc.FindStringSubmatch(line); document != nil {
			end = document[1]
		}
	}
	return commands
}

// runnable leaves out the commands that are not run here, all of which must be there.
func runnable(t *testing.T, commands []string) (run []string) {
	t.Helper()
	left := make(map[string]bool)
	for _, command := range commands {
		skipped := ""
		for beginning := range notRun {
			if strings.HasPrefix(command, beginning) {
				skipped = beginning
			}
		}
		if skipped == "" {
			run = append(run, command)
		} else {
			t.Logf("not run: %s(%s)", command, notRun[skipped])
			left[skipped] = true
		}
	}
	for beginning := range notRun {
		if !left[beginning] {
			t.Errorf("the guide has no command %q: remove it from the list of those that are not run", beginning)
		}
	}
	return run
}

// TestDeployGuide runs docs/deploy.md in a copy of this machine, with its systemd, nginx and MariaDB, and plays the
// README's story against what stands there then.
func TestDeployGuide(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots a copy of this machine; make test-all runs this")
	}
	g := readGuide(t, "docs/deploy.md")
	if count := len(g.onComputer) + len(g.onServer); count >= mostCommands {
		t.Errorf("the guide has %d commands, want less than %d", count, mostCommands)
	}
	commands := runnable(t, append(g.onComputer, g.onServer...))
	if commands[0] != "make build\n" {
		t.Fatalf("the guide begins with %q, want make build", commands[0])
	}
	m := bootMachine(t)
	copyToServer(t, m)
	upgrade := slices.Index(commands, "systemctl reload gatehouse\n") - 1
	t.Log(m.run(t, "set -x\n"+strings.Join(commands[1:upgrade], "")))

	shell := m.command("sh", "-eu")
	pasteInto(t, shell, readReadme(t, "README.md").steps, publicURL)
	wantHEIC(t, m)
	wantAutostart(t, m)
	wantUpgrade(t, m, strings.Join(commands[upgrade:upgrade+2], ""))
	wantBackup(t, m, strings.Join(commands[upgrade+2:], ""))
	wantPicturesFromDisk(t, m)
	wantSocketActivation(t, m)
}

func TestDeployGuidesSayTheSame(t *testing.T) {
	var blocks [2][][]string
	for i, file := range []string{"docs/deploy.md", "docs/deploy.zh-CN.md"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks[i] = regexp.MustCompile("(?s)```\\w+\n(.*?)```\n").FindAllStringSubmatch(string(content), -1)
	}
	if len(blocks[0]) == 0 || !slices.EqualFunc(blocks[0], blocks[1], slices.Equal) {
		t.Error("the two guides have different commands or options")
	}
}

var optionsBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```\n")

// TestDeployGuideWithoutNginx checks the options that the guide has for a server alone.
func TestDeployGuideWithoutNginx(t *testing.T) {
	content, err := os.ReadFile("docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile("(?s)<<YAML\n(.*?)YAML\n").FindSubmatch(content)
	instead := optionsBlock.FindSubmatch(content)
	if whole == nil || instead == nil {
		t.Fatal("the guide has no options")
	}
	options := regexp.MustCompile("(?m)^(addr|trusted-proxy): .*\n").ReplaceAllString(string(whole[1]), "") + string(instead[1])
	options = strings.NewReplacer("$DOMAIN", publicHost, "$PASSWORD", "pw", "/etc/gatehouse/secret", newSecret(t, strings.Repeat("s3cret-", 6))).Replace(options)
	file := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(file, []byte(options), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := call(t, "config", "--config", file)
	if code != 0 || !regexp.MustCompile(`(?m)^redirect-addr +:80 `).MatchString(stdout) {
		t.Errorf("code %d, want options of a server that speaks HTTPS and redirects\n%s%s", code, stdout, stderr)
	}
}

// release is the program as make build builds it.
var release = sync.OnceValues(func() (string, error) {
	build := exec.Command("make", "build")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return "bin/gatehouse", nil
})

// copyToServer is the guide's make build and scp.
func copyToServer(t *testing.T, m *machine) {
	t.Helper()
	program, err := release()
	if err != nil {
		t.Fatal(err)
	}
	certificate := servertest.NewCertificate(t, publicHost)
	for file, as := range map[string]string{program: "gatehouse", certificate.File: "app.pem", certificate.KeyFile: "app.key"} {
		m.put(t, file, as)
	}
	m.put(t, certificate.File, "/usr/local/share/ca-certificates/app.crt") // as if one that everybody trusts had signed it
	m.run(t, "update-ca-certificates")
	files, err := filepath.Glob("deploy/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		m.put(t, file, file)
	}
}

// wantHEIC uploads a picture that is decoded in a sandbox, with what the unit forbids.
func wantHEIC(t *testing.T, m *machine) {
	t.Helper()
	m.put(t, "internal/codec/testdata/grid.heic", "photo.heic")
	answer := m.run(t, `
		curl -s https://app.example.com/users/login -d phone=18866668888 -d password=demo123456 > login.json
		sed 's/.*"accessToken":"\([^"]*\)".*/\1/' login.json > token
		curl -s https://app.example.com/upload/file?wait=true -H "Authorization: Bearer $(cat token)" -F image=@photo.heic`)
	if !strings.Contains(answer, `"contentType":"image/jpeg"`) {
		t.Errorf("a HEIC is answered %s", answer)
	}
}

func wantAutostart(t *testing.T, m *machine) {
	t.Helper()
	if got := m.run(t, "systemctl is-enabled gatehouse nginx mariadb"); got != "enabled\nenabled\nenabled\n" {
		t.Errorf("at a start of the machine, gatehouse, nginx and mariadb are %q, want enabled", got)
	}
}

// reloading is a script that reloads the server, and waits until another process is the main one. It waits first for
// the end of the process before the last reload, until which the next one is refused.
func reloading(script string) string {
	return `
		timeout 60 sh -c 'until [ "$(pgrep --count --exact gatehouse)" = 1 ]; do sleep 0.1; done'
		before=$(systemctl show --property=MainPID gatehouse)
		` + script + `
		timeout 60 sh -c 'until [ "$0" != "$(systemctl show --property=MainPID gatehouse)" ]; do sleep 0.1; done' "$before"
		systemctl is-active gatehouse
		`
}

// wantUpgrade reloads while a client goes on asking.
func wantUpgrade(t *testing.T, m *machine, upgrade string) {
	t.Helper()
	got := m.run(t, `
		(while [ ! -e enough ]; do curl -s --fail https://app.example.com/readyz >> answers || echo lost; done) &
		`+reloading(upgrade)+`
		touch enough
		wait
		[ -s answers ] || echo nothing was answered`)
	if got != "active\n" {
		t.Errorf("the upgrade prints %q, want active", got)
	}
}

// wantBackup waits for the backup that the server makes by itself, with what the unit lets it run.
func wantBackup(t *testing.T, m *machine, list string) {
	t.Helper()
	eventually(t, "there is a backup", func() bool { return strings.Contains(m.run(t, list), "mysql") })
}

// wantPicturesFromDisk follows docs/operations.md, and then has nginx's own user send a picture.
func wantPicturesFromDisk(t *testing.T, m *machine) {
	t.Helper()
	content, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllStringSubmatch(string(content), -1)
	i := slices.IndexFunc(blocks, func(block []string) bool { return strings.Contains(block[1], "accel-redirect: ") })
	if i < 0 {
		t.Fatal("docs/operations.md does not say how nginx gets at the pictures")
	}
	m.run(t, reloading(blocks[i][1]))
	got := m.run(t, `
		curl -s https://app.example.com/upload/file -H "Authorization: Bearer $(cat token)" -F image=@photo.heic > upload.json
		curl -s --fail -o loaded.jpg "$(sed 's/.*"imageUrl":\["\([^"]*\)".*/\1/' upload.json)"
		tail -n 1 /var/log/nginx/gatehouse.log
		cmp loaded.jpg "$(sed -n '$s#.* GET /internal-pictures/\([^ ]*\) 200 .*#/var/lib/gatehouse/image/\1#p' /var/log/nginx/gatehouse.log)" && echo same`)
	if !strings.HasSuffix(got, "same\n") {
		t.Errorf("nginx does not send the picture itself: %s", got)
	}
}

// wantSocketActivation stops the server, which must end by itself, and lets systemd hold the port: the first request
// starts the server again.
func wantSocketActivation(t *testing.T, m *machine) {
	t.Helper()
	got := m.run(t, `
		systemctl stop gatehouse
		systemctl start gatehouse.socket
		systemctl is-active gatehouse || true
		curl -s --fail https://app.example.com/healthz
		systemctl is-active gatehouse`)
	if want := "inactive\n" + ok + "\nactive\n"; got != want {
		t.Errorf("with the socket: %q, want %q", got, want)
	}
}
