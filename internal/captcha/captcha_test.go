package captcha_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/captcha"
)

const (
	secret   = "0x4AAAAAAA-secret"
	siteKey  = "10000000-ffff-ffff-ffff-000000000001"
	response = "XXXX.DUMMY.TOKEN.XXXX"
)

var (
	webhookKey    = []byte("0123456789abcdef0123456789abcdef")
	webhookSecret = "whsec_" + base64.StdEncoding.EncodeToString(webhookKey)
	visitor       = netip.MustParseAddr("203.0.113.7")
	errOther      = errors.New("an error about the provider")
)

// provider is one implementation, as the tests of all make and feed it.
type provider struct {
	name     string
	new      func(url string) (captcha.Verifier, error)
	response string
}

// lot is what getValidate of GeeTest's script returns.
const lot = `{"captcha_id":"647f5ed2ed8acb4be36784e01556bb71","lot_number":"4dc3cfc2cdff448cad8d13107198d473",` +
	`"captcha_output":"out+put=","pass_token":"pass-token","gen_time":"1637830000"}`

var (
	turnstile = provider{"turnstile", func(url string) (captcha.Verifier, error) {
		return captcha.NewTurnstile(captcha.Options{Secret: secret, URL: url})
	}, response}
	hCaptcha = provider{"hcaptcha", func(url string) (captcha.Verifier, error) {
		return captcha.NewHCaptcha(captcha.Options{SiteKey: siteKey, Secret: secret, URL: url})
	}, response}
	geetest = provider{"geetest", func(url string) (captcha.Verifier, error) {
		return captcha.NewGeetest(captcha.Options{SiteKey: "647f5ed2ed8acb4be36784e01556bb71", Secret: secret, URL: url})
	}, lot}
	webhook = provider{"webhook", func(url string) (captcha.Verifier, error) {
		return captcha.NewWebhook(captcha.Options{Secret: webhookSecret, URL: url})
	}, response}
)

// start returns a provider's verifier that asks a server of the test.
func (p provider) start(t *testing.T, handler http.HandlerFunc) captcha.Verifier {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return p.at(t, server.URL)
}

func (p provider) at(t *testing.T, url string) captcha.Verifier {
	t.Helper()
	verifier, err := p.new(url)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// verify asks a provider that answers in one way.
func (p provider) verify(t *testing.T, status int, body string) error {
	t.Helper()
	return p.start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}).Verify(t.Context(), p.response, visitor)
}

// check fails unless an error is the one that is wanted, where errOther stands for any about the provider.
func check(t *testing.T, err, want error) {
	t.Helper()
	switch {
	case want == nil && err != nil, want != nil && err == nil, errors.Is(err, captcha.ErrRefused) != (want == captcha.ErrRefused):
		t.Errorf("got %v, want %v", err, want)
	}
	for _, hidden := range []string{secret, response, "pass-token", webhookSecret} {
		if err != nil && strings.Contains(err.Error(), hidden) {
			t.Errorf("the error holds %s: %v", hidden, err)
		}
	}
}

// concurrently verifies the same response from many goroutines.
func concurrently(t *testing.T, verifier captcha.Verifier, response string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { check(t, verifier.Verify(t.Context(), response, visitor), nil) })
	}
	wg.Wait()
}

func TestForms(t *testing.T) {
	tests := []struct {
		provider provider
		answer   string
		want     url.Values
	}{
		{turnstile, `{"success":true,"challenge_ts":"2022-02-28T15:14:30.096Z","hostname":"example.com","error-codes":[]}`,
			url.Values{"secret": {secret}, "response": {response}, "remoteip": {"203.0.113.7"}}},
		{hCaptcha, `{"success":true,"challenge_ts":"2022-02-28T15:14:30.096Z","hostname":"example.com"}`,
			url.Values{"secret": {secret}, "response": {response}, "remoteip": {"203.0.113.7"}, "sitekey": {siteKey}}},
		{geetest, `{"status":"success","result":"success","reason":"","captcha_args":{"used_type":"slide"}}`,
			url.Values{
				"captcha_id": {"647f5ed2ed8acb4be36784e01556bb71"}, "lot_number": {"4dc3cfc2cdff448cad8d13107198d473"},
				"captcha_output": {"out+put="}, "pass_token": {"pass-token"}, "gen_time": {"1637830000"},
				"sign_token": {signToken(secret, "4dc3cfc2cdff448cad8d13107198d473")},
			}},
	}
	for _, tt := range tests {
		t.Run(tt.provider.name, func(t *testing.T) {
			concurrently(t, tt.provider.start(t, func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Errorf("read the form: %v", err)
				}
				if r.Method != http.MethodPost || r.PostForm.Encode() != tt.want.Encode() || r.URL.RawQuery != "" {
					t.Errorf("%s %s with %v, want %v", r.Method, r.URL, r.PostForm, tt.want)
				}
				io.WriteString(w, tt.answer)
			}), tt.provider.response)
		})
	}
}

func signToken(key, lotNumber string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(lotNumber))
	return hex.EncodeToString(mac.Sum(nil))
}

// TestHMAC proves signToken right with test case 2 of RFC 4231, since GeeTest documents no example.
func TestHMAC(t *testing.T) {
	got := signToken("Jefe", "what do ya want for nothing?")
	if want := "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"; got != want {
		t.Errorf("signed %s, want %s", got, want)
	}
}

func TestAddresses(t *testing.T) {
	tests := map[string]struct {
		client netip.Addr
		want   []string
	}{
		"none":        {netip.Addr{}, nil},
		"IPv6":        {netip.MustParseAddr("2001:db8::1"), []string{"2001:db8::1"}},
		"mapped IPv4": {netip.MustParseAddr("::ffff:203.0.113.7"), []string{"203.0.113.7"}},
		"zone":        {netip.MustParseAddr("fe80::1%eth0"), []string{"fe80::1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			verifier := turnstile.start(t, func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Errorf("read the form: %v", err)
				}
				if got := r.PostForm["remoteip"]; strings.Join(got, ",") != strings.Join(tt.want, ",") || len(got) != len(tt.want) {
					t.Errorf("remoteip is %q, want %q", got, tt.want)
				}
				io.WriteString(w, `{"success":true}`)
			})
			check(t, verifier.Verify(t.Context(), response, tt.client), nil)
		})
	}
}

func TestSiteVerifyCodes(t *testing.T) {
	codes := map[error][]string{
		captcha.ErrRefused: {
			"missing-input-response", "invalid-input-response", "timeout-or-duplicate", "expired-input-response",
			"already-seen-response", "invalid-or-already-seen-response",
		},
		errOther: {
			"missing-input-secret", "invalid-input-secret", "bad-request", "internal-error", "invalid-sitekey",
			"sitekey-secret-mismatch", "not-using-dummy-passcode", "missing-remoteip", "invalid-remoteip", "invalid-widget-id", "invalid-parsed-secret", "brand-new-code",
		},
	}
	for want, codes := range codes {
		for _, code := range codes {
			for _, provider := range []provider{turnstile, hCaptcha} {
				t.Run(provider.name+"/"+code, func(t *testing.T) {
					body := fmt.Sprintf(`{"success":false,"error-codes":[%q]}`, code)
					for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
						err := provider.verify(t, status, body)
						check(t, err, want)
						if err != nil && !strings.Contains(err.Error(), code) {
							t.Errorf("got %v, want it to name the code", err)
						}
					}
				})
			}
		}
	}
}

func TestGeetestCodes(t *testing.T) {
	codes := map[error][]string{
		captcha.ErrRefused: {
			"-50002", "-50003", "-50005", "-50301", "-50302", "-50303", "-50304", "-50305", "-50306", "-50307", "-50308",
		},
		errOther: {"-50000", "-50001", "-50004", "-50101", "-50102", "-50103", "-50104", "-50105", "-59999"},
	}
	for want, codes := range codes {
		for _, code := range codes {
			t.Run(code, func(t *testing.T) {
				body := fmt.Sprintf(`{"status":"error","code":%q,"msg":"illegal pass-token","desc":{"type":"defined error"}}`, code)
				check(t, geetest.verify(t, http.StatusOK, body), want)
			})
		}
	}
}

func TestAnswers(t *testing.T) {
	refused := captcha.ErrRefused
	tests := []struct {
		provider provider
		name     string
		status   int
		body     string
		want     error
	}{
		{turnstile, "mixed codes", 200, `{"success":false,"error-codes":["invalid-input-response","invalid-input-secret"]}`, errOther},
		{turnstile, "no code", 200, `{"success":false,"error-codes":[]}`, refused},
		{turnstile, "success in a failure", 500, `{"success":true}`, errOther},
		{turnstile, "success in a redirect", 302, `{"success":true}`, errOther},
		{geetest, "expired", 200, `{"status":"success","result":"fail","reason":"pass_token expire","captcha_args":{}}`, refused},
		{geetest, "wrong key", 200, `{"status":"success","result":"fail","reason":"illegal sign_token"}`, errOther},
		{geetest, "success in a failure", 500, `{"result":"success"}`, errOther},
		{geetest, "success in a redirect", 302, `{"result":"success"}`, errOther},
		{webhook, "true", 200, `{"success":true}`, nil},
		{webhook, "false", 200, `{"success":false}`, refused},
		{webhook, "true in a redirect", 307, `{"success":true}`, errOther},
		{webhook, "unauthorized", 401, `{"success":false}`, errOther},
	}
	for _, tt := range tests {
		t.Run(tt.provider.name+"/"+tt.name, func(t *testing.T) {
			check(t, tt.provider.verify(t, tt.status, tt.body), tt.want)
		})
	}
}

func TestTrouble(t *testing.T) {
	for _, provider := range []provider{turnstile, hCaptcha, geetest, webhook} {
		t.Run(provider.name, func(t *testing.T) {
			for name, body := range map[string]string{
				"empty": "", "HTML": "<html>" + response, "other JSON": "{}", "other type": `["success"]`, "null": "null",
				"other types inside": `{"success":"true","result":1}`, "too large": strings.Repeat(" ", 1<<20) + `{"success":true,"result":"success"}`,
			} {
				t.Run(name, func(t *testing.T) { check(t, provider.verify(t, http.StatusOK, body), errOther) })
			}
			t.Run("broken", func(t *testing.T) {
				t.Parallel()
				check(t, provider.verify(t, http.StatusBadGateway, "<html>"), errOther)
			})
			t.Run("nobody there", func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(http.NotFoundHandler())
				server.Close()
				check(t, provider.at(t, server.URL).Verify(t.Context(), provider.response, visitor), errOther)
			})
			t.Run("hanging", func(t *testing.T) {
				release := make(chan struct{})
				verifier := provider.start(t, func(http.ResponseWriter, *http.Request) { <-release })
				t.Cleanup(func() { close(release) })
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				err := verifier.Verify(ctx, provider.response, visitor)
				check(t, err, errOther)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want the deadline", err)
				}
			})
		})
	}
}

// TestRedirects checks that nobody else gets our secret, or a say.
func TestRedirects(t *testing.T) {
	for _, provider := range []provider{turnstile, hCaptcha, geetest, webhook} {
		t.Run(provider.name, func(t *testing.T) {
			verifier := provider.start(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					t.Error("the redirect was followed")
					io.WriteString(w, `{"success":true,"result":"success"}`)
					return
				}
				http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			})
			check(t, verifier.Verify(t.Context(), provider.response, visitor), errOther)
		})
	}
}

// TestUnreadableResponses checks that no provider is asked about them.
func TestUnreadableResponses(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	responses := map[string][]string{
		"turnstile": {"", long}, "hcaptcha": {"", long}, "webhook": {"", long},
		"geetest": {"", long, response, "[]", "{}", `{"lot_number":"1","captcha_output":"2","pass_token":"3"}`, strings.Replace(lot, `"1637830000"`, `[]`, 1)},
	}
	for _, provider := range []provider{turnstile, hCaptcha, geetest, webhook} {
		verifier := provider.start(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%s was asked", provider.name) })
		for _, response := range responses[provider.name] {
			check(t, verifier.Verify(t.Context(), response, visitor), captcha.ErrRefused)
		}
	}
}

func TestWebhookIsSigned(t *testing.T) {
	concurrently(t, webhook.start(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		if want := `{"response":"` + response + `","client":"203.0.113.7"}`; string(body) != want {
			t.Errorf("got %s, want %s", body, want)
		}
		mac := hmac.New(sha256.New, webhookKey)
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if got := r.Header.Get("webhook-signature"); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
		io.WriteString(w, `{"success":true}`)
	}), response)
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		make func() (captcha.Verifier, error)
		want string
	}{
		{"turnstile without a secret", func() (captcha.Verifier, error) { return captcha.NewTurnstile(captcha.Options{}) }, "secret"},
		{"hcaptcha without a secret", func() (captcha.Verifier, error) { return captcha.NewHCaptcha(captcha.Options{SiteKey: siteKey}) }, "secret"},
		{"geetest without a key", func() (captcha.Verifier, error) { return captcha.NewGeetest(captcha.Options{SiteKey: "1"}) }, "key"},
		{"webhook without a URL", func() (captcha.Verifier, error) { return captcha.NewWebhook(captcha.Options{Secret: webhookSecret}) }, "URL"},
		{"turnstile", func() (captcha.Verifier, error) { return turnstile.new("example.com") }, "https://challenges.cloudflare.com"},
		{"hcaptcha", func() (captcha.Verifier, error) { return hCaptcha.new("ftp://example.com") }, "https://api.hcaptcha.com"},
		{"geetest", func() (captcha.Verifier, error) { return geetest.new("https://") }, "https://gcaptcha4.geetest.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.make()
			check(t, err, errOther)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to name %s", err, tt.want)
			}
		})
	}
	for _, provider := range []provider{turnstile, hCaptcha, geetest} {
		if _, err := provider.new(""); err != nil {
			t.Errorf("%s without a URL: %v", provider.name, err)
		}
	}
}
