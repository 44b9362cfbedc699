package main

import (
	"fmt"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// result is what was measured of one mix at one concurrency.
type result struct {
	mix             mix
	clients         int
	reference, ours figures.Latency // visits a second

	referenceCPU, oursCPU cpu
}

// cpu is the CPU time of a visit, one sample a round, in µs, and how many cores were used.
type cpu struct{ load, sql, data, cores figures.Samples }

func (c *cpu) add(o outcome) {
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(1, o.visits)) }
	c.load.Add(each(o.cpu.load))
	c.sql.Add(each(o.cpu.sql))
	c.data.Add(each(o.cpu.data))
	c.cores.Add(o.cpu.sum().Seconds() / o.lasted.Seconds())
}

// cells are the figures of a row behind the latency.
func (c *cpu) cells() []any { return []any{c.load, c.sql, c.data, c.cores} }

// tabulate makes the table, with the ratios of ours to the reference.
func tabulate(results []*result) figures.Table {
	t := figures.Table{
		Labels:  []string{"visit", "clients", "side"},
		Figures: []string{"visits/s", "p50 ms", "p99 ms", "CPU µs: load", "SQL nodes", "data nodes", "cores"},
	}
	for _, r := range results {
		labels := func(side string) []string { return []string{r.mix.what, fmt.Sprint(r.clients), side} }
		for _, side := range []struct {
			name    string
			latency *figures.Latency
			cpu     *cpu
		}{{"reference", &r.reference, &r.referenceCPU}, {"ours", &r.ours, &r.oursCPU}} {
			t.Add(labels(side.name), append([]any{side.latency.Rate, side.latency.P50, side.latency.P99}, side.cpu.cells()...)...)
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
	case r.mix.rate == 0: // reported only
	case r.clients == 1:
		p50 = p50.Most(1.1)
	default:
		rate = rate.Least(r.mix.rate)
		if r.mix.p99 > 0 {
			p99 = p99.Most(r.mix.p99)
		}
	}
	return rate, p50, p99
}
