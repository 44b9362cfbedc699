package main

import (
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// TestEmbeddedNextToRedis: every mix runs on every side. It measures nothing.
func TestEmbeddedNextToRedis(t *testing.T) {
	need.Program(t, "redis-server", "redis-server")
	o := options{store: "embedded", clients: []int{1, 3}, sessions: 20, payload: 2048, rounds: 1, span: 50 * time.Millisecond, dir: t.TempDir()}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
