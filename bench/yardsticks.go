package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/errgroup"
)

// defaultParams are what a hash costs the server by default.
var defaultParams = &argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// bareHashes measures how many passwords all cores together hash in a second. Registering and
// logging in take one hash each.
func bareHashes(ctx context.Context, b *bench, _ string) (float64, error) {
	return b.repeat(ctx, func(context.Context) error {
		_, err := argon2id.CreateHash(password, defaultParams)
		return err
	})
}

// repeat measures how often something is done in a second that is done once for each core at any time.
func (b *bench) repeat(ctx context.Context, do func(context.Context) error) (float64, error) {
	start := time.Now()
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range runtime.NumCPU() {
		group.Go(func() error {
			for ctx.Err() == nil && time.Since(start) < b.duration {
				if err := do(ctx); err != nil {
					return err
				}
				done.Add(1)
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	return float64(done.Load()) / time.Since(start).Seconds(), err
}

// user is an answer of GET /users/me.
const user = `{"data":{"msg":{"id":"019341f0-5b0e-7c1f-8d6e-2f4b6a8c0e12","phone":"+8613900000000","nickname":"用户0000",` +
	`"hasPassword":true,"homeVisits":0,"lastLoginAt":"2026-01-01T00:00:00.000000Z","createdAt":"2026-01-01T00:00:00.000000Z"},"code":0}}` + "\n"

// bareHTTP measures how often a handler that does nothing else writes that answer in a second.
func bareHTTP(ctx context.Context, b *bench, _ string) (float64, error) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeUser(w) }))
	defer server.Close()
	return b.rate(ctx, get(server.URL, ""))
}

func writeUser(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(user)) // wrk tells if it failed
}
