package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/load"
)

// delayer is a server whose delays are drawn from a known distribution, and remembered as long as they really were.
type delayer struct {
	queue bool // one request at a time

	line   sync.Mutex // held by the request that is served in a queue
	mu     sync.Mutex
	random *rand.Rand
	served []time.Duration // in order of arrival
	ended  time.Time       // the last one
	n      int             // drawn
}

// draw draws a delay: of ten, nine lie evenly between 20 and 60 ms, and one between 100 and 300 ms. In a queue all lie between 4 and
// 6 ms, but one in 100 is a second.
func (d *delayer) draw() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	span := func(low, high float64) time.Duration {
		return time.Duration((low + (high-low)*d.random.Float64()) * float64(time.Millisecond))
	}
	d.n++
	switch {
	case d.queue && d.n%100 == 20:
		return time.Second
	case d.queue:
		return span(4, 6)
	case d.random.IntN(10) == 0:
		return span(100, 300)
	}
	return span(20, 60)
}

func (d *delayer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	began := time.Now()
	if d.queue {
		d.line.Lock()
		defer d.line.Unlock()
	}
	time.Sleep(d.draw())
	d.mu.Lock()
	defer d.mu.Unlock()
	ended := time.Now()
	if d.queue && d.ended.After(began) {
		began = d.ended // how long the next in line takes to wake up is the server's time
	}
	d.served, d.ended = append(d.served, ended.Sub(began)), ended
	w.WriteHeader(http.StatusOK)
}

// rate is how many requests a second fall due: in a queue, a quarter of what it can serve without the stall.
func (d *delayer) rate() float64 {
	if d.queue {
		return 50
	}
	return 300
}

// expected are the latencies that the requests must have had, in order of size.
func (d *delayer) expected() []time.Duration {
	latencies := slices.Clone(d.served)
	if d.queue {
		var free time.Duration // when the request before has ended
		for i, delay := range d.served {
			due := time.Duration(float64(i) / d.rate() * float64(time.Second))
			free = max(free, due) + delay
			latencies[i] = free - due
		}
	}
	slices.Sort(latencies)
	return latencies
}

// at is the least of sorted latencies that so many percent do not exceed.
func at(latencies []time.Duration, percent float64) time.Duration {
	return latencies[max(0, int(math.Ceil(percent/100*float64(len(latencies))))-1)]
}

// delays compares vipbench's percentiles with what they must be.
func (o options) delays(ctx context.Context) (figures.Table, error) {
	t := figures.Table{
		Title: "latency of a server with known delays", Labels: []string{"server", "percentile"},
		Figures: []string{"expected ms", "vipbench ms", "vipbench : expected"},
	}
	percentiles := []float64{50, 75, 95, 99}
	for _, queue := range []bool{false, true} {
		expected, seen := make([]figures.Samples, len(percentiles)), make([]figures.Samples, len(percentiles))
		for round := range o.rounds {
			d := &delayer{queue: queue, random: rand.New(rand.NewPCG(1, uint64(round)))}
			r, err := d.load(ctx, o.span)
			if err != nil {
				return t, err
			}
			must := d.expected()
			for i, p := range percentiles {
				expected[i].Add(at(must, p).Seconds() * 1e3)
				seen[i].Add(r.Histogram.At(p).Seconds() * 1e3)
			}
		}
		name := "delays"
		if queue {
			name = "queue with a stall"
		}
		for i, p := range percentiles {
			t.Add([]string{name, fmt.Sprintf("p%g", p)}, expected[i], seen[i], seen[i].Over(expected[i]))
		}
	}
	return t, nil
}

// load loads the server for so long.
func (d *delayer) load(ctx context.Context, span time.Duration) (*load.Result, error) {
	url, stop, err := serve(d)
	if err != nil {
		return nil, err
	}
	defer stop()
	return load.Run(ctx, load.Config{URL: url, Plain: true, KeepAlive: true, NoProbe: true, Users: 200, Rate: d.rate(), Duration: span}, nil)
}

// serve serves HTTP on loopback until stop is called.
func serve(h http.Handler) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Serve(l) // ends with Close
	}()
	return "http://" + l.Addr().String() + "/", func() { s.Close(); <-ended }, nil
}
