package database_test

import (
	"context"
	"testing"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// TestSilentServer stops a server that keeps its connections open, like a machine that hangs.
func TestSilentServer(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: waits for timeouts")
	}
	server := dbtest.NewServer(t)
	d := dbtest.Open(t, server.CreateDatabase(t))
	before, during, after := newUser("1"), newUser("2"), newUser("3")
	if err := insertUser(t.Context(), d, before); err != nil {
		t.Fatal(err)
	}
	if err := server.Suspend(); err != nil {
		t.Fatal(err)
	}
	for _, insert := range []struct {
		name string
		run  func(ctx context.Context) error
	}{
		{"on an open connection", func(ctx context.Context) error { return insertUser(ctx, d, during) }},
		{"on a new connection", func(ctx context.Context) error { return insertUser(ctx, d, during) }},
		{"without a transaction", func(ctx context.Context) error {
			return d.Exec(ctx, func(ctx context.Context, q *db.Queries) error { return q.InsertUser(ctx, during) })
		}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // ten tries take longer
		if err := insert.run(ctx); !apperr.Is(err, apperr.ServerBusy) {
			t.Errorf("insert %s: %v, want a refusal", insert.name, err)
		}
		cancel()
	}
	if err := d.Ready(t.Context()); err == nil {
		t.Error("ready without an answer")
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := insertUser(t.Context(), d, after); err != nil {
		t.Errorf("insert afterwards: %v", err)
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("Ready afterwards: %v", err)
	}
}
