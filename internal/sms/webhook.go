package sms

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"gatehouse/internal/webhook"
)

// WebhookOptions say where the operator's own sender is.
type WebhookOptions = webhook.Options

// Webhook posts messages to a sender of the operator's: {"phone", "code", "purpose", "expiresIn"}, the last
// in seconds, signed as the Standard Webhooks specification says. Retries have the same webhook-id.
//
// Any 2xx is taken for sent. 400 or 422 with {"error":"phone"} is ErrPhone; with {"error":"limited"} it is
// ErrLimited, as is a 429 that stays.
type Webhook struct {
	client *webhook.Client
}

// NewWebhook returns a sender that posts to a webhook, or an error that says which option to mend.
func NewWebhook(options WebhookOptions) (*Webhook, error) {
	client, err := webhook.New(options)
	if err != nil {
		return nil, fmt.Errorf("sms by webhook: %w", err)
	}
	return &Webhook{client: client}, nil
}

// Send posts the message, with its retries within the timeout of the options.
func (w *Webhook) Send(ctx context.Context, m Message) error {
	answer, err := w.client.Post(ctx, struct {
		Phone     string `json:"phone"`
		Code      string `json:"code"`
		Purpose   string `json:"purpose"`
		ExpiresIn int    `json:"expiresIn"`
	}{m.Phone, m.Code, m.Purpose, int(m.Lifetime.Seconds())})
	if err != nil {
		return fmt.Errorf("send sms: %w", err)
	}
	if answer.OK() {
		return nil
	}
	err = fmt.Errorf("the sms webhook answered %d", answer.Status)
	if kind := webhookRefusal(answer); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// webhookRefusal returns what an answer says of the message, or nil where it says nothing that we know.
func webhookRefusal(answer webhook.Answer) error {
	switch answer.Status {
	case http.StatusTooManyRequests:
		return ErrLimited
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		var body struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(answer.Body, &body) != nil {
			return nil
		}
		return map[string]error{"phone": ErrPhone, "limited": ErrLimited}[body.Error]
	default:
		return nil
	}
}
