package main

import (
	"fmt"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// result is what was measured of one load at one number of connections.
type result struct {
	load  load
	conns int
	sides []*figuresOf
}

// figuresOf are one side's.
type figuresOf struct {
	side      *side
	rate, p99 figures.Samples // a second, and milliseconds
	processor figures.Samples // of the front, microseconds a unit of work
	failed    int
}

// tabulate makes the table, with the ratios of ours to each peer.
func tabulate(results []*result) figures.Table {
	t := figures.Table{
		Labels:  []string{"load", "connections", "side"},
		Figures: []string{"per second", "p99 ms", "front's CPU, µs each", "Gbit/s", "failed"},
	}
	for _, r := range results {
		labels := func(side string) []string { return []string{r.load.what, fmt.Sprint(r.conns), side} }
		for _, f := range r.sides {
			var bits any
			if r.load.name == "bodies" {
				bits = figures.Number(f.rate.Median() * bodySize * 8 / 1e9)
			}
			t.Add(labels(f.side.name), f.rate, f.p99, f.processor, bits, f.failed)
		}
		for _, f := range r.sides {
			for _, peer := range r.sides {
				if f.side.ours && !peer.side.ours {
					t.Add(labels(f.side.name+" : "+peer.side.name), compare(f, peer)...)
				}
			}
		}
	}
	return t
}

// aim is how our CPU time for a unit of work may stand to HAProxy's: no more.
const aim = 1

func compare(ours, peer *figuresOf) []any {
	processor := ours.processor.Over(peer.processor)
	if peer.side.name == "HAProxy" {
		processor = processor.Most(aim)
	}
	return []any{ours.rate.Over(peer.rate), ours.p99.Over(peer.p99), processor}
}
