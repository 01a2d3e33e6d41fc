package main

import (
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/dbtest"
)

var bannerMetrics = regexp.MustCompile(`(?m)^  metrics    (http://\S+)/$`)

// adminURL is where the metrics of a process are.
func (p *process) adminURL(t *testing.T) string {
	t.Helper()
	match := bannerMetrics.FindStringSubmatch(p.stdout.String())
	if match == nil {
		t.Fatalf("it does not say where its metrics are:\n%s", p.stdout.String())
	}
	return match[1]
}

// newAdmin returns a client of the metrics of a process.
func newAdmin(t *testing.T, p *process) *client {
	t.Helper()
	admin := newClient(t, p)
	admin.base = p.adminURL(t)
	return admin
}

func TestAdminServesMetricsAndProfiles(t *testing.T) {
	p := start(t, "--data-dir", t.TempDir())
	newClient(t, p).get("/no/such/path").wantError(t, http.StatusNotFound, 9004)
	admin := newAdmin(t, p)
	for path, want := range map[string]string{
		"/":                              "/metrics",
		"/healthz":                       "ok",
		"/metrics":                       `gatehouse_http_requests_total{operation="unknown",status="404"} 1`,
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/debug/pprof/profile?seconds=1": "",
	} {
		if got := admin.get(path); got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: status %d, want 200 with %q\n%s", path, got.status, want, got.body)
		}
	}
	api := newClient(t, p)
	api.get("/metrics").wantError(t, http.StatusNotFound, 9004) // not for the world
	p.stop(t)
}

// TestAdminAddressIsTaken starts a second server where the first has the address.
func TestAdminAddressIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:9000")
	if err != nil {
		t.Logf("somebody else has 127.0.0.1:9000 already: %v", err)
	} else {
		t.Cleanup(func() { taken.Close() })
	}

	p := launch(t, "--data-dir", t.TempDir(), "--addr", freeAddress(t))
	p.awaitBanner(t)
	eventually(t, "it says what to do", func() bool {
		return strings.Contains(p.stderr.String(), "going on without the admin address, which another process has: name a free one, or none")
	})
	if !strings.Contains(p.stdout.String(), "  metrics    none\n") {
		t.Errorf("it says\n%s", p.stdout.String())
	}
	messageOf[string](t, newClient(t, p).get("/healthz"))
	p.stop(t)

	_, stderr, code := call(t, "--data-dir", t.TempDir(), "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:9000")
	if code != 1 || !strings.Contains(stderr, "listen on 127.0.0.1:9000") {
		t.Errorf("an address that was named: code %d, want 1\n%s", code, stderr)
	}
}

func TestAdminIsOpenedOnlyByName(t *testing.T) {
	p := start(t, "--data-dir", t.TempDir(), "--admin-addr", "0.0.0.0:0")
	if !strings.Contains(p.stdout.String(), "NOTE: whoever reaches the metrics' address") {
		t.Errorf("it says nothing of who reaches the metrics:\n%s", p.stdout.String())
	}
	p.stop(t)

	p = start(t, "--data-dir", t.TempDir(), "--admin-addr", "none")
	if !strings.Contains(p.stdout.String(), "  metrics    none\n") {
		t.Errorf("it says\n%s", p.stdout.String())
	}
	p.stop(t)
}

// TestMetricsCountWhatHappens plays a story, and finds it in the numbers.
func TestMetricsCountWhatHappens(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, database string) {
		sms := newSMSReceiver(t)
		args, _ := databaseArgs(t, database)
		p := start(t, slices.Concat(args, sms.args(), []string{"--limits", "default,read=3/h"})...)
		app, who := newClient(t, p), someone{userPhone}
		code := sms.ask(t, app, who, "register")
		app.postJSON("/users/code", who.form("purpose", "register")).wantError(t, http.StatusTooManyRequests, 1008)
		messageOf[string](t, app.postJSON("/users/regist", who.form("password", "demo123456", "code", code)))
		app.postJSON("/users/login", who.form("password", "not this one")).wantError(t, http.StatusUnauthorized, 1005)
		bearer := who.logIn(t, app).bearer()
		uploadAndLoad(t, app, bearer)
		for range 4 {
			app.get("/users/me", bearer...)
		}

		admin := newAdmin(t, p)
		eventually(t, "both pictures are decoded", func() bool {
			return strings.Contains(admin.get("/metrics").body, `gatehouse_picture_decodes_total{outcome="done"} 2`)
		})
		text := admin.get("/metrics").body
		for _, want := range []string{
			`gatehouse_sms_sent_total 1`,
			`gatehouse_sms_verified_total 1`,
			`gatehouse_sms_refused_total{cause="too-soon"} 1`,
			`gatehouse_password_hashes_total 3`,
			`gatehouse_password_hash_wait_seconds_count 3`,
			`gatehouse_pictures_stored_total 2`,
			`gatehouse_http_requests_total{operation="loginUser",status="200"} 1`,
			`gatehouse_http_requests_total{operation="loginUser",status="401"} 1`,
			`gatehouse_http_request_duration_seconds_count{class="2xx",operation="uploadImages"} 1`,
			`gatehouse_http_errors_total{code="1005"} 1`,
			`gatehouse_limit_refused_total{class="read"} 1`,
			`gatehouse_storage_operations_total{operation="place",outcome="ok"} 2`,
			`gatehouse_http_connections_open 1`,
			`gatehouse_database_commits_unknown_total 0`,
		} {
			if !strings.Contains(text, "\n"+want+"\n") {
				t.Errorf("the scrape lacks %s", want)
			}
		}
		for _, secret := range []string{"8866668888", userPhone, "demo123456", "127.0.0.1", "/users/"} {
			if strings.Contains(text, secret) {
				t.Errorf("the scrape has %s", secret)
			}
		}
		if t.Failed() {
			t.Log(text)
		}
	})
}

// TestBackupsOfOthersCount starts a server where another one has made the last backup.
func TestBackupsOfOthersCount(t *testing.T) {
	args := []string{"--data-dir", t.TempDir(), "--backup-to", "file://" + t.TempDir(), "--backup-every", "1h"}
	const none = "gatehouse_backup_last_success_timestamp_seconds 0\n"
	for _, wantMade := range []string{"1", "0"} {
		p := start(t, args...)
		admin := newAdmin(t, p)
		eventually(t, "it knows of a backup", func() bool { return !strings.Contains(admin.get("/metrics").body, none) })
		if want := `gatehouse_backups_total{outcome="done"} ` + wantMade + "\n"; !strings.Contains(admin.get("/metrics").body, want) {
			t.Errorf("the scrape lacks %s", want)
		}
		p.stop(t)
	}
}
