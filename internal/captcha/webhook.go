package captcha

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"gatehouse/internal/webhook"
)

// Webhook asks a verifier of the operator's: it posts {"response", "client"}, signed as the Standard
// Webhooks specification says, and wants a 2xx with {"success": true} or {"success": false}.
type Webhook struct {
	client *webhook.Client
}

// NewWebhook returns a verifier by webhook, or an error that says which option to mend.
func NewWebhook(options Options) (*Webhook, error) {
	client, err := webhook.New(webhook.Options{URL: options.URL, Secret: options.Secret, Timeout: timeout})
	if err != nil {
		return nil, fmt.Errorf("CAPTCHA by webhook: %w", err)
	}
	return &Webhook{client: client}, nil
}

// Verify asks the webhook; retries have the same webhook-id.
func (w *Webhook) Verify(ctx context.Context, response string, client netip.Addr) error {
	if err := readable(response); err != nil {
		return err
	}
	answer, err := w.client.Post(ctx, struct {
		Response string `json:"response"`
		Client   string `json:"client,omitempty"`
	}{response, address(client)})
	if err != nil {
		return fmt.Errorf("ask about a CAPTCHA's response: %w", err)
	}
	var verdict struct {
		Success *bool `json:"success"`
	}
	if !answer.OK() || json.Unmarshal(answer.Body, &verdict) != nil || verdict.Success == nil {
		return fmt.Errorf("the CAPTCHA's webhook answered %d without success true or false", answer.Status)
	}
	if !*verdict.Success {
		return ErrRefused
	}
	return nil
}
