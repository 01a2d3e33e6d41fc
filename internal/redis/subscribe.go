package redis

import (
	"context"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// How long a subscription is silent before Redis is asked for a sign of life, and how long it
	// has for its answer.
	silence = time.Second
	// The wait between two tries to subscribe.
	retryInterval = 500 * time.Millisecond
)

// Subscribe calls onMessage with each message of the channel, one after the other, until ctx ends.
// It needs no Redis at its start and subscribes again when the connection is lost. Messages that
// are sent in between are lost.
func (c *Client) Subscribe(ctx context.Context, channel string, onMessage func(message string)) {
	for ctx.Err() == nil {
		c.receive(ctx, channel, onMessage)
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}

// receive returns when the subscription no longer works, or when ctx ends. It does what go-redis's
// PubSub.Channel would do, which does not miss the answers to its pings, and so waits forever for
// a peer that vanished.
func (c *Client) receive(ctx context.Context, channel string, onMessage func(message string)) {
	subscription := c.redis.Subscribe(ctx, channel)
	defer subscription.Close()
	defer context.AfterFunc(ctx, func() { subscription.Close() })()
	for asked := false; ; {
		received, err := subscription.ReceiveTimeout(ctx, silence)
		switch {
		case err == nil:
			asked = false
			if m, ok := received.(*goredis.Message); ok {
				onMessage(m.Payload)
			}
		case isTimeout(err) && !asked:
			asked = true
			if subscription.Ping(ctx) != nil {
				return
			}
		default:
			return
		}
	}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}
