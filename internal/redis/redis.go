// Package redis owns the connection to Redis, and knows whether Redis is there. Nothing may depend
// on it: what Redis holds is shared between nodes for speed and fairness, and may be lost.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"

	"gatehouse/internal/trace"
)

const (
	// A request waits no longer than this for Redis, whatever happens to it.
	timeout = 50 * time.Millisecond
	// After as many failures in a row, Redis counts as away.
	failures = 5
	// How often Redis is asked for a sign of life, with and without other traffic.
	probeInterval = time.Second
	// How long nothing is sent to Redis once it is away. Shorter than probeInterval, so that each
	// probe goes through.
	pause = probeInterval / 2
	// What a probe writes.
	probeKey = "gatehouse:probe"
)

// ErrAway is the error of a call that was not tried, since Redis failed just before.
var ErrAway = errors.New("redis is away")

// errGone marks the failure of a call whose own context ended, which says nothing about Redis.
var errGone = errors.New("the caller has gone")

// Options say which Redis is used.
type Options struct {
	URL    string       // redis://user:password@host:port/number; rediss:// for TLS; unix:///path for a socket
	Logger *slog.Logger // nil is slog.Default()
}

// Client is a connection to Redis. It is safe for concurrent use.
type Client struct {
	redis   *goredis.Client
	breaker *gobreaker.CircuitBreaker[struct{}]
	log     *slog.Logger
	cause   error // the last failure; the breaker's lock guards it
	stop    context.CancelFunc
	probing sync.WaitGroup

	calls, failures atomic.Int64 // since the start
}

// Open returns a client. Redis may be away: the log says so, and says when it is back. Its errors
// are about the URL, and never contain the password.
func Open(o Options) (*Client, error) {
	options, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	// It would write every failure to the standard error. Errors come back to us anyway.
	logging.Disable()
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{redis: goredis.NewClient(options), log: o.Logger, stop: stop}
	c.breaker = gobreaker.NewCircuitBreaker[struct{}](c.settings())
	c.probe(ctx)
	c.probing.Go(func() { c.keepProbing(ctx) })
	return c, nil
}

// bound sets the time limits, whatever the URL says about them.
func bound(o *goredis.Options) {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	// One retry, at once, for a connection that a restarted Redis no longer knows.
	o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff = 1, -1, -1
	// What is not needed and would make connecting slower.
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func (c *Client) settings() gobreaker.Settings {
	return gobreaker.Settings{
		Timeout:     pause,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errGone) },
		IsSuccessful: func(err error) bool {
			if err == nil || errors.Is(err, goredis.Nil) {
				return true
			}
			c.failures.Add(1)
			c.cause = err
			return false
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				c.log.Warn("Redis is away: this server goes on alone, with stricter limits, until it is back", "error", c.cause)
			case to == gobreaker.StateClosed:
				c.log.Info("Redis is back")
			}
		},
	}
}

// Do calls fn with the connection and with a context that ends after 50 ms. It returns ErrAway at
// once if Redis is known to be away, or else the error of fn. Every error of fn counts against
// Redis, except goredis.Nil and those after the end of ctx.
func (c *Client) Do(ctx context.Context, fn func(ctx context.Context, r *goredis.Client) error) error {
	ctx, span := trace.StartCall(ctx, "redis")
	err := c.do(ctx, fn)
	span.End(err)
	return err
}

func (c *Client) do(ctx context.Context, fn func(ctx context.Context, r *goredis.Client) error) error {
	_, err := c.breaker.Execute(func() (struct{}, error) {
		c.calls.Add(1)
		bounded, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		err := fn(bounded, c.redis)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", errGone, err)
		}
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return ErrAway
	}
	return err
}

// Available reports whether Redis is there, as far as is known. It asks nobody.
func (c *Client) Available() bool {
	return c.breaker.State() == gobreaker.StateClosed
}

// Calls returns how many calls Redis was sent since the start, and how many of them failed.
func (c *Client) Calls() (calls, failed int64) {
	return c.calls.Load(), c.failures.Load()
}

// Publish sends a message to those who are subscribed to a channel at this moment.
func (c *Client) Publish(ctx context.Context, channel, message string) error {
	err := c.Do(ctx, func(ctx context.Context, r *goredis.Client) error {
		return r.Publish(ctx, channel, message).Err()
	})
	if err != nil {
		return fmt.Errorf("publish on %s: %w", channel, err)
	}
	return nil
}

// Close closes every connection. Calls of Subscribe must have ended.
func (c *Client) Close() error {
	c.stop()
	c.probing.Wait()
	if err := c.redis.Close(); err != nil {
		return fmt.Errorf("close the connection to Redis: %w", err)
	}
	return nil
}

func (c *Client) keepProbing(ctx context.Context) {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.probe(ctx)
		}
	}
}

// probe finds out whether Redis is there. It writes, and in a script, since a Redis that is full,
// or a replica, still answers pings.
func (c *Client) probe(ctx context.Context) {
	for range failures {
		err := c.Do(ctx, func(ctx context.Context, r *goredis.Client) error {
			return r.Eval(ctx, "return redis.call('SET', KEYS[1], '', 'EX', 60)", []string{probeKey}).Err()
		})
		if err == nil {
			return
		}
	}
}
