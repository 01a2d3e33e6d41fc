package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
	"gatehouse/internal/verify"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// wantFinding expects a finding with a status, and that something is said about what to do if it is bad.
func wantFinding(t *testing.T, found []Finding, status Status, text string) {
	t.Helper()
	for _, f := range found {
		if f.Status == status && strings.Contains(f.Found, text) {
			if status != OK && f.Do == "" {
				t.Errorf("%q: it does not say what to do", f.Found)
			}
			return
		}
	}
	t.Errorf("found %+v, want %s: %q", found, status, text)
}

// TestExamine has a check that hangs, whatever its context says.
func TestExamine(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	var reports []Report
	worst := examine(t.Context(), []Check{
		{"hangs", func(context.Context) []Finding { <-hang; return nil }},
		{"heeds", func(ctx context.Context) []Finding { <-ctx.Done(); return []Finding{warn("wait", "too slow")} }},
		{"is well", func(context.Context) []Finding { return []Finding{ok("well")} }},
	}, time.Second, func(r Report) { reports = append(reports, r) })
	if worst != Problem || len(reports) != 3 {
		t.Fatalf("worst %s of %v, want three reports with a problem", worst, reports)
	}
	wantFinding(t, reports[0].Findings, Problem, "no answer within 1s")
	wantFinding(t, reports[1].Findings, Warning, "too slow")
	if got, want := reports[1].String(), "warning  heeds         too slow\n                       → wait\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	wantFinding(t, reports[2].Findings, OK, "well")
}

func opener(url, dir string) func(context.Context) (*database.Database, error) {
	return func(ctx context.Context) (*database.Database, error) {
		return database.Open(ctx, database.Options{URL: url, DataDir: dir})
	}
}

func TestDatabase(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		look := Database(opener(url, dir))
		wantFinding(t, look(t.Context()), Warning, "migrations are pending: 00001_users.sql")
		dbtest.OpenIn(t, url, dir, nil)
		wantFinding(t, look(t.Context()), OK, "every migration is applied, and every column and index is there")
		pool := dbtest.OpenPool(t, url, dir)
		statements := []string{"DROP INDEX images_sha256"}
		if url != "" {
			statements = []string{"DROP INDEX images_sha256 ON images", "ALTER DATABASE CHARACTER SET latin1"}
		}
		for _, statement := range statements {
			if _, err := pool.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		wantFinding(t, look(t.Context()), Problem, "index images (sha256)")
		if url != "" {
			wantFinding(t, look(t.Context()), Warning, "new tables would have the character set latin1")
			wantFinding(t, look(t.Context()), OK, "the clock of the database is that of this machine")
		}
	})
}

// TestLargeSQLite was not read to its end, which is no problem.
func TestLargeSQLite(t *testing.T) {
	wantFinding(t, sqliteFindings(database.Inspection{Unread: true}), OK, "too large to be read for damage here")
}

func TestDamagedSQLite(t *testing.T) {
	dir := t.TempDir()
	d := dbtest.OpenIn(t, "", dir, nil)
	pool := dbtest.OpenPool(t, "", dir)
	if _, err := pool.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pool.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "gatehouse.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for page := int64(2); page < 20; page++ { // the pages after the first two
		if _, err := f.WriteAt([]byte("damaged damaged damaged"), page*4096); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	found := Database(opener("", dir))(t.Context())
	if (Report{Findings: found}).Worst() != Problem {
		t.Errorf("found %+v, want a problem", found)
	}
}

func TestRedis(t *testing.T) {
	r := dbtest.NewRedis(t)
	look := Redis(r.URL)
	wantFinding(t, look(t.Context()), OK, "answers")
	wantFinding(t, look(t.Context()), OK, "the clock of Redis is that of this machine")
	wantFinding(t, look(t.Context()), Warning, "it does what noeviction says")
	r.Stop()
	wantFinding(t, look(t.Context()), Problem, "reach Redis")
}

func TestStorage(t *testing.T) {
	m := dbtest.SharedMinIO(t)
	for _, test := range []struct {
		secret string
		want   Status
		text   string
	}{{m.KeySecret, OK, "a file was stored, read and removed"}, {"wrong", Problem, "signature"}} {
		open := func() (*storage.Store, error) {
			shelf, err := storage.OpenS3(storage.S3Options{Endpoint: m.Endpoint, Region: m.Region, Bucket: m.Bucket, KeyID: m.KeyID, KeySecret: test.secret})
			if err != nil {
				return nil, err
			}
			return storage.Open(storage.Options{Shelf: shelf, Spool: t.TempDir()})
		}
		found := Storage(open)(t.Context())
		if len(found) != 1 || found[0].Status != test.want {
			t.Errorf("key %q: found %+v, want %s", test.secret, found, test.want)
		}
	}
}

func TestBackups(t *testing.T) {
	dir := t.TempDir()
	look := Backups(func() (storage.Folder, error) { return storage.OpenDiskFolder(dir), nil }, time.Hour)
	wantFinding(t, look(t.Context()), Problem, "there is no backup that is complete")
	put := func(at time.Time, number, more string) {
		folder := filepath.Join(dir, at.UTC().Format("20060102T150405Z"))
		manifest := `{"format":1,"number":` + number + `,"createdAt":"` + at.UTC().Format(time.RFC3339) + `"` + more + `}`
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "manifest.json"), []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(time.Now().Add(-3*time.Hour), "1", "")
	wantFinding(t, look(t.Context()), Problem, "is 3h0m0s old, and one is due every 1h0m0s")
	put(time.Now().Add(-time.Minute), "2", "")
	wantFinding(t, look(t.Context()), OK, "2 backups; the newest")
	put(time.Now(), "3", `,"pictures":{"lost":2}`)
	wantFinding(t, look(t.Context()), Warning, "lacks 2 pictures")
}

func TestBudgets(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		dbtest.OpenIn(t, url, dir, nil)
		look := Budgets(opener(url, dir), verify.DefaultBudgets())
		wantFinding(t, look(t.Context()), OK, "0 codes were sent today")
		pool := dbtest.OpenPool(t, url, dir)
		now := time.Now().UTC()
		for name, row := range map[string]struct {
			starts time.Time
			sent   int
		}{"server": {now.Truncate(24 * time.Hour), 9000}, "breaker:+8613800": {now.Truncate(time.Hour), 40}} {
			starts := any(row.starts)
			if url == "" {
				starts = row.starts.UnixMicro()
			}
			_, err := pool.ExecContext(t.Context(), "INSERT INTO sms_budgets (name, starts_at, sent, verified, expires_at) VALUES (?, ?, ?, 0, ?)",
				name, starts, row.sent, starts)
			if err != nil {
				t.Fatal(err)
			}
		}
		wantFinding(t, look(t.Context()), Warning, "9000 of the 10000 codes of today are sent")
		wantFinding(t, look(t.Context()), Warning, "the breaker is open for numbers that begin with +8613800")
	})
}

func TestSMS(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	look := SMS("webhook", "http://"+listener.Addr().String()+"/codes")
	wantFinding(t, look(t.Context()), OK, "can be connected to; nothing was sent")
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, look(t.Context()), Problem, "can't be reached")
}

// certificate makes one that signs itself.
func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, *x509.CertPool, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-90 * 24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(name)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, file
}

func TestPublicURL(t *testing.T) {
	day := 24 * time.Hour
	for _, test := range []struct {
		name, host string
		left       time.Duration
		known      bool
		status     int
		want       Status
		text       string
	}{
		{"valid", "127.0.0.1", 60 * day, true, 200, OK, "is valid for 59 days"},
		{"soon over", "127.0.0.1", 5 * day, true, 200, Warning, "expires in 4 days"},
		{"expired", "127.0.0.1", -day, true, 200, Problem, "has expired"},
		{"of another name", "127.0.0.2", 60 * day, true, 200, Problem, "is for another name"},
		{"of nobody", "127.0.0.1", 60 * day, false, 200, Problem, "is of nobody whom this machine knows"},
		{"another server", "127.0.0.1", 60 * day, true, 502, Problem, "answers 502"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cert, pool, file := certificate(t, test.host, time.Now().Add(test.left))
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(test.status) }))
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			defer s.Close()
			if !test.known {
				pool = x509.NewCertPool()
			}
			wantFinding(t, PublicURL(s.URL, pool)(t.Context()), test.want, test.text)
			want := OK
			if test.left < 0 {
				want = Problem
			} else if test.left < soon {
				want = Warning
			}
			wantFinding(t, CertificateFile(file)(t.Context()), want, "the certificate of "+file)
		})
	}
	wantFinding(t, PublicURL("http://127.0.0.1:1", nil)(t.Context()), Problem, "can't be reached")
}
