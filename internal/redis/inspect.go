package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// inspectTimeout is longer than that of requests: a slow Redis is worth knowing more about.
const inspectTimeout = 3 * time.Second

// Inspection is what a Redis says of itself.
type Inspection struct {
	Version  string
	Eviction string // what it does when its memory is full; empty if it does not say
	Now      time.Time
	Refused  []string // commands that are needed, and that it refuses
}

// Inspect looks at a Redis, and tries what servers need.
func Inspect(ctx context.Context, url string) (Inspection, error) {
	o, err := parse(url)
	if err != nil {
		return Inspection{}, err
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = inspectTimeout, inspectTimeout, inspectTimeout, inspectTimeout
	logging.Disable() // its errors come back to us anyway
	r := goredis.NewClient(o)
	defer r.Close()
	if err := r.Ping(ctx).Err(); err != nil && !isRefused(err) {
		return Inspection{}, fmt.Errorf("reach Redis: %w", err)
	}
	var i Inspection
	tries := map[string]func() error{
		"PING":    func() error { return r.Ping(ctx).Err() },
		"SET":     func() error { return r.Set(ctx, probeKey, "doctor", time.Minute).Err() },
		"EVAL":    func() error { return r.Eval(ctx, "return redis.call('GET', KEYS[1])", []string{probeKey}).Err() },
		"PUBLISH": func() error { return r.Publish(ctx, probeKey, "doctor").Err() },
		"SUBSCRIBE": func() error {
			subscription := r.Subscribe(ctx, probeKey)
			defer subscription.Close()
			_, err := subscription.Receive(ctx)
			return err
		},
		"TIME": func() (err error) { i.Now, err = r.Time(ctx).Result(); return err },
	}
	for command, try := range tries {
		if err := try(); err != nil {
			i.Refused = append(i.Refused, fmt.Sprintf("%s: %v", command, err))
		}
	}
	info, err := r.InfoMap(ctx, "server", "memory").Result() // an ACL may forbid it
	if err == nil {
		i.Version, i.Eviction = info["Server"]["redis_version"], info["Memory"]["maxmemory_policy"]
	}
	return i, nil
}

// isRefused reports whether Redis itself answered.
func isRefused(err error) bool {
	return strings.HasPrefix(err.Error(), "NOPERM") || strings.HasPrefix(err.Error(), "MISCONF")
}
