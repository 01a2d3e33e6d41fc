package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/dbtest"
)

func TestVersion(t *testing.T) {
	stdout, stderr, code := call(t, "version")
	if !regexp.MustCompile(`^gatehouse \S+ \(go1\.\S+ \w+/\w+\)\n$`).MatchString(stdout) || stderr != "" || code != 0 {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestConfigMasksPassword(t *testing.T) {
	stdout, _, code := call(t, "config", "--database", "mysql://gate:hunter2@db.example.com/app", "--addr", ":9000")
	for _, want := range []string{`(?m)^database +mysql://gate:\S+@db\.example\.com/app +flag$`, `(?m)^addr +127\.0\.0\.1:9000 +flag$`, `(?m)^mode +dev +default$`} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("no line like %s in\n%s", want, stdout)
		}
	}
	if code != 0 || strings.Contains(stdout, "hunter2") {
		t.Errorf("code %d; the password must not be in\n%s", code, stdout)
	}
}

func TestMigrate(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, database string) {
		args, _ := databaseArgs(t, database)
		steps := []struct {
			command []string
			want    string
			not     string
		}{
			{[]string{"migrate", "status"}, "00001_users.sql    not applied yet", " 20"},
			{[]string{"migrate"}, "applied 00001_users.sql\n", "not applied"},
			{[]string{"migrate", "up"}, "the database is up to date\n", "applied"},
			{[]string{"migrate", "status"}, "00001_users.sql", "not applied"},
		}
		for _, step := range steps {
			stdout, stderr, code := call(t, append(step.command, args...)...)
			spaces := regexp.MustCompile(` {2,}`)
			if code != 0 || !strings.Contains(spaces.ReplaceAllString(stdout, "    "), step.want) || strings.Contains(stdout, step.not) {
				t.Errorf("%v: code %d, want %q and not %q in\n%s%s", step.command, code, step.want, step.not, stdout, stderr)
			}
		}
	})
}

func TestRefusesToStart(t *testing.T) {
	existing, _ := databaseArgs(t, "")
	start(t, existing...).stop(t)
	other, _ := databaseArgs(t, "")
	running := start(t, other...)
	for _, test := range []struct {
		name string
		args []string
		want []string // in one error
	}{
		{"wrong options", []string{"--adr", ":1", "--mode", "prod", "--upload-files", "none"},
			[]string{"--adr", "--mode", "--upload-files", "invalid options"}},
		{"bare production", []string{"--mode", "production"}, []string{"--secret-file", "--public-url", "--sms"}},
		{"development for all", []string{"--addr", "0.0.0.0:0"}, []string{"--addr", "--lan"}},
		{"short secret", append(existing, "--secret-file", newSecret(t, "hunter2")), []string{"shorter than 32", "openssl rand -base64 32"}},
		{"another secret", append(existing, "--secret-file", newSecret(t, strings.Repeat("other-", 8))), []string{"set up with another secret"}},
		{"port in use", append(existing, "--addr", running.address), []string{"address already in use"}},
	} {
		t.Run(test.name, func(t *testing.T) { wantRefusal(t, test.args, test.want) })
	}
}

func TestRefusesToStartWithoutDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits 20 seconds for a MySQL that may be starting; make test-all runs this")
	}
	args, _ := databaseArgs(t, "mysql://gate:hunter2@127.0.0.1:1/app")
	wantRefusal(t, args, []string{"127.0.0.1:1"})
}

// wantRefusal expects the program to end with one error that says all of want and no secret.
func wantRefusal(t *testing.T, args, want []string) {
	t.Helper()
	stdout, stderr, code := call(t, args...)
	if code != 1 || stdout != "" {
		t.Errorf("code %d, stdout %q; want code 1 and an error only", code, stdout)
	}
	for _, text := range want {
		if strings.Count(stderr, "gatehouse: ") != 1 || !strings.Contains(stderr, text) {
			t.Errorf("stderr does not say %q in one error:\n%s", text, stderr)
		}
	}
	if strings.Contains(stderr, "hunter2") {
		t.Errorf("stderr holds a secret:\n%s", stderr)
	}
}

func TestSecretIsMadeOnce(t *testing.T) {
	args, dataDir := databaseArgs(t, "")
	secret := filepath.Join(dataDir, "secret")
	var contents []string
	for range 2 {
		p := start(t, args...)
		p.stop(t)
		wantMode(t, secret, 0o600)
		content, err := os.ReadFile(secret)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(content))
	}
	if contents[0] != contents[1] || len(contents[0]) < minSecretBytes {
		t.Errorf("the secret was %q and is %q, want one that is long enough and stays", contents[0], contents[1])
	}
}
