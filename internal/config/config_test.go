package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/limit"
)

// write creates a file in a folder of the test and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parse(t *testing.T, args, env []string) *config.Command {
	t.Helper()
	command, err := config.Parse(args, env, &bytes.Buffer{})
	if err != nil {
		t.Fatalf("Parse(%q, %q): %v", args, env, err)
	}
	return command
}

// problems returns the problems of options that must be refused.
func problems(t *testing.T, args, env []string) []string {
	t.Helper()
	command, err := config.Parse(args, env, &bytes.Buffer{})
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		t.Fatalf("Parse(%q, %q) = %+v, %v, want a config.Error", args, env, command, err)
	}
	return wrong.Problems
}

func TestDefaults(t *testing.T) {
	got := parse(t, nil, nil)
	if got.Name != config.Serve {
		t.Errorf("command = %q, want %q", got.Name, config.Serve)
	}
	want := config.Options{
		Server:  config.Server{Mode: config.Dev, Addr: "127.0.0.1:8000", AdminAddr: "127.0.0.1:9000", ShutdownIdle: 5 * time.Second, Compat: config.CompatNone},
		Data:    config.Data{DataDir: "./data", SecretFile: "data/secret"},
		Backups: config.Backups{BackupKeep: 7},
		HTTPS:   config.HTTPS{ACMEDirectory: "https://acme-v02.api.letsencrypt.org/directory", RedirectAddr: "none"},
		Pictures: config.Pictures{
			UploadLimit: 50 << 20, UploadFiles: 9, UploadLifetime: 24 * time.Hour,
			ImagePixels: 50 << 20, ImageSide: 65535, ImageFrames: 1000,
			ImageSizes:  []int{32, 64, 96, 160, 240, 320, 480, 640, 800, 1080, 1440, 1920, 2560},
			ImagePreset: got.Options.ImagePreset, ImageCache: 64 << 20, ImageMemory: 256 << 20, ImageWait: 5 * time.Second,
			Moderation: config.ModerationNone,
		},
		Codes: config.Codes{
			SMS: config.SMSDev, SMSPrefix: []config.PhonePrefix{"+86"}, Captcha: config.CaptchaNone,
			SMSBudgetPhone: 10, SMSBudgetAddress: 20, SMSBudgetRange: 500, SMSBudgetDay: 10000,
		},
		Accounts: config.Accounts{
			AbsentAfter: 180 * 24 * time.Hour, DeletionGrace: 7 * 24 * time.Hour, AuditRetention: 180 * 24 * time.Hour,
		},
		Passwords: config.Passwords{
			PasswordMemory: 19456, PasswordIterations: 2, PasswordParallelism: 1, PasswordWait: 2 * time.Second,
		},
		Sessions: config.Sessions{
			AccessTokenLifetime: 15 * time.Minute, AccessTokenAlgorithm: config.EdDSA,
			SessionIdle: 30 * 24 * time.Hour, SessionLifetime: 180 * 24 * time.Hour,
			SigningKeyLifetime: 90 * 24 * time.Hour, TicketLifetime: time.Minute,
		},
		Logs: config.Logs{LogLevel: got.Options.LogLevel, LogFormat: config.LogConsole},
	}
	if !reflect.DeepEqual(got.Options, want) {
		t.Errorf("options:\n got %+v\nwant %+v", got.Options, want)
	}
	if level := got.Options.LogLevel.String(); level != "info" {
		t.Errorf("log level = %q, want info", level)
	}
}

func TestCommands(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"--addr :9000", config.Serve},
		{"serve --addr :9000", config.Serve},
		{"--addr :9000 serve", config.Serve},
		{"migrate", config.MigrateUp},
		{"migrate up", config.MigrateUp},
		{"migrate status --data-dir elsewhere", config.MigrateStatus},
		{"version", config.Version},
		{"config", config.Show},
		{"user list", config.UserList},
		{"user delete 18866668888 --now", config.UserDelete},
		{"--data-dir elsewhere user set-password 18866668888", config.UserSetPassword},
		{"import booklet --from mysql://a:b@c/demo", config.ImportBooklet},
		{"import csv users.csv", config.ImportCSV},
		{"import pocketbase data.db", config.ImportPocketBase},
		{"import supabase users.csv", config.ImportSupabase},
		{"storage check --read --remove", config.StorageCheck},
		{"storage move --to file:///new", config.StorageMove},
		{"storage move --storage file:///new --storage-fallback file:///old --remove", config.StorageMove},
		{"doctor", config.Doctor},
		{"backup /srv/backups", config.BackupMake},
		{"backup --backup-to file:///srv/backups --verify --with-secret", config.BackupMake},
		{"backup list /srv/backups", config.BackupList},
		{"backup check --backup-to /srv/backups", config.BackupCheck},
		{"restore /srv/backups --at 2026-01-31", config.Restore},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			if got := parse(t, strings.Fields(tt.args), nil); got.Name != tt.want {
				t.Errorf("command = %q, want %q", got.Name, tt.want)
			}
		})
	}
}

func TestCommandArguments(t *testing.T) {
	got := parse(t, strings.Fields("user list --limit 5 --after x"), nil)
	if list := got.User.List; list.Limit != 5 || list.After != "x" {
		t.Errorf("user list = %+v", list)
	}
	if limit := parse(t, strings.Fields("user list"), nil).User.List.Limit; limit != 100 {
		t.Errorf("user list takes %d, want 100", limit)
	}
	got = parse(t, strings.Fields("user delete --now 18866668888 --deletion-grace 1h"), nil)
	if deletion := got.User.Delete; !deletion.Now || deletion.Phone != "18866668888" || got.Options.DeletionGrace != time.Hour {
		t.Errorf("user delete = %+v with a grace of %s", deletion, got.Options.DeletionGrace)
	}
	got = parse(t, strings.Fields("import booklet --from mysql://a:b@c/demo --images i --map m --dry-run"), nil)
	if booklet := got.Import.Booklet; booklet.From != "mysql://a:b@c/demo" || booklet.Images != "i" || booklet.Map != "m" || !booklet.DryRun.DryRun {
		t.Errorf("import booklet = %+v", booklet)
	}
	got = parse(t, strings.Fields("import pocketbase data.db --phone-column mobile"), nil)
	if from := got.Import.PocketBase; from.File != "data.db" || from.PhoneColumn != "mobile" || from.DryRun.DryRun {
		t.Errorf("import pocketbase = %+v", from)
	}
}

func TestPrecedence(t *testing.T) {
	const flag, env = "--addr=127.0.0.1:1", "GATEHOUSE_ADDR=127.0.0.1:2"
	file := write(t, "options.yaml", "addr: 127.0.0.1:3\n")
	tests := []struct {
		name       string
		args, env  []string
		want       config.Address
		wantSource string
	}{
		{"default", nil, nil, "127.0.0.1:8000", "default"},
		{"file by flag", []string{"--config", file}, nil, "127.0.0.1:3", "file"},
		{"file by environment", nil, []string{"GATEHOUSE_CONFIG=" + file}, "127.0.0.1:3", "file"},
		{"file by flag over environment", []string{"--config", file}, []string{"GATEHOUSE_CONFIG=/none"}, "127.0.0.1:3", "file"},
		{"environment over file", []string{"--config", file}, []string{env}, "127.0.0.1:2", "environment"},
		{"flag over all", []string{"--config", file, flag}, []string{env}, "127.0.0.1:1", "flag"},
		{"empty environment", nil, []string{"GATEHOUSE_ADDR="}, "127.0.0.1:8000", "default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(t, append(tt.args, "config"), tt.env)
			if got.Options.Addr != tt.want {
				t.Errorf("addr = %s, want %s", got.Options.Addr, tt.want)
			}
			if row := printed(t, got)["addr"]; row != [2]string{string(tt.want), tt.wantSource} {
				t.Errorf("printed addr = %q, want %q from %q", row, tt.want, tt.wantSource)
			}
		})
	}
}

// printed returns the value and the source that Print writes for each option.
func printed(t *testing.T, command *config.Command) map[string][2]string {
	t.Helper()
	var out bytes.Buffer
	if err := command.Print(&out); err != nil {
		t.Fatal(err)
	}
	rows := make(map[string][2]string)
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			t.Errorf("line %q has %d fields, want 3", line, len(fields))
			continue
		}
		rows[fields[0]] = [2]string{fields[1], fields[2]}
	}
	return rows
}

func TestEveryOptionFromEverySource(t *testing.T) {
	secret, web := write(t, "secret", "x"), t.TempDir()
	values := map[string]string{
		"mode": "production", "lan": "false", "addr": "10.0.0.1:9000", "admin-addr": "10.0.0.1:9100", "public-url": "https://app.example.com",
		"compat": "booklet", "data-dir": "/srv/data", "database": "mysql://gate:pw@db:3306/gate",
		"database-connections": "12", "secret-file": secret, "web-dir": web,
		"trusted-proxy": "10.0.0.0/8,192.0.2.1/32", "cors-origin": "https://a.example,https://b.example:8443",
		"upload-limit": "7MiB", "upload-files": "3", "password-memory": "65536", "password-iterations": "3",
		"password-parallelism": "4", "password-concurrency": "5", "password-wait": "3s",
		"access-token-lifetime": "10m0s", "session-lifetime": "48h0m0s", "shutdown-delay": "5s", "shutdown-idle": "7s", "ticket-lifetime": "30s",
		"access-token-algorithm": "es256", "session-idle": "24h0m0s", "signing-key-lifetime": "36h0m0s",
		"register-at-login": "true", "hide-registered": "true", "absent-after": "0s", "deletion-grace": "1h0m0s",
		"audit-retention": "240h0m0s", "limits": "default,credentials=20/m,load=off", "redis": "rediss://gate:pw@cache:6380/1",
		"sms": "tencent", "sms-endpoint": "https://sms.example.com", "sms-key-id": "key", "sms-key-secret": "pw", "sms-app": "1400006666",
		"sms-sign": "Gatehouse", "sms-template": "template", "sms-region": "ap-guangzhou", "sms-prefix": "+86,+852",
		"test-phone": "18866668888=654321,+8618866669999=765432", "sms-budget-phone": "1", "sms-budget-address": "2",
		"sms-budget-range": "3", "sms-budget-day": "0", "captcha": "geetest", "captcha-id": "site", "captcha-secret": "pw",
		"captcha-endpoint": "https://captcha.example.com/hook",
		"storage":          "file:///srv/pictures", "storage-fallback": "s3://pictures/app?endpoint=https://s3.example.com",
		"accel-redirect": "/internal-pictures/",
		"backup-to":      "s3://backups/app", "backup-every": "12h0m0s", "backup-keep": "3", "backup-key-id": "key", "backup-key-secret": "pw",
		"storage-key-id": "key", "storage-key-secret": "pw", "upload-lifetime": "2h0m0s", "quota-images": "500", "quota-bytes": "2GiB",
		"image-pixels": "12000000", "image-side": "8000", "image-frames": "10", "image-details": "true",
		"image-url": "https://cdn.example.com", "image-sizes": "100,200", "image-preset": "avatar=w=100,wide=h=200&fit=contain&format=png",
		"image-cache": "8MiB", "image-decodes": "3", "image-memory": "128MiB", "image-wait": "1s",
		"moderation": "webhook", "moderation-endpoint": "https://moderator.example.com/hook", "moderation-secret": "pw",
		"log-level": "warn,image=debug", "log-format": "json", "redirect-addr": "10.0.0.1:9080", "hsts": "24h0m0s",
	}
	// Certificates come from one of these.
	files := map[string]string{"tls-cert": write(t, "cert.pem", "x"), "tls-key": write(t, "key.pem", "x")}
	acme := map[string]string{
		"acme-domain": "app.example.com,www.example.com", "acme-email": "ops@example.com", "acme-directory": "https://ca.example.com/acme",
	}
	t.Run("files", func(t *testing.T) { testEverySource(t, values, files, acme) })
	t.Run("acme", func(t *testing.T) { testEverySource(t, values, acme, files) })
}

// testEverySource gives all options but those that others exclude.
func testEverySource(t *testing.T, common, chosen, excluded map[string]string) {
	values := maps.Clone(common)
	maps.Copy(values, chosen)
	var args, env []string
	var yaml strings.Builder
	for name, value := range values {
		args = append(args, "--"+name+"="+value)
		env = append(env, "GATEHOUSE_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+value)
		if slices.Contains([]string{"trusted-proxy", "cors-origin", "test-phone", "sms-prefix", "image-sizes", "image-preset", "acme-domain"}, name) {
			value = "[" + value + "]"
		}
		fmt.Fprintf(&yaml, "%s: %s\n", name, value)
	}
	secrets := regexp.MustCompile(`(:|^|=|/)(pw\b|\d{6}\b|hook$)`)
	tests := []struct {
		name       string
		args, env  []string
		wantSource string
	}{
		{"flags", args, nil, "flag"},
		{"environment", nil, env, "environment"},
		{"file", []string{"--config", write(t, "all.yaml", yaml.String())}, nil, "file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows := printed(t, parse(t, tt.args, tt.env))
			for name, row := range rows {
				if _, not := excluded[name]; not {
					continue
				}
				want := [2]string{secrets.ReplaceAllString(values[name], "${1}xxxxx"), tt.wantSource}
				if name != "OPTION" && name != "config" && row != want {
					t.Errorf("%s = %q, want %q", name, row, want)
				}
			}
			if want := len(values) + len(excluded) + 2; len(rows) != want {
				t.Errorf("%d lines, want %d: an option is not in this test", len(rows), want)
			}
		})
	}
}

func TestProductionHasLimits(t *testing.T) {
	args := []string{"--mode=production", "--sms=none", "--public-url=https://app.example.com", "--secret-file=" + write(t, "secret", "x")}
	if got := parse(t, args, nil).Options.Limits; !reflect.DeepEqual(got, limit.Defaults()) {
		t.Errorf("limits are %v", got)
	}
	if got := parse(t, append(args, "--limits=off"), nil).Options.Limits; len(got) != 0 {
		t.Errorf("limits are %v, want none", got)
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		args string
		got  func(config.Options) any
		want any
	}{
		{"--addr 9000", func(o config.Options) any { return o.Addr }, config.Address("127.0.0.1:9000")},
		{"--addr :0", func(o config.Options) any { return o.Addr }, config.Address("127.0.0.1:0")},
		{"--addr [::1]:9000", func(o config.Options) any { return o.Addr }, config.Address("[::1]:9000")},
		{"--lan", func(o config.Options) any { return o.Addr }, config.Address(":8000")},
		{"--lan --addr :9000", func(o config.Options) any { return o.Addr }, config.Address(":9000")},
		{"--admin-addr 9100", func(o config.Options) any { return o.AdminAddr }, config.AdminAddress("127.0.0.1:9100")},
		{"--admin-addr [::]:9100", func(o config.Options) any { return o.AdminAddr }, config.AdminAddress("[::]:9100")},
		{"--admin-addr none", func(o config.Options) any { return o.AdminAddr }, config.NoAdmin},
		{"--addr 9001", func(o config.Options) any { return o.AdminAddr }, config.AdminAddress("127.0.0.1:9000")},
		{"--addr :0", func(o config.Options) any { return o.AdminAddr }, config.AdminAddress("127.0.0.1:0")},
		{"--addr :0 --admin-addr :9100", func(o config.Options) any { return o.AdminAddr }, config.AdminAddress("127.0.0.1:9100")},
		{"--admin-addr 9000", func(o config.Options) any { return o.AdminAddrGiven }, true},
		{"--addr 9001", func(o config.Options) any { return o.AdminAddrGiven }, false},
		{"--public-url HTTPS://App.Example.com:443/", func(o config.Options) any { return o.PublicURL }, config.PublicURL("https://app.example.com")},
		{"--cors-origin http://localhost:5173 --cors-origin capacitor://localhost", func(o config.Options) any { return o.CORSOrigin },
			[]config.Origin{"http://localhost:5173", "capacitor://localhost"}},
		{"--trusted-proxy 10.1.2.3/8,::1", func(o config.Options) any { return o.TrustedProxy },
			[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}},
		{"--upload-limit 1.5GiB", func(o config.Options) any { return o.UploadLimit }, config.Size(3 << 29)},
		{"--upload-limit 4096", func(o config.Options) any { return o.UploadLimit }, config.Size(4096)},
		{"--storage file:///srv/pictures", func(o config.Options) any { return o.Storage }, config.Storage("file:///srv/pictures")},
		{"--storage=", func(o config.Options) any { return o.Storage }, config.Storage("")},
		{"--image-sizes 640,320 --image-sizes 160", func(o config.Options) any { return o.ImageSizes }, []int{640, 320, 160}},
		{"--image-preset a=w=1 --image-preset b-2=h=99999&fit=contain&format=webp&q=100", presets, []string{"a=w=1", "b-2=h=99999&fit=contain&format=webp&q=100"}},
		{"--mode dev --quota-bytes 1GB", func(o config.Options) any { return o.QuotaBytes }, config.Size(1e9)},
		{"--sms none", func(o config.Options) any { return o.SMS }, config.SMSNone},
		{"--sms-prefix 1 --sms-prefix +44", func(o config.Options) any { return o.SMSPrefix }, []config.PhonePrefix{"+1", "+44"}},
		{"--test-phone 18866668888=123456", func(o config.Options) any { return o.TestPhone },
			[]config.TestPhone{{Phone: "18866668888", Code: "123456"}}},
		{"--limits off", func(o config.Options) any { return o.Limits }, limit.Limits{}},
		{"--limits default", func(o config.Options) any { return o.Limits }, limit.Defaults()},
		{"--mode dev", func(o config.Options) any { return len(o.Limits) }, 0},
		{"--redis unix:///run/redis.sock", func(o config.Options) any { return o.Redis }, config.Redis("unix:///run/redis.sock")},
		{"--redis redis://:pw@cache", func(o config.Options) any { return o.Redis }, config.Redis("redis://:pw@cache")},
		{"--sms-endpoint http://127.0.0.1:9/x", func(o config.Options) any { return o.SMSEndpoint }, config.Endpoint("http://127.0.0.1:9/x")},
		{"--data-dir d", func(o config.Options) any { return o.SecretFile }, "d/secret"},
		{"--password-wait 0s", func(o config.Options) any { return o.PasswordWait }, time.Duration(0)},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got := tt.got(parse(t, strings.Fields(tt.args), nil).Options)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestHTTPSHasItsPorts(t *testing.T) {
	file := write(t, "any", "x")
	production := "--mode=production --sms=none --public-url=https://app.example.com --secret-file=" + file + " "
	tls := "--tls-cert=" + file + " --tls-key=" + file + " "
	tests := []struct {
		args         string
		wantAddr     config.Address
		wantRedirect config.RedirectAddress
	}{
		{production, ":8000", "none"},
		{production + tls, ":443", ":80"},
		{production + "--acme-domain App.Example.com", ":443", ":80"},
		{production + tls + "--redirect-addr none", ":443", "none"},
		{production + tls + "--addr :8443 --redirect-addr 8080", ":8443", ":8080"},
		{tls, "127.0.0.1:8000", "none"},
		{tls + "--public-url https://localhost --redirect-addr 127.0.0.1:8080", "127.0.0.1:8000", "127.0.0.1:8080"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got := parse(t, strings.Fields(tt.args), nil).Options
			if got.Addr != tt.wantAddr || got.RedirectAddr != tt.wantRedirect {
				t.Errorf("listens on %s and %s, want %s and %s", got.Addr, got.RedirectAddr, tt.wantAddr, tt.wantRedirect)
			}
			if redirects := tt.wantRedirect != "none"; got.Redirects() != redirects {
				t.Errorf("redirects %v, want %v", got.Redirects(), redirects)
			}
		})
	}
}

// presets are those of pictures, as they were given.
func presets(o config.Options) any {
	var given []string
	for _, preset := range o.ImagePreset {
		given = append(given, preset.String())
	}
	return given
}

func TestImagePreset(t *testing.T) {
	got := parse(t, []string{"--image-preset", "wide=w=640&h=320&fit=cover&format=jpeg&q=65"}, nil).Options.ImagePreset
	if len(got) != 1 || got[0].Name != "wide" || got[0].Width != 640 || got[0].Height != 320 || got[0].Fit != "cover" ||
		got[0].Format != "jpeg" || got[0].Quality != 65 {
		t.Errorf("got %+v", got)
	}
	if got := parse(t, nil, nil).Options.ImagePreset; len(got) != 1 || got[0].Name != "avatar" || got[0].Width != 160 || got[0].Height != 160 {
		t.Errorf("the default is %+v", got)
	}
}

func TestRefused(t *testing.T) {
	secret := write(t, "secret", "x")
	tls := "--tls-cert=" + secret + " --tls-key=" + secret + " "
	production := "--mode=production --sms=none --public-url=https://app.example.com --secret-file=" + secret + " "
	tests := []struct {
		args string
		want string // part of the only problem
	}{
		{"--addr nonsense", `--addr: "nonsense" is not valid: want host:port`},
		{"--addr :99999", `want host:port`},
		{"--admin-addr off", `--admin-addr: "off" is not valid: want host:port, such as 127.0.0.1:9000, or none`},
		{"--addr 0.0.0.0:8000", "--addr: dev mode listens on this machine only; add --lan"},
		{"--mode prod", `--mode: "prod" is not valid: want dev or production`},
		{"--sms carrier-pigeon", "want dev or none or log or webhook or tencent or aliyun or twilio"},
		{"--captcha sphinx", "want none or turnstile"},
		{"--access-token-algorithm none", "want eddsa or es256"},
		{"--sms tencent --sms-key-id=x", "--sms: tencent needs also --sms-key-secret, --sms-app, --sms-sign, --sms-template, --sms-region"},
		{"--sms aliyun --sms-sign=x", "--sms: aliyun needs also --sms-key-id, --sms-key-secret, --sms-template"},
		{"--sms twilio --sms-template={code}", "--sms: twilio needs also --sms-key-id, --sms-key-secret, --sms-sign"},
		{"--sms twilio --sms-template=code --sms-key-id=x --sms-key-secret=x --sms-sign=x", "--sms-template: twilio takes the text itself; write {code}"},
		{"--sms webhook", "--sms: webhook needs also --sms-endpoint, --sms-key-secret"},
		{"--captcha turnstile", "--captcha: turnstile needs also --captcha-secret"},
		{"--captcha hcaptcha", "--captcha: hcaptcha needs also --captcha-secret"},
		{"--captcha geetest", "--captcha: geetest needs also --captcha-id, --captcha-secret"},
		{"--captcha webhook --captcha-secret=x", "--captcha: webhook needs also --captcha-endpoint"},
		{"--sms-endpoint http://sms.example.com", "--sms-endpoint: want https://"},
		{"--captcha-endpoint sms.example.com", "--captcha-endpoint: want https://"},
		{"--sms-prefix China", `--sms-prefix: "China" is not valid: want a country`},
		{"--sms-budget-day=-1", "want a whole number from 0 to"},
		{"--test-phone 18866668888=1234567", "--test-phone: want a phone number and a code of six digits"},
		{"--limits 20/m", "--limits: "},
		{"--limits default,login=20/m", "the classes are credentials"},
		{"--redis http://cache", "--redis: want redis://"},
		{"--redis redis://", "--redis: want redis://"},
		{"--compat parse", "want none or booklet"},
		{"--log-format xml", "want console or json"},
		{"--log-level loud", `unknown level "loud": use debug, info, warn, error, none`},
		{"--log-level=info,mail=debug", `unknown module "mail": use account, image`},
		{"--public-url ftp://x", "want http:// or https://"},
		{"--public-url https://x/path", "without a path"},
		{"--cors-origin *", "want scheme://host[:port]"},
		{"--cors-origin https://*.example.com", "want scheme://host[:port]"},
		{"--cors-origin https://example.com/", "want scheme://host[:port]"},
		{"--trusted-proxy 10.0.0.0/40", "want a network"},
		{"--upload-limit much", "want a size from 1KB to 10GB"},
		{"--upload-limit 0", "want a size from 1KB to 10GB"},
		{"--upload-files 1.5", "want a whole number from 1 to 1000"},
		{"--upload-files=-1", "want a whole number from 1 to 1000"},
		{"--password-parallelism 256", "want a whole number from 1 to 255"},
		{"--password-memory 16 --password-parallelism 4", "needs 8 KiB for each thread"},
		{"--password-wait 5", "want a time from 0s to 1m"},
		{"--password-wait 2m", "want a time from 0s to 1m"},
		{"--access-token-lifetime 2h --session-idle 1h", "cannot outlive its session"},
		{"--session-lifetime 24h", "--session-idle: a login cannot last longer unused than at all"},
		{"--signing-key-lifetime 1h", "want a time from 24h to"},
		{"--database postgres://a:b@c/d", "--database: want mysql://"},
		{"--database mysql://a:b@c", "--database: want mysql://"},
		{"--database mysql://c/d", "--database: want mysql://"},
		{"--web-dir /no/such/folder", `--web-dir: "/no/such/folder" is not a folder`},
		{"--data-dir=", "--data-dir: want a folder"},
		{"--lan=perhaps", "want true or false"},
		{"--addr", "--addr: a value is missing"},
		{"--addr --lan", "--addr: a value is missing"},
		{"--adr :9000", `unknown flag --adr, did you mean "--addr"?`},
		{"--config /no/such/file.yaml", "--config: open /no/such/file.yaml"},
		{"migrate sideways", "unexpected argument sideways"},
		{"-v", "unknown flag -v"},
		{"user", "user: name one of its commands; see gatehouse user --help"},
		{"import", "import: name one of its commands"},
		{"user show", "<phone>: missing; see gatehouse user show --help"},
		{"user show 18866668888 18866668888", "unexpected argument 18866668888"},
		{"user list --limit 0", `--limit: "0" is not valid: want a whole number from 1 to`},
		{"user show 18866668888 --now", "unknown flag --now"},
		{"import booklet", "--from: missing; see gatehouse import booklet --help"},
		{"import csv", "<file>: missing; see gatehouse import csv --help"},
		{"--storage ftp://pictures", "--storage: "},
		{"--storage pictures", "--storage: "},
		{"--storage s3://pictures", "--storage-key-id: S3 needs --storage-key-id and --storage-key-secret"},
		{"--storage-fallback s3://pictures --storage-key-id=x", "--storage-key-id: S3 needs"},
		{"--upload-lifetime 1s", "want a time from 1m to 720h"},
		{"--quota-images=-1", "want a whole number from 0 to"},
		{"--quota-bytes much", "want a size from 0 to"},
		{"--image-pixels 0", "want a whole number from 1 to"},
		{"--image-side 65536", "want a whole number from 1 to 65535"},
		{"--image-sizes 160,0", "--image-sizes: want pixels from 1 to 65535"},
		{"--image-sizes 65536", "--image-sizes: want pixels from 1 to 65535"},
		{"--accel-redirect pictures/", "want a path that begins and ends with a slash"},
		{"--accel-redirect /pictures/../", "want a path that begins and ends with a slash"},
		{"--accel-redirect /pictures/", "only proxies that --trusted-proxy names"},
		{"--accel-redirect /pictures/ --trusted-proxy ::1 --storage s3://pictures --storage-key-id a --storage-key-secret b", "nginx can't send what lies in S3"},
		{"--image-url cdn.example.com", "want http:// or https://"},
		{"--image-preset avatar", "want a name and what it stands for"},
		{"--image-preset Avatar=w=1", "want a name and what it stands for"},
		{"--image-preset avatar=fit=cover", "want a name and what it stands for"},
		{"--image-preset avatar=w=0", "want a name and what it stands for"},
		{"--image-preset avatar=w=1&w=2", "want a name and what it stands for"},
		{"--image-preset avatar=w=1&fit=crop", "want a name and what it stands for"},
		{"--image-preset avatar=w=1&format=gif", "want a name and what it stands for"},
		{"--image-preset avatar=w=1&q=101", "want a name and what it stands for"},
		{"--image-preset avatar=w=1&blur=2", "want a name and what it stands for"},
		{"--image-memory 1KB", "want a size from 1MiB to"},
		{"--image-wait 2m", "want a time from 0s to 1m"},
		{"--moderation somebody", "want none or webhook"},
		{"--moderation webhook", "--moderation: webhook needs also --moderation-endpoint, --moderation-secret"},
		{"--moderation webhook --moderation-secret=x", "--moderation: webhook needs also --moderation-endpoint"},
		{"--moderation-endpoint http://moderator.example.com", "--moderation-endpoint: want https://"},
		{"storage", "storage: name one of its commands; see gatehouse storage --help"},
		{"storage move", "--to: missing; name the new storage"},
		{"storage move --remove --to file:///new", "--remove: servers that do not know the new storage would lose their pictures"},
		{"storage move --to file:///new --storage-fallback file:///old", "--to: the pictures of --storage-fallback would stay behind"},
		{"storage move --to s3://pictures", "--storage-key-id: S3 needs"},
		{"storage move --to ftp://pictures", "--to: "},
		{"backup", "DIR: missing; name the place of the backups, or give --backup-to"},
		{"backup list", "DIR: missing"},
		{"restore", "DIR: missing"},
		{"backup s3://backups", "--backup-key-id: S3 needs"},
		{"backup ftp://backups", "must start with file:// or s3://"},
		{"backup --data-dir /srv/data /srv/data/backups", "DIR: it is in the data folder, and would be lost with it"},
		{"--data-dir /srv/data --backup-to file:///srv/data", "--backup-to: it is in the data folder"},
		{"--backup-to data/backups", "--backup-to: it is in the data folder"},
		{"--backup-every 24h", "--backup-every: say where to, with --backup-to"},
		{"--backup-every 1s --backup-to /srv/backups", "--backup-every: want at least a minute"},
		{"--backup-to s3://backups --backup-key-id name", "--backup-key-id: S3 needs"},
		{"user list --mode production", "--secret-file: missing"},
		{"--tls-cert " + secret, "--tls-key: missing"},
		{"--tls-key " + secret, "--tls-cert: missing"},
		{"--tls-cert /no/such/cert --tls-key " + secret, `--tls-cert: there is no file "/no/such/cert"`},
		{"--tls-key /no/such/key --tls-cert " + secret, `--tls-key: there is no file "/no/such/key"`},
		{tls + "--public-url http://127.0.0.1:8000", "--public-url: the server speaks HTTPS"},
		{tls + "--redirect-addr :8080", "--redirect-addr: add --public-url"},
		{"--redirect-addr :8080 --public-url https://app.example.com", "--redirect-addr: there is no HTTPS to redirect to"},
		{"--redirect-addr nowhere", "--redirect-addr: \"nowhere\" is not valid: want host:port, such as :9000 or 127.0.0.1:9000, or none"},
		{"--acme-domain app.example.com", "--acme-domain: a CA must reach the server"},
		{"--acme-email ops@example.com", "--acme-email: add --acme-domain"},
		{"--acme-directory https://ca.example.com", "--acme-directory: add --acme-domain"},
		{"--acme-directory http://ca.example.com", "--acme-directory: \"http://ca.example.com\" is not valid: want https://"},
		{"--acme-domain *.example.com", "want a name such as app.example.com, without a wildcard"},
		{"--acme-domain localhost", "want a name such as app.example.com"},
		{"--acme-domain 127.0.0.1", "want a name such as app.example.com"},
		{"--hsts forever", "want a time from 0s to 17520h"},
		{production + tls + "--acme-domain app.example.com", "--acme-domain: a certificate comes from files or from a CA"},
		{production + "--acme-domain www.example.com", "--acme-domain: add app.example.com"},
		{production + "--redirect-addr :80", "--redirect-addr: there is no HTTPS to redirect to"},
		{production + "--lan", "--lan: production mode serves everyone already"},
		{production + "--sms=dev", "--sms: dev takes one code from everyone and is refused"},
		{production + "--public-url=http://app.example.com", "--public-url: passwords must not travel over plain http"},
		{production + "--secret-file=/no/such/secret", `--secret-file: there is no file "/no/such/secret"`},
	}
	for _, tt := range tests {
		t.Run(strings.TrimPrefix(tt.args, production), func(t *testing.T) {
			got := problems(t, strings.Fields(tt.args), nil)
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("problems = %q, want one with %q", got, tt.want)
			}
		})
	}
}

func TestRefusedFile(t *testing.T) {
	tests := []struct {
		name, yaml string
		want       string // part of the only problem; empty if the file is accepted
	}{
		{"empty", "", ""},
		{"only a comment", "# nothing yet\n", ""},
		{"number", "addr: 9000\n", ""},
		{"one for a list", "trusted-proxy: 10.0.0.0/8\n", ""},
		{"unknown key", "log-levle: info\n", `log-levle: unknown flag --log-levle, did you mean "--log-level"?`},
		{"wrong value", "upload-files: many\n", `upload-files: "many" is not valid: want a whole number`},
		{"list for one", "addr: [a, b]\n", "addr: want one value, not a list"},
		{"mapping", "addr: {host: a}\n", "addr: want a plain value"},
		{"mapping in a list", "cors-origin: [{a: b}]\n", "cors-origin: want a plain value"},
		{"no value", "sms:\n", "sms: it has no value"},
		{"another file", "config: other.yaml\n", "a file cannot name another one"},
		{"not a mapping", "- a\n", "options.yaml:"},
		{"key twice", "addr: :1\naddr: :2\n", "options.yaml:"},
		{"broken", "addr: 'x\n", "options.yaml:"},
		{"help", "help: true\n", "there is no such option"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"--config", write(t, "options.yaml", tt.yaml)}
			if tt.want == "" {
				parse(t, args, nil)
				return
			}
			got := problems(t, args, nil)
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("problems = %q, want one with %q", got, tt.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	parse(t, nil, []string{"HOME=/", "GATEHOUSE_PORT=tcp://10.0.0.1:80", "GATEHOUSE_SERVICE_HOST=10.0.0.1", "GATEHOUSE_PORT_80_TCP=x"})
	got := problems(t, nil, []string{"GATEHOUSE_DATA_DIRR=x", "GATEHOUSE_log_level=info", "GATEHOUSE_UPLOAD_FILES=0", "GATEHOUSE_LAN=maybe"})
	want := []string{
		`GATEHOUSE_DATA_DIRR: unknown flag --data-dirr, did you mean "--data-dir"?`,
		`GATEHOUSE_log_level: there is no such option, did you mean GATEHOUSE_LOG_LEVEL?`,
		`GATEHOUSE_LAN: "maybe" is not valid: want true or false`,
		`GATEHOUSE_UPLOAD_FILES: "0" is not valid: want a whole number from 1 to 1000`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems:\n got %q\nwant %q", got, want)
	}
}

func TestOneErrorNamesEverything(t *testing.T) {
	file := write(t, "options.yaml", "colour: red\nticket-lifetime: soon\n")
	args := []string{"--mode=production", "--bogus", "x", "--boguser=x", "--upload-files=0", "--config", file}
	_, err := config.Parse(args, []string{"GATEHOUSE_COLOR=red", "GATEHOUSE_PASSWORD_WAIT=never"}, &bytes.Buffer{})
	want := strings.ReplaceAll(`invalid options:
  unknown flag --bogus
  unknown flag --boguser
  --upload-files: "0" is not valid: want a whole number from 1 to 1000
  GATEHOUSE_COLOR: unknown flag --color
  FILE: colour: unknown flag --colour
  GATEHOUSE_PASSWORD_WAIT: "never" is not valid: want a time from 0s to 1m, such as 90s, 15m or 720h
  FILE: ticket-lifetime: "soon" is not valid: want a time from 1s to 1h, such as 90s, 15m or 720h
  --secret-file: missing; make one with (umask 077 && openssl rand -base64 32 > secret), keep it, and name it
  --public-url: missing; name the address at which apps reach this server, such as https://app.example.com
  --sms: missing; say how verification codes are sent (none sends nothing and only checks the form of a code)`, "FILE", file)
	if err == nil || err.Error() != want {
		t.Errorf("error:\n got %v\nwant %v", err, want)
	}
}

func TestProduction(t *testing.T) {
	args := []string{"--mode", "production", "--sms", "none", "--secret-file", write(t, "secret", "x")}
	tests := []struct {
		name string
		args []string
		want config.Address
	}{
		{"https", append(args, "--public-url", "https://app.example.com"), ":8000"},
		{"http on this machine", append(args, "--public-url", "http://127.0.0.1:8000"), ":8000"},
		{"migrating needs none of it", []string{"migrate", "--mode", "production"}, ":8000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, tt.args, nil).Options.Addr; got != tt.want {
				t.Errorf("addr = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestVersionAnswersWhateverIsWrong(t *testing.T) {
	parse(t, []string{"version"}, []string{"GATEHOUSE_MODE=nonsense", "GATEHOUSE_CONFIG=/no/such/file"})
}

func TestSecretsDoNotPrint(t *testing.T) {
	const secret, code = "hunter2", "271828"
	url := "mysql://gate:" + secret + "@db/gate"
	command := parse(t, []string{
		"--database", url, "--redis", "redis://:" + secret + "@cache", "--sms-key-secret", secret, "--captcha-secret", secret,
		"--sms-endpoint", "https://sms.example.com/" + secret, "--test-phone", "18866668888=" + code,
		"--storage-key-secret", secret, "--backup-key-secret", secret, "--moderation-secret", secret, "--moderation-endpoint", "https://moderator.example.com/" + secret,
	}, nil)
	encoded, err := json.Marshal(command.Options)
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{
		"%v": fmt.Sprintf("%v", command.Options), "%+v": fmt.Sprintf("%+v", command), "%#v": fmt.Sprintf("%#v", command.Options),
		"json": string(encoded), "config": fmt.Sprint(printed(t, command)),
	}
	file := write(t, "options.yaml", "database: "+url+"\n  broken: 'x\n")
	for name, args := range map[string][]string{
		"scheme":        {"--database", "postgres://gate:" + secret + "@db/gate"},
		"port":          {"--database", "mysql://gate@db:" + secret + "/gate"},
		"escape":        {"--database", "mysql://gate:%zz" + secret + "@db/gate"},
		"name":          {"--databse", url},
		"file":          {"--config", file},
		"Redis scheme":  {"--redis", "http://:" + secret + "@cache"},
		"Redis user":    {"--redis", "redis://" + secret + "@cache"},
		"Redis escape":  {"--redis", "redis://:x/" + secret + "@cache"},
		"Redis number":  {"--redis", "redis://:" + secret + "@cache/x"},
		"endpoint":      {"--sms-endpoint", "https://gate:" + secret + "@sms.example.com"},
		"test phone":    {"--test-phone", "x=" + code},
		"test phones":   {"--test-phone", "18866668888=" + code + ",18866668888=" + code + "x"},
		"import":        {"import", "booklet", "--from", "postgres://gate:" + secret + "@db/demo"},
		"secret's name": {"--sms-key-sceret", secret},
	} {
		outputs["error: "+name] = fmt.Sprint(problems(t, args, nil))
	}
	for name, output := range outputs {
		if strings.Contains(output, secret) || strings.Contains(output, code) {
			t.Errorf("%s shows a secret: %s", name, output)
		}
	}
	if string(command.Options.Database) != url {
		t.Errorf("database = %q, want the whole URL", string(command.Options.Database))
	}
	if string(command.Options.SMSKeySecret) != secret {
		t.Errorf("sms-key-secret = %q, want the secret", string(command.Options.SMSKeySecret))
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"serve", "--help"}, {"--help", "--mode", "nonsense"}} {
		var out bytes.Buffer
		command, err := config.Parse(args, []string{"GATEHOUSE_MODE=nonsense"}, &out)
		if command != nil || !errors.Is(err, config.ErrHelp) {
			t.Errorf("Parse(%q) = %v, %v, want ErrHelp", args, command, err)
		}
		for _, want := range []string{"Usage: gatehouse ", "--log-level=LEVELS", "Passwords (argon2id)", "(default 50MiB)"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("help of %q lacks %q:\n%s", args, want, out.String())
			}
		}
	}
}
