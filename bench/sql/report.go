package main

import (
	"fmt"

	"github.com/lvsession/lvsession/bench/internal/figures"
	"github.com/lvsession/lvsession/bench/internal/visits"
)

// result is what was measured of one mix at one concurrency.
type result struct {
	mix             visits.Mix
	clients         int
	reference, ours figures.Latency // visits a second

	referenceCPU, oursCPU visits.CPU
}

// tabulate makes the table, with the ratios of ours to the reference.
func tabulate(results []*result) figures.Table {
	t := figures.Table{
		Labels:  []string{"visit", "clients", "side"},
		Figures: []string{"visits/s", "p50 ms", "p99 ms", "CPU µs: load", "SQL nodes", "data nodes", "cores"},
	}
	for _, r := range results {
		labels := func(side string) []string { return []string{r.mix.What, fmt.Sprint(r.clients), side} }
		for _, side := range []struct {
			name    string
			latency *figures.Latency
			cpu     *visits.CPU
		}{{"reference", &r.reference, &r.referenceCPU}, {"ours", &r.ours, &r.oursCPU}} {
			t.Add(labels(side.name), append([]any{side.latency.Rate, side.latency.P50, side.latency.P99}, side.cpu.Cells()...)...)
		}
		rate, p50, p99 := r.ratios()
		t.Add(labels("ours : reference"), rate, p50, p99)
	}
	return t
}

// ratios are ours to the reference, with their aims.
func (r *result) ratios() (rate, p50, p99 figures.Ratio) {
	rate, p50, p99 = r.ours.Rate.Over(r.reference.Rate), r.ours.P50.Over(r.reference.P50), r.ours.P99.Over(r.reference.P99)
	switch {
	case r.mix.Rate == 0: // reported only
	case r.clients == 1:
		p50 = p50.Most(1.1)
	default:
		rate = rate.Least(r.mix.Rate)
		if r.mix.P99 > 0 {
			p99 = p99.Most(r.mix.P99)
		}
	}
	return rate, p50, p99
}
