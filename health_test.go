package main

import (
	"strings"
	"testing"

	"gatehouse/internal/servertest"
)

func TestHealth(t *testing.T) {
	certificate := servertest.NewCertificate(t, "localhost")
	for scheme, args := range map[string][]string{
		"http": nil, "https": {"--tls-cert", certificate.File, "--tls-key", certificate.KeyFile},
	} {
		t.Run(scheme, func(t *testing.T) { wantHealth(t, scheme, args) })
	}
}

func wantHealth(t *testing.T, scheme string, args []string) {
	t.Helper()
	args = append(args, "--data-dir", t.TempDir())
	p := start(t, append(args, "--shutdown-delay", "1m")...)
	args = append([]string{"health"}, append(args, "--addr", p.address)...)
	stdout, stderr, code := call(t, args...)
	if want := `{"data":{"msg":{"database":"ok","redis":"unused"},"code":0}}` + "\n"; stdout != want || code != 0 {
		t.Errorf("a server that is ready: code %d, %q, %s", code, stdout, stderr)
	}
	p.terminate(t)
	eventually(t, "a server that stops is not ready", func() bool {
		_, stderr, code = call(t, args...)
		return code == 1 && strings.Contains(stderr, "the server is not ready: "+scheme+"://"+p.address+"/readyz answers 503")
	})
	kill(t, p)
	if _, stderr, code := call(t, args...); code != 1 || !strings.Contains(stderr, "the server does not answer") {
		t.Errorf("no server: code %d, %s", code, stderr)
	}
}

func TestLocalAddress(t *testing.T) {
	for address, want := range map[string]string{
		":8000": "localhost:8000", "0.0.0.0:8000": "localhost:8000", "[::]:8000": "localhost:8000",
		"127.0.0.1:9000": "127.0.0.1:9000", "app.example.com:80": "app.example.com:80",
	} {
		if got := localAddress(address); got != want {
			t.Errorf("a server on %s is reached at %s, want %s", address, got, want)
		}
	}
}
