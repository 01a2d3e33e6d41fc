package redis

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

const form = "redis://user:password@host:port/number"

// parse reads the URL of a Redis. What it quotes in its errors is never a part of the password, nor
// of a password with special characters that were not escaped.
func parse(raw string) (*goredis.Options, error) {
	u, err := url.Parse(raw)
	if err != nil || holdsAt(*u) {
		return nil, errors.New("the Redis URL must look like " + form + "; write special characters of the password as %XX")
	}
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return nil, errors.New("the Redis URL must look like " + form + ", or begin with rediss:// or unix://")
	case u.Scheme != "unix" && u.Hostname() == "":
		return nil, errors.New("the Redis URL names no host; it must look like " + form)
	}
	o, err := goredis.ParseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("the Redis URL: %w", err)
	}
	bound(o)
	return o, nil
}

// holdsAt reports whether an @ stands anywhere after the user and the password: it may be the real
// end of a password that was cut.
func holdsAt(u url.URL) bool {
	u.User = nil
	return strings.Contains(u.String(), "@")
}
