// Package captcha asks a CAPTCHA provider whether a visitor is a person. Secrets and visitors' responses
// stay out of its errors.
package captcha

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const (
	timeout       = 5 * time.Second // of one verification
	answerLimit   = 64 << 10        // bytes
	responseLimit = 16 << 10        // bytes; providers make some of 4 KB
)

// ErrRefused says that a visitor's response is missing, wrong, used up or too old. Any other error is about
// the provider: it is away, or refuses our keys.
var ErrRefused = errors.New("the CAPTCHA's response is refused")

// Options are the keys that a provider gave us and, where it is not the provider's own, its URL.
type Options struct {
	SiteKey string // of hCaptcha, which then refuses responses of other sites, and the id of GeeTest
	Secret  string // the key of GeeTest
	URL     string
}

// Verifier checks responses. It can be used by many goroutines at once.
type Verifier interface {
	// Verify checks within 5 seconds the response that the provider's script gave to a visitor, who came
	// from an address; a zero address is not passed on. The error is ErrRefused, or is about the provider.
	Verify(ctx context.Context, response string, client netip.Addr) error
}

// readable refuses the responses that no provider needs to be asked about.
func readable(response string) error {
	if response == "" || len(response) > responseLimit {
		return ErrRefused
	}
	return nil
}

// address writes a visitor's address as providers want it.
func address(client netip.Addr) string {
	if !client.IsValid() {
		return ""
	}
	return client.Unmap().WithZone("").String()
}

// parseURL reads where a provider is; empty stands for the provider's own URL.
func parseURL(option, fallback string) (string, error) {
	address := cmp.Or(option, fallback)
	parsed, err := url.Parse(address)
	if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.Host == "" {
		return "", fmt.Errorf("the URL of the CAPTCHA's provider must be like %s", fallback)
	}
	return address, nil
}

// httpClient follows no redirect: it would take our secret to somebody else.
var httpClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// post sends a form and reads the JSON of the answer, whatever its status, which it returns.
func post(ctx context.Context, address string, form url.Values, answer any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := httpClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("reach it: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return 0, fmt.Errorf("read its answer: %w", err)
	}
	if json.Unmarshal(body, answer) != nil {
		return 0, fmt.Errorf("it answered HTTP %d without the JSON of its API", response.StatusCode)
	}
	return response.StatusCode, nil
}
