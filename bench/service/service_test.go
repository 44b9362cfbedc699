package main

import (
	"errors"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
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

// TestAPINextToRedis: likewise, with redis-benchmark.
func TestAPINextToRedis(t *testing.T) {
	need.Program(t, "redis-server", "redis-server")
	need.Program(t, "redis-benchmark", "redis-tools")
	if _, err := ndbcluster.BuildEnv(); errors.Is(err, ndbcluster.ErrNoKit) || errors.Is(err, ndbcluster.ErrNoHeaders) {
		need.Skip(t, err.Error())
	}
	o := options{store: "ndbapi", clients: []int{1, 3}, sessions: 20, payload: 2048, rounds: 1, span: 50 * time.Millisecond, dir: t.TempDir()}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRedisBenchmarksFigures(t *testing.T) {
	const names = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"`
	rate, p50, p99, err := readOutside(names + "\n" + `"SETEX k 1 a:"x,y";","51282.05","0.093","0.016","0.087","0.183","0.295","1.167"` + "\n")
	if err != nil || rate != 51282.05 || p50 != 0.087 || p99 != 0.295 {
		t.Errorf("%v, %v, %v, %v", rate, p50, p99, err)
	}
	for _, text := range []string{"", names, names + "\n1,2\n", `"a","rps"` + "\n\"x\",\"1\"", names + "\nx,y,z,1,2,3,4,5,6\n"} {
		if _, _, _, err := readOutside(text); err == nil {
			t.Errorf("no error of %q", text)
		}
	}
}
