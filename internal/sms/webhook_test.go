package sms_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"gatehouse/internal/sms"
)

var webhookKey = []byte("0123456789abcdef0123456789abcdef")

func webhookSender(t *testing.T, endpoint string) sms.Sender {
	t.Helper()
	sender, err := sms.NewWebhook(sms.WebhookOptions{
		URL: endpoint, Secret: "whsec_" + base64.StdEncoding.EncodeToString(webhookKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func TestWebhookSends(t *testing.T) {
	testConcurrent(t, webhookSender(t, start(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the message: %v", err)
		}
		if want := `{"phone":"` + phone + `","code":"` + code + `","purpose":"login","expiresIn":300}`; string(body) != want {
			t.Errorf("got %s, want %s", body, want)
		}
		signed := r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "." + string(body)
		want := "v1," + base64.StdEncoding.EncodeToString(hmac256(webhookKey, signed))
		if got := r.Header.Get("webhook-signature"); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
		w.WriteHeader(http.StatusNoContent)
	})))
}

func TestWebhookRefuses(t *testing.T) {
	other := errors.New("other")
	tests := []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"phone", 422, `{"error":"phone"}`, sms.ErrPhone},
		{"phone in a bad request", 400, `{"error":"phone"}`, sms.ErrPhone},
		{"limited", 422, `{"error":"limited"}`, sms.ErrLimited},
		{"limited for good", 429, "", sms.ErrLimited},
		{"something else", 422, `{"error":"` + phone + `"}`, other},
		{"no JSON", 422, phone, other},
		{"phone in another status", 404, `{"error":"phone"}`, other},
		{"unauthorized", 401, "", other},
		{"redirect", 302, "", other},
		{"broken", 500, code, other},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkKind(t, webhookSender(t, answer(t, tt.status, tt.body)).Send(t.Context(), message), tt.want)
		})
	}
}

func TestWebhookHangs(t *testing.T) {
	release := make(chan struct{})
	endpoint := start(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := webhookSender(t, endpoint).Send(ctx, message)
	checkKind(t, err, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestWebhookOptions(t *testing.T) {
	_, err := sms.NewWebhook(sms.WebhookOptions{URL: "https://example.com", Secret: key})
	checkOptions(t, err, "secret")
}
