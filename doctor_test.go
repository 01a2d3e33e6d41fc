package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
	"gatehouse/internal/servertest"
)

// TestDoctor looks at a production server that runs, and then at what is broken one thing after another.
func TestDoctor(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, databaseURL string) {
		redis := dbtest.NewRedis(t)
		args, dataDir := databaseArgs(t, databaseURL)
		production := productionArgs(t)
		production[3] = "http://127.0.0.1:1" // nobody answers there
		args = slices.Concat(args, production, []string{"--redis", redis.URL})
		secretFile := args[len(args)-3]
		start(t, args...)
		examined := func(more ...string) string {
			t.Helper()
			stdout, stderr, code := call(t, slices.Concat([]string{"doctor"}, args, more)...)
			if code != 1 || !strings.Contains(stderr, "there are problems") {
				t.Errorf("code %d, stderr %q; want code 1", code, stderr)
			}
			return stdout
		}
		want := func(report string, lines ...string) {
			t.Helper()
			for _, line := range lines {
				if !strings.Contains(report, line) {
					t.Errorf("the report lacks %q:\n%s", line, report)
				}
			}
		}
		want(examined(),
			"ok       database      every migration is applied, and every column and index is there\n",
			"ok       storage       a file was stored, read and removed\n",
			"ok       redis         Redis ",
			"ok       user          the data folder belongs to ",
			"ok       disk          "+dataDir+" has ",
			"warning  configuration any six digits register any phone that is not registered yet\n",
			"problem  public url    http://127.0.0.1:1 can't be reached",
			"→ see the name in DNS, the firewall, the proxy and whether the server runs\n",
			"warning  backups       it is not known where backups are\n")

		redis.Stop()
		if err := os.Chmod(secretFile, 0o644); err != nil {
			t.Fatal(err)
		}
		want(examined("--backup-to", filepath.Join(t.TempDir(), "none"), "--limits", "off"),
			"problem  redis         reach Redis", "warning  configuration other users of this machine may read "+secretFile,
			"warning  configuration nobody's requests are limited", "problem  backups       there is no backup that is complete",
			"ok       database      every migration")

		expired := servertest.NewCertificateUntil(t, "app.example.com", time.Now().Add(-time.Hour))
		want(examined("--public-url", "https://127.0.0.1:1", "--tls-cert", expired.File, "--tls-key", expired.KeyFile),
			"problem  certificate   the certificate of "+expired.File+" has expired on ")

		_, stderr, code := call(t, "doctor", "--mode", "production", "--addr", "nonsense")
		if code != 1 || !strings.Contains(stderr, "--addr") || !strings.Contains(stderr, "--secret-file: missing") || !strings.Contains(stderr, "--public-url: missing") {
			t.Errorf("invalid options: code %d, stderr %q; want all of them", code, stderr)
		}
	})
}

// TestDoctorChangesNothing is called by mistake in an empty folder.
func TestDoctorChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	stdout, _, code := call(t, "doctor", "--data-dir", dir)
	if _, err := os.Stat(dir); err == nil || code != 1 || !strings.Contains(stdout, "problem  database      there is no database in "+dir) {
		t.Errorf("code %d, stdout %q, folder %v; want that nothing is there, and nothing made", code, stdout, err)
	}
}
