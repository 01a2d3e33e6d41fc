package verify

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"

	"gatehouse/internal/apperr"
)

// What is counted: why codes are refused, and how many are sent and verified.
const (
	causePhone   = "budget-phone"
	causeAddress = "budget-address"
	causeRange   = "budget-range"
	causeServer  = "budget-day"
	causeBreaker = "breaker"
	causeRegion  = "region"
	causeTooSoon = "too-soon"
	causeCaptcha = "captcha"
	causeSender  = "sender"

	countSent     = "sent"
	countVerified = "verified"
)

// refusal is why a code is not sent: the cause is for the log and the counters, the error for the client.
type refusal struct {
	cause string
	err   *apperr.Error
}

func (r refusal) Error() string { return r.cause + ": " + r.err.Error() }

// Unwrap returns what the client is told.
func (r refusal) Unwrap() error { return r.err }

// note counts and logs a refusal. What the operator may have to act on is a warning.
func (s *Service) note(ctx context.Context, r Request, err error) {
	var refused refusal
	if !errors.As(err, &refused) {
		return
	}
	s.counts.add(refused.cause)
	level := slog.LevelInfo
	switch refused.cause {
	case causeRange, causeServer, causeBreaker, causeSender:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("cause", refused.cause), slog.String("phone_end", mask(r.Phone)),
		slog.String("purpose", string(r.Purpose)), slog.String("client", r.Client.String()),
	}
	if cause := refused.err.Unwrap(); cause != nil {
		attrs = append(attrs, slog.Any("error", cause))
	}
	s.options.Logger.LogAttrs(ctx, level, "no verification code is sent", attrs...)
}

// counts are this node's, since its start.
type counts struct {
	mu     sync.Mutex
	byName map[string]int64
}

// newCounts names everything that is counted, so that what never happened reads zero.
func newCounts() *counts {
	byName := map[string]int64{}
	for _, name := range []string{
		causePhone, causeAddress, causeRange, causeServer, causeBreaker, causeRegion, causeTooSoon,
		causeCaptcha, causeSender, countSent, countVerified,
	} {
		byName[name] = 0
	}
	return &counts{byName: byName}
}

func (c *counts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byName[name]++
}

// Counts returns how many codes this node has sent ("sent"), how many right ones it was given
// ("verified"), and how many it refused to send, by cause: budget-phone, budget-address,
// budget-range, budget-day, breaker, region, too-soon, captcha, sender.
func (s *Service) Counts() map[string]int64 {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return maps.Clone(s.counts.byName)
}
