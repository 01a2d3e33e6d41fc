package dbtest

import (
	"context"
	"testing"
	"time"
)

func TestMinIOKeepsItsFiles(t *testing.T) {
	m := NewMinIO(t)
	client, err := m.Client()
	if err != nil {
		t.Fatal(err)
	}
	m.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := client.BucketExists(ctx, m.Bucket); err == nil {
		t.Error("the stopped server answers")
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	if there, err := client.BucketExists(t.Context(), m.Bucket); err != nil || !there {
		t.Errorf("the bucket after a restart: %v, %v", there, err)
	}
}

func TestSuspendedMinIOStops(t *testing.T) {
	m := NewMinIO(t)
	if err := m.Suspend(); err != nil {
		t.Fatal(err)
	}
	m.Stop()
}

func TestSharedMinIOGivesEachTestABucket(t *testing.T) {
	if one, two := SharedMinIO(t), SharedMinIO(t); one.Bucket == two.Bucket || one.Endpoint != two.Endpoint {
		t.Errorf("got %s on %s and %s on %s", one.Bucket, one.Endpoint, two.Bucket, two.Endpoint)
	}
}
