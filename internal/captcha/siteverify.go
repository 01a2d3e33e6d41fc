package captcha

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
)

// refusedCodes are the error codes of siteverify that are about the visitor's response. The others are
// about our secret, our site key or the provider.
var refusedCodes = []string{
	"missing-input-response",
	"invalid-input-response",
	"timeout-or-duplicate",   // Turnstile
	"expired-input-response", // hCaptcha, as the following
	"already-seen-response",
	"invalid-or-already-seen-response",
}

// SiteVerify asks a provider that has reCAPTCHA's siteverify API: Turnstile or hCaptcha.
type SiteVerify struct {
	provider string
	options  Options
}

// NewTurnstile returns a verifier by Cloudflare's Turnstile, or an error that says which option to mend.
func NewTurnstile(options Options) (*SiteVerify, error) {
	options.SiteKey = ""
	return newSiteVerify("turnstile", options, "https://challenges.cloudflare.com/turnstile/v0/siteverify")
}

// NewHCaptcha returns a verifier by hCaptcha, or an error that says which option to mend.
func NewHCaptcha(options Options) (*SiteVerify, error) {
	return newSiteVerify("hcaptcha", options, "https://api.hcaptcha.com/siteverify")
}

func newSiteVerify(provider string, options Options, fallback string) (*SiteVerify, error) {
	if options.Secret == "" {
		return nil, fmt.Errorf("%s needs the secret that its dashboard shows", provider)
	}
	address, err := parseURL(options.URL, fallback)
	if err != nil {
		return nil, err
	}
	options.URL = address
	return &SiteVerify{provider: provider, options: options}, nil
}

// Verify asks the provider.
func (v *SiteVerify) Verify(ctx context.Context, response string, client netip.Addr) error {
	if err := readable(response); err != nil {
		return err
	}
	form := url.Values{"secret": {v.options.Secret}, "response": {response}}
	if address := address(client); address != "" {
		form.Set("remoteip", address)
	}
	if v.options.SiteKey != "" {
		form.Set("sitekey", v.options.SiteKey)
	}
	if err := v.ask(ctx, form); err != nil {
		return fmt.Errorf("ask %s about a response: %w", v.provider, err)
	}
	return nil
}

func (v *SiteVerify) ask(ctx context.Context, form url.Values) error {
	var answer struct {
		Success *bool    `json:"success"`
		Codes   []string `json:"error-codes"`
	}
	status, err := post(ctx, v.options.URL, form, &answer)
	if err != nil {
		return err
	}
	if answer.Success == nil || *answer.Success && status != http.StatusOK {
		return fmt.Errorf("it answered HTTP %d with something that is not of its API", status)
	}
	if *answer.Success {
		return nil
	}
	return siteVerifyRefusal(answer.Codes)
}

// siteVerifyRefusal is the error of a failure's codes: ErrRefused if all are about the visitor's response.
func siteVerifyRefusal(codes []string) error {
	if len(codes) == 0 {
		return ErrRefused
	}
	for _, code := range codes {
		if !slices.Contains(refusedCodes, code) {
			return errors.New("it refuses our request with " + code)
		}
	}
	return fmt.Errorf("%w with %s", ErrRefused, codes[0])
}
