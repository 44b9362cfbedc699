package main

import (
	"testing"
	"time"
)

// TestEmbedded: everything runs, and all that has expired is collected. It measures nothing.
func TestEmbedded(t *testing.T) {
	o := options{
		store: "embedded", sessions: 500, few: 50, expired: 300, payload: 1024, clients: 4, rate: 200, rounds: 1,
		span: 100 * time.Millisecond, dir: t.TempDir(),
	}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
