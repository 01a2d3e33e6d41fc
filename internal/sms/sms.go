// Package sms sends verification codes as text messages, through a provider or a webhook.
//
// Phones, codes and secrets stay out of its errors: of what a provider says, only codes and request ids
// are kept, since providers repeat the phone in their texts. The one exception is Log, which is for that.
package sms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// timeout bounds the sending of one message.
const timeout = 5 * time.Second

// What a provider says of one message. Any other error is about the provider itself: it is away, refuses
// our credentials, knows no such template.
var (
	// ErrPhone says that this phone cannot be reached: the number is invalid, blocked, a landline or of
	// a region that is not served.
	ErrPhone = errors.New("the phone cannot be reached")
	// ErrLimited says that the provider's own limit for the phone or the account is met; later it may work.
	ErrLimited = errors.New("the provider's limit is met")
)

// Message is a verification code on its way to a phone.
type Message struct {
	Phone    string // E.164
	Code     string
	Purpose  string        // register, login, reset, change-phone, delete or export
	Lifetime time.Duration // how long the code is valid
}

// Sender sends messages. It can be used by many goroutines at once.
type Sender interface {
	// Send hands a message to the provider within 5 seconds. That the provider took it does not mean
	// that it arrived. The errors are ErrPhone, ErrLimited, and those that are about the provider.
	Send(ctx context.Context, m Message) error
}

// fill writes the code and its lifetime into a text that holds {code} and {minutes}.
func (m Message) fill(text string) string {
	minutes := strconv.Itoa(int(math.Ceil(m.Lifetime.Minutes())))
	return strings.NewReplacer("{code}", m.Code, "{minutes}", minutes).Replace(text)
}

// refusal is the error of a provider's code; kinds are the codes that are about the phone or a limit.
func refusal(provider, code, requestID string, kinds map[string]error) error {
	err := fmt.Errorf("%s refused the message with %s, request %s", provider, code, cmp.Or(requestID, "unknown"))
	if kind := kinds[code]; kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// require returns an error that names the options of a provider that are empty.
func require(provider string, options map[string]string) error {
	var empty []string
	for name, value := range options {
		if value == "" {
			empty = append(empty, name)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	slices.Sort(empty)
	return fmt.Errorf("sms by %s: fill in %s", provider, strings.Join(empty, ", "))
}

// parseEndpoint reads where a provider is; empty stands for the provider's own address.
func parseEndpoint(endpoint, fallback string) (*url.URL, error) {
	parsed, err := url.Parse(cmp.Or(endpoint, fallback))
	if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.Host == "" || strings.Trim(parsed.Path, "/") != "" {
		return nil, fmt.Errorf("the endpoint for sms must be like %s, without a path", fallback)
	}
	return parsed, nil
}
