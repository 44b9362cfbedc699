package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Latencies agree within 5 % with a server's known delays, and with what a queue and its stall do to requests that go on falling
// due; 3 ms more are for the machine's other work.
func TestLatencyIsHonest(t *testing.T) {
	for name, d := range map[string]*delayer{"delays": {}, "queue with a stall": {queue: true}} {
		t.Run(name, func(t *testing.T) {
			d.random = rand.New(rand.NewPCG(1, 2))
			r, err := d.load(t.Context(), 4*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			must := d.expected()
			if !r.Proven || len(must) < 200 {
				t.Fatalf("%s, %d requests", r.Reason, len(must))
			}
			for _, percent := range []float64{50, 75, 95, 99} {
				want, got := at(must, percent), r.Histogram.At(percent)
				if off := (got - want).Abs(); off > want/20+3*time.Millisecond {
					t.Errorf("p%g is %v, not %v", percent, got, want)
				}
			}
		})
	}
}

func TestRates(t *testing.T) {
	if r, err := wrkRate([]byte("Running\nRequests/sec:  59926.08\nTransfer/sec: 1MB\n")); err != nil || r != 59926.08 {
		t.Errorf("%g, %v", r, err)
	}
	if _, err := wrkRate([]byte("unable to connect")); err == nil {
		t.Error("no rate, and no error")
	}
	if r, err := vipbenchRate([]byte(`{"throughput":12.5}`)); err != nil || r != 12.5 {
		t.Errorf("%g, %v", r, err)
	}
	if _, err := vipbenchRate([]byte(`{"throughput":12.5,"errors_total":1}`)); err == nil {
		t.Error("errors, and no error")
	}
}
