// Package webhook posts signed JSON to a receiver that the operator names. It signs as the Standard
// Webhooks specification says, so that receivers can check with a library of their language.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/sethvargo/go-retry"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gatehouse/internal/trace"
)

const (
	defaultTimeout = 5 * time.Second
	retries        = 3
	firstDelay     = 200 * time.Millisecond // before the first retry; then 400 and 800 ms
	answerLimit    = 64 << 10               // bytes
	smallestKey    = 24                     // bytes, by the specification
)

// Options say where a receiver is and what it shares with us.
type Options struct {
	URL     string
	Secret  string        // "whsec_" and the base64 of 24 random bytes or more
	Timeout time.Duration // of one post with all its tries; 5 s where it is 0
}

// Client posts to one receiver.
type Client struct {
	url     string
	signer  *standardwebhooks.Webhook
	http    *http.Client
	timeout time.Duration
}

// Answer is what the receiver said.
type Answer struct {
	Status int
	Body   []byte // its first 64 KiB
}

// OK reports whether the receiver took the event.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// passing reports whether the same event may be taken later.
func (a Answer) passing() bool {
	return a.Status == http.StatusTooManyRequests || a.Status >= 500
}

// New returns a client, or an error that says which option to mend.
func New(options Options) (*Client, error) {
	target, err := url.Parse(options.URL)
	if err != nil || (target.Scheme != "https" && target.Scheme != "http") || target.Host == "" {
		return nil, errors.New("the webhook's URL must be like https://example.com/path")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(options.Secret, "whsec_"))
	if err != nil || len(key) < smallestKey {
		return nil, errors.New(`the webhook's secret must be "whsec_" and the base64 of 24 random bytes or more; ` +
			"make one with: echo whsec_$(openssl rand -base64 32)")
	}
	signer, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, fmt.Errorf("make the webhook's signer: %w", err)
	}
	return &Client{
		url:     options.URL,
		signer:  signer,
		http:    &http.Client{CheckRedirect: stay},
		timeout: cmp.Or(options.Timeout, defaultTimeout),
	}, nil
}

// stay follows no redirect: it would take the event to somebody whom the operator did not name.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Post sends an event as JSON and returns the receiver's last answer, whatever its status. It tries again
// when nobody answers, and on 429 and 5xx, with the same webhook-id, by which a receiver knows doubles.
// The error is that nobody answered in time; it does not hold the URL, which may be secret.
func (c *Client) Post(ctx context.Context, event any) (_ Answer, err error) {
	ctx, span := trace.StartCall(ctx, "post webhook")
	defer func() { span.End(err) }()
	body, err := json.Marshal(event)
	if err != nil {
		return Answer{}, fmt.Errorf("write the webhook's event: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	id := "msg_" + uuid.NewString()
	var last Answer
	err = retry.Do(ctx, backoff(), func(ctx context.Context) error {
		answer, err := c.try(ctx, id, body)
		last = answer
		if err == nil && answer.passing() {
			err = fmt.Errorf("the webhook answered %d", answer.Status)
		}
		return retry.RetryableError(err)
	})
	if last.Status != 0 {
		return last, nil
	}
	return Answer{}, fmt.Errorf("reach the webhook: %w", err)
}

// Verify returns an error unless who sent the request shares the secret, and signed it in the last five
// minutes.
func (c *Client) Verify(header http.Header, body []byte) error {
	if err := c.signer.Verify(body, header); err != nil {
		return fmt.Errorf("verify the webhook's signature: %w", err)
	}
	return nil
}

func backoff() retry.Backoff {
	return retry.WithMaxRetries(retries, retry.WithJitterPercent(20, retry.NewExponential(firstDelay)))
}

// try posts once.
func (c *Client) try(ctx context.Context, id string, body []byte) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, errors.New("make the webhook's request")
	}
	now := time.Now()
	signature, err := c.signer.Sign(id, now, body)
	if err != nil {
		return Answer{}, fmt.Errorf("sign the webhook's event: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)

	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, withoutURL(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return Answer{}, fmt.Errorf("read the webhook's answer: %w", err)
	}
	return Answer{Status: response.StatusCode, Body: answer}, nil
}

func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
