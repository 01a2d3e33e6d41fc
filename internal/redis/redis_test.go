package redis

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"gatehouse/internal/dbtest"
)

// hang is how long something may take that takes a second at most, before it is said to hang.
const hang = 30 * time.Second

// journal is a log that a test reads while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func open(t *testing.T, rawURL string) (*Client, *journal) {
	t.Helper()
	log := &journal{}
	c, err := Open(Options{URL: rawURL, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, log
}

func await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hang); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func awaitAway(t *testing.T, c *Client) {
	t.Helper()
	await(t, "Redis is away", func() bool { return !c.Available() })
}

func awaitBack(t *testing.T, c *Client) {
	t.Helper()
	await(t, "Redis is back", c.Available)
}

func ping(ctx context.Context, r *goredis.Client) error { return r.Ping(ctx).Err() }

// wantLogged checks that the log says once when Redis goes away and once when it is back, in turn,
// and that it ends with last.
func wantLogged(t *testing.T, log *journal, last string) {
	t.Helper()
	got := regexp.MustCompile(`WARN msg="Redis is away|INFO msg="Redis is back`).FindAllString(log.String(), -1)
	for i, event := range got {
		if away := strings.HasSuffix(event, "away"); away != (i%2 == 0) {
			t.Errorf("event %d is out of turn:\n%s", i+1, log)
		}
	}
	if len(got) == 0 || !strings.HasSuffix(got[len(got)-1], last) {
		t.Errorf("want the log to end with %q:\n%s", last, log)
	}
}

func TestGoesAwayAndComesBack(t *testing.T) {
	server := dbtest.NewRedis(t)
	c, log := open(t, server.URL)
	awaitBack(t, c)
	if err := c.Do(t.Context(), ping); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	awaitAway(t, c)
	if err := c.Do(t.Context(), ping); err == nil {
		t.Error("the stopped server answers")
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	awaitBack(t, c)
	wantLogged(t, log, "back")
	wantNoPassword(t, server.URL, log.String())
}

func TestAwayAtStart(t *testing.T) {
	server := dbtest.NewRedis(t)
	server.Stop()
	c, log := open(t, server.URL)
	if c.Available() {
		t.Error("available right after Open, without a server")
	}
	wantLogged(t, log, "away")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	awaitBack(t, c)
	wantLogged(t, log, "back")
}

func TestHangingServer(t *testing.T) {
	server := dbtest.NewRedis(t)
	c, _ := open(t, server.URL)
	awaitBack(t, c)
	if err := server.Suspend(); err != nil {
		t.Fatal(err)
	}
	if err := returns(t, func() error { return c.Do(t.Context(), ping) }); err == nil {
		t.Error("the suspended server answers")
	}
	awaitAway(t, c)
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitBack(t, c)
}

// returns fails the test if call never comes back.
func returns(t *testing.T, call func() error) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- call() }()
	select {
	case err := <-result:
		return err
	case <-time.After(hang):
		t.Fatal("a call hangs")
		return nil
	}
}

// TestFullServerIsAway checks that a server that answers pings, but does not write, is not used.
func TestFullServerIsAway(t *testing.T) {
	server := dbtest.NewRedis(t)
	c, _ := open(t, server.URL)
	awaitBack(t, c)
	limitMemory := func(bytes string) {
		err := c.redis.ConfigSet(t.Context(), "maxmemory", bytes).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	limitMemory("1")
	awaitAway(t, c)
	limitMemory("0")
	awaitBack(t, c)
}

func TestWhatIsNoFailure(t *testing.T) {
	server := dbtest.NewRedis(t)
	c, _ := open(t, server.URL)
	awaitBack(t, c)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 * failures {
		if err := c.Do(gone, ping); !errors.Is(err, context.Canceled) {
			t.Fatalf("Do for a caller that has gone: %v, want context.Canceled", err)
		}
		missing := func(context.Context, *goredis.Client) error { return goredis.Nil }
		if err := c.Do(t.Context(), missing); !errors.Is(err, goredis.Nil) {
			t.Fatalf("Do of a missing key: %v, want goredis.Nil", err)
		}
	}
	if !c.Available() {
		t.Error("away, without a failure")
	}
}

func TestRefusesAfterFailures(t *testing.T) {
	server := dbtest.NewRedis(t)
	c, _ := open(t, server.URL)
	awaitBack(t, c)
	broken := errors.New("broken")
	tried := 0
	await(t, "calls are refused", func() bool {
		return errors.Is(c.Do(t.Context(), func(context.Context, *goredis.Client) error { tried++; return broken }), ErrAway)
	})
	if tried < failures {
		t.Errorf("refused after %d failures, want %d", tried, failures)
	}
	if calls, failed := c.Calls(); failed < int64(tried) || calls < failed {
		t.Errorf("%d calls and %d failures are counted, want %d failures at least", calls, failed, tried)
	}
	awaitBack(t, c)
}

func TestWrongPassword(t *testing.T) {
	server := dbtest.NewRedis(t)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("", "s3same-wrong")
	c, log := open(t, u.String())
	if c.Available() {
		t.Error("available with a wrong password")
	}
	if !strings.Contains(log.String(), "WRONGPASS") {
		t.Errorf("the log does not say what is wrong: %s", log)
	}
	wantNoPassword(t, u.String(), log.String())
}

func wantNoPassword(t *testing.T, rawURL, text string) {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	if strings.Contains(text, password) || strings.Contains(text, url.QueryEscape(password)) {
		t.Errorf("holds the password: %s", text)
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ url, wantErr string }{
		{"redis://localhost", ""},
		{"redis://:s3same@localhost:6380/2", ""},
		{"rediss://user:s3same@redis.example:6380", ""},
		{"unix://user:s3same@/run/redis.sock?db=1", ""},
		{"", "must look like redis://"},
		{"localhost:6379", "must look like redis://"},
		{"s3same:x@localhost:6379", "must look like redis://"},
		{"http://localhost", "must look like redis://"},
		{"redis://", "names no host"},
		{"redis:localhost:6379", "names no host"},
		{"redis://localhost/first", "invalid database number"},
		{"redis://localhost/0/1", "invalid URL path"},
		{"redis://localhost?color=red", "unexpected option"},
		{"redis://:s3same%zz@localhost", "write special characters"},
		{"redis://:1/s3same@localhost", "write special characters"},
		{"redis://:1?s3same@localhost", "write special characters"},
		{"redis://:1#s3same@localhost", "write special characters"},
		{"redis://:s3same/1@localhost", "write special characters"},
		{"redis://:x@s3same/1@localhost", "write special characters"},
	} {
		_, err := parse(tt.url)
		switch {
		case tt.wantErr == "" && err != nil:
			t.Errorf("%s: %v", tt.url, err)
		case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
			t.Errorf("%s: error %v, want one with %q", tt.url, err, tt.wantErr)
		case err != nil && strings.Contains(err.Error(), "s3same"):
			t.Errorf("%s: the error holds the password: %v", tt.url, err)
		}
	}
}

func TestTimeLimitsOfURLsAreIgnored(t *testing.T) {
	o, err := parse("redis://localhost?dial_timeout=5s&read_timeout=5s&write_timeout=5s&pool_timeout=5s")
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []time.Duration{o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout} {
		if got != timeout {
			t.Errorf("time limit %s, want %s", got, timeout)
		}
	}
}
