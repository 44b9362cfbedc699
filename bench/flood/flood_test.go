package main

import (
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMeasure: in a small flood transfers go on, and each figure is there.
func TestMeasure(t *testing.T) {
	rig := namespaces.Need(t)
	o := options{rate: 2000, rounds: 1, transfers: 3, span: 300 * time.Millisecond, pace: 100_000, answer: true}
	s, err := start(t.Context(), rig, o)
	defer s.stop()
	if err != nil {
		t.Fatal(err)
	}
	for _, forward := range []string{"masq", "gate"} {
		r := &result{forward: forward}
		if err := o.measure(t.Context(), s, r); err != nil {
			t.Fatalf("%s: %v", forward, err)
		}
		if r.rate.Median() <= 0 || r.calm.Median() <= 0 || r.storm.Median() <= 0 || r.broken != 0 {
			t.Errorf("%+v", r)
		}
		if rows := tabulate([]*result{r}).Rows; len(rows) != 1 {
			t.Errorf("%d rows", len(rows))
		}
	}
}

// TestBroken: a transfer that ends, or brings other bytes, is broken.
func TestBroken(t *testing.T) {
	for name, sent := range map[string][]byte{"the end": nil, "other bytes": []byte("these are not the bytes")} {
		client, server := net.Pipe()
		tr := &transfers{}
		tr.start(client)
		server.Write(content[:period+100])
		server.Write(sent)
		server.Close()
		tr.wg.Wait()
		if tr.broken() != 1 || tr.got.Load() != period+100 {
			t.Errorf("%s: %d broken, %d bytes", name, tr.broken(), tr.got.Load())
		}
	}
}
