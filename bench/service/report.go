package main

import (
	"fmt"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// result is what was measured of one mix at one concurrency.
type result struct {
	mix     mix
	clients int
	sides   []*figuresOf
}

// figuresOf are one side's.
type figuresOf struct {
	side      *side
	latency   figures.Latency
	processor figures.Samples // of the servers, microseconds a visit
}

// tabulate makes the table, with the ratios of each of ours to each peer.
func tabulate(results []*result) figures.Table {
	t := figures.Table{
		Labels:  []string{"visit", "clients", "side"},
		Figures: []string{"visits/s", "p50 ms", "p99 ms", "server CPU µs/visit"},
	}
	for _, r := range results {
		labels := func(side string) []string { return []string{r.mix.what, fmt.Sprint(r.clients), side} }
		for _, f := range r.sides {
			t.Add(labels(f.side.name), f.latency.Rate, f.latency.P50, f.latency.P99, f.processor)
		}
		for _, f := range r.sides {
			for _, peer := range r.sides {
				if !f.side.peer && peer.side.peer {
					t.Add(labels(f.side.name+" : "+peer.side.name),
						f.latency.Rate.Over(peer.latency.Rate), f.latency.P50.Over(peer.latency.P50),
						f.latency.P99.Over(peer.latency.P99), f.processor.Over(peer.processor))
				}
			}
		}
	}
	return t
}
