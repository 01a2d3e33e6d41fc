package certificate

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/servertest"
)

// folder is where the files of a test lie.
type folder struct{ cert, key string }

func newFolder(t *testing.T, c *servertest.Certificate) folder {
	t.Helper()
	dir := t.TempDir()
	f := folder{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	f.put(t, c.File, f.cert)
	f.put(t, c.KeyFile, f.key)
	return f
}

// put replaces a file as careful programs do, by renaming.
func (f folder) put(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", content, 0o600)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openFiles(t *testing.T, f folder, now func() time.Time, log *bytes.Buffer) *Files {
	t.Helper()
	files, err := OpenFiles(FilesOptions{CertFile: f.cert, KeyFile: f.key, Logger: slog.New(slog.NewTextHandler(log, nil)), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// shown is the certificate that a handshake gets.
func shown(t *testing.T, f *Files) *tls.Certificate {
	t.Helper()
	certificate, err := f.TLSConfig().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestChangedFilesAreServed(t *testing.T) {
	one, two := servertest.NewCertificate(t, "a.example.com"), servertest.NewCertificate(t, "a.example.com")
	c, log := &clock{time: time.Now()}, new(bytes.Buffer)
	dir := newFolder(t, one)
	f := openFiles(t, dir, c.now, log)
	if !shown(t, f).Leaf.Equal(one.X509) {
		t.Error("not the certificate in the file")
	}
	dir.put(t, two.File, dir.cert)
	dir.put(t, two.KeyFile, dir.key)
	if !shown(t, f).Leaf.Equal(one.X509) {
		t.Error("the files were looked at twice in a second")
	}
	c.pass(time.Second)
	if !shown(t, f).Leaf.Equal(two.X509) {
		t.Errorf("not the new certificate; log:\n%s", log)
	}
	if until, ok := f.ExpiresAt(); !ok || !until.Equal(two.X509.NotAfter) {
		t.Errorf("expires at %v, %v, want %v", until, ok, two.X509.NotAfter)
	}
}

func TestFilesThatCannotBeServed(t *testing.T) {
	good, other := servertest.NewCertificate(t, "a.example.com"), servertest.NewCertificate(t, "a.example.com")
	expired := servertest.NewCertificateUntil(t, "a.example.com", time.Now().Add(-time.Hour))
	tests := []struct {
		name   string
		change func(t *testing.T, dir folder)
		want   string // in the log
	}{
		{"key of another", func(t *testing.T, dir folder) { dir.put(t, other.KeyFile, dir.key) }, "private key does not match public key"},
		{"cut off", func(t *testing.T, dir folder) {
			if err := os.Truncate(dir.cert, 100); err != nil {
				t.Fatal(err)
			}
		}, "failed to find any PEM data"},
		{"gone", func(t *testing.T, dir folder) {
			if err := os.Remove(dir.key); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"expired", func(t *testing.T, dir folder) {
			dir.put(t, expired.File, dir.cert)
			dir.put(t, expired.KeyFile, dir.key)
		}, "it expired at"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, log := &clock{time: time.Now()}, new(bytes.Buffer)
			dir := newFolder(t, good)
			f := openFiles(t, dir, c.now, log)
			test.change(t, dir)
			for look := range 5 {
				c.pass(time.Second)
				if !shown(t, f).Leaf.Equal(good.X509) {
					t.Fatal("the old certificate is gone")
				}
				// A program may be between its two files at the first look.
				if lines := strings.Count(log.String(), test.want); lines != min(look, 1) {
					t.Errorf("look %d: %d lines about it, want %d; log:\n%s", look, lines, min(look, 1), log)
				}
			}
			dir.put(t, other.File, dir.cert)
			dir.put(t, other.KeyFile, dir.key)
			c.pass(time.Second)
			if !shown(t, f).Leaf.Equal(other.X509) {
				t.Errorf("the mended files are not served; log:\n%s", log)
			}
		})
	}
}

// TestCertificateIsServedFromItsTimeOn replaces a certificate on a machine whose clock is behind.
func TestCertificateIsServedFromItsTimeOn(t *testing.T) {
	one, two := servertest.NewCertificate(t, "a.example.com"), servertest.NewCertificate(t, "a.example.com")
	c, log := &clock{time: two.X509.NotBefore.Add(-time.Hour)}, new(bytes.Buffer)
	dir := newFolder(t, one)
	f := openFiles(t, dir, c.now, log)
	dir.put(t, two.File, dir.cert)
	dir.put(t, two.KeyFile, dir.key)
	for range 3 {
		c.pass(time.Second)
		if !shown(t, f).Leaf.Equal(one.X509) {
			t.Fatal("a certificate is served before its time")
		}
	}
	c.pass(time.Hour)
	if !shown(t, f).Leaf.Equal(two.X509) {
		t.Errorf("the certificate is not served though its time has come; log:\n%s", log)
	}
}

// TestFilesAreReplacedThroughALink is how certbot and Kubernetes do it.
func TestFilesAreReplacedThroughALink(t *testing.T) {
	one, two := servertest.NewCertificate(t, "a.example.com"), servertest.NewCertificate(t, "a.example.com")
	live := filepath.Join(t.TempDir(), "live")
	link := func(c *servertest.Certificate) {
		t.Helper()
		if err := os.Symlink(filepath.Dir(c.File), live+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(live+".new", live); err != nil {
			t.Fatal(err)
		}
	}
	link(one)
	c := &clock{time: time.Now()}
	f := openFiles(t, folder{filepath.Join(live, "cert.pem"), filepath.Join(live, "key.pem")}, c.now, new(bytes.Buffer))
	link(two)
	c.pass(time.Second)
	if !shown(t, f).Leaf.Equal(two.X509) {
		t.Error("not the certificate that the link leads to now")
	}
}

func TestUnusableFilesAtTheStart(t *testing.T) {
	good, other := servertest.NewCertificate(t, "a.example.com"), servertest.NewCertificate(t, "a.example.com")
	_, err := OpenFiles(FilesOptions{CertFile: good.File, KeyFile: other.KeyFile, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), good.File) || !strings.Contains(err.Error(), other.KeyFile) {
		t.Errorf("error %v, want one that names both files", err)
	}
	expired, log := servertest.NewCertificateUntil(t, "a.example.com", time.Now().Add(-time.Hour)), new(bytes.Buffer)
	f := openFiles(t, folder{expired.File, expired.KeyFile}, time.Now, log)
	if !shown(t, f).Leaf.Equal(expired.X509) || !strings.Contains(log.String(), "it expired at") {
		t.Errorf("want that an expired certificate is served and complained of; log:\n%s", log)
	}
}
