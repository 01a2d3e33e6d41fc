// Package limit owns how many requests somebody may make. It counts by GCRA, which spreads what is
// allowed evenly over time after a first burst, on this node or, with Redis, for all nodes together.
package limit

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"

	"gatehouse/internal/redis"
)

const (
	keyPrefix = "gatehouse:limit:"
	// How many clients a node remembers, with about 200 bytes each. Those who made no request for
	// longest are forgotten first.
	memoryKeys = 100_000
	// Without Redis, each node allows this part of a rate: nodes no longer know of each other, and
	// several of them must not allow much more together than one rate.
	awayPart = 4
)

// Options say where requests are counted.
type Options struct {
	Redis *redis.Client    // nil: this node alone
	Now   func() time.Time // the clock of what is counted in memory; nil is time.Now

	ObserveRefusal func(class string) // is told of each request that must be refused; may be nil
}

// Limiter counts requests. It is safe for concurrent use.
type Limiter struct {
	redis  *redis.Client
	memory throttled.GCRAStoreCtx

	observeRefusal func(class string)
}

// New returns a limiter that has counted nothing yet.
func New(o Options) (*Limiter, error) {
	memory, err := memstore.New(memoryKeys)
	if err != nil {
		return nil, fmt.Errorf("make room to count requests: %w", err)
	}
	if o.Now != nil {
		memory.SetTimeNow(o.Now)
	}
	if o.ObserveRefusal == nil {
		o.ObserveRefusal = func(string) {}
	}
	return &Limiter{redis: o.Redis, memory: throttled.WrapStoreWithContext(memory), observeRefusal: o.ObserveRefusal}, nil
}

// Result says whether a request is allowed, and what else is.
type Result struct {
	Limited    bool          // the request must be refused; it was not counted
	Limit      int           // the most requests at once
	Remaining  int           // how many more are allowed right now
	ResetAfter time.Duration // until Limit requests are allowed again
	RetryAfter time.Duration // until the next request is allowed, if this one is not
}

// Take counts a request of a class by who, which is a network or the id of a user. When Redis does
// not answer within 50 ms, this node counts alone and allows a quarter of the rate. It fails only
// for a rate that is not valid.
func (l *Limiter) Take(ctx context.Context, class string, rate Rate, who string) (Result, error) {
	if rate.interval() <= 0 {
		return Result{}, fmt.Errorf("limit %s: invalid rate %d per %s", class, rate.Count, rate.Period)
	}
	result, err := l.take(ctx, class+":"+who, rate)
	if result.Limited {
		l.observeRefusal(class)
	}
	return result, err
}

func (l *Limiter) take(ctx context.Context, key string, rate Rate) (Result, error) {
	if l.redis != nil {
		if result, err := l.takeShared(ctx, key, rate); err == nil {
			return result, nil
		}
		rate.Count = max(rate.Count/awayPart, 1)
	}
	return l.takeAlone(ctx, key, rate)
}

func (l *Limiter) takeAlone(ctx context.Context, key string, rate Rate) (Result, error) {
	quota := throttled.RateQuota{MaxRate: throttled.PerDuration(rate.Count, rate.Period), MaxBurst: rate.Count - 1}
	gcra, err := throttled.NewGCRARateLimiterCtx(l.memory, quota)
	if err != nil {
		return Result{}, fmt.Errorf("count for %s: %w", key, err)
	}
	gcra.SetMaxCASAttemptsLimit(math.MaxInt) // each lost attempt is another request that was counted
	limited, r, err := gcra.RateLimitCtx(ctx, key, 1)
	if err != nil {
		return Result{}, fmt.Errorf("count for %s: %w", key, err)
	}
	return Result{
		Limited: limited, Limit: r.Limit, Remaining: r.Remaining,
		ResetAfter: r.ResetAfter, RetryAfter: max(r.RetryAfter, 0),
	}, nil
}

// takeSource is GCRA in one round trip, by the clock of Redis. The libraries do worse: throttled's
// store for Redis needs two or three round trips, and gave up on 58 of 100 parallel requests of one
// client; redis_rate counts in floating point, and is off by one in what remains of 10 a second.
//
//go:embed take.lua
var takeSource string

var takeScript = goredis.NewScript(takeSource)

func (l *Limiter) takeShared(ctx context.Context, key string, rate Rate) (Result, error) {
	interval := rate.interval()
	var reply []int64
	err := l.redis.Do(ctx, func(ctx context.Context, r *goredis.Client) (err error) {
		reply, err = takeScript.Run(ctx, r, []string{keyPrefix + key}, interval.Microseconds(), rate.Count).Int64Slice()
		return err
	})
	if err != nil {
		return Result{}, err
	}
	limited, reset := reply[0] == 1, time.Duration(reply[1])*time.Microsecond
	burst := interval * time.Duration(rate.Count)
	result := Result{Limited: limited, Limit: rate.Count, ResetAfter: reset}
	if limited {
		result.RetryAfter = reset + interval - burst
	} else {
		result.Remaining = int((burst - reset) / interval)
	}
	return result, nil
}
