package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Latencies agree within 5 % with a server's known delays, and with what a queue and its stall do to requests that go on falling
// due. 3 ms more, and twice the lateness that vipbench tells of itself, are for the machine's other work; since that can only add to a
// latency, the best of three tries counts.
func TestLatencyIsHonest(t *testing.T) {
	const tries = 3
	for name, queue := range map[string]bool{"delays": false, "queue with a stall": true} {
		t.Run(name, func(t *testing.T) {
			var off []string
			for try := range tries {
				if off = deviations(t, &delayer{queue: queue, random: rand.New(rand.NewPCG(1, uint64(try)))}); len(off) == 0 {
					return
				}
				t.Log(off)
			}
			t.Errorf("no try agrees; the last: %v", off)
		})
	}
}

// deviations loads the server and returns the percentiles that do not agree.
func deviations(t *testing.T, d *delayer) (off []string) {
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
		if (got - want).Abs() > want/20+3*time.Millisecond+2*time.Duration(r.Lag.P99) {
			off = append(off, fmt.Sprintf("p%g is %v, not %v, with a lateness of %v", percent, got, want, r.Lag.P99))
		}
	}
	return off
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
