package dbtest

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestRedisStopsAndForgets(t *testing.T) {
	r := NewRedis(t)
	options, err := redis.ParseURL(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("the stopped server answers")
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	if err := client.Get(t.Context(), "key").Err(); err != redis.Nil {
		t.Errorf("Get after a restart: %v, want no such key", err)
	}
}

func TestSuspendedRedisStops(t *testing.T) {
	r := NewRedis(t)
	if err := r.Suspend(); err != nil {
		t.Fatal(err)
	}
	r.Stop()
}
