package main

import (
	"fmt"
	"io"
	"text/tabwriter"
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

func (c *cpu) String() string {
	return fmt.Sprintf("%s + %s + %s\t%s", figures.Number(c.load.Median()), figures.Number(c.sql.Median()), figures.Number(c.data.Median()), figures.Number(c.cores.Median()))
}

// tabulate prints a table: medians over the rounds, with the least and the most, and the ratios of the medians.
func tabulate(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nvisit\tclients\t\tvisits/s\tp50 ms\tp99 ms\tCPU µs: load, SQL nodes, data nodes\tcores")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%d\treference\t%v\t%v\t%v\t%v\n", r.mix.what, r.clients, r.reference.Rate, r.reference.P50, r.reference.P99, &r.referenceCPU)
		fmt.Fprintf(w, "\t\tours\t%v\t%v\t%v\t%v\n", r.ours.Rate, r.ours.P50, r.ours.P99, &r.oursCPU)
		rate := r.ours.Rate.Median() / r.reference.Rate.Median()
		p50 := r.ours.P50.Median() / r.reference.P50.Median()
		p99 := r.ours.P99.Median() / r.reference.P99.Median()
		cells := [3]string{fmt.Sprintf("%.2f ×", rate), fmt.Sprintf("%.2f ×", p50), fmt.Sprintf("%.2f ×", p99)}
		switch {
		case r.mix.rate == 0: // reported only
		case r.clients == 1:
			cells[1] = figures.AtMost(p50, 1.1)
		default:
			cells[0] = figures.AtLeast(rate, r.mix.rate)
			if r.mix.p99 > 0 {
				cells[2] = figures.AtMost(p99, r.mix.p99)
			}
		}
		fmt.Fprintf(w, "\t\tratio\t%s\t%s\t%s\n", cells[0], cells[1], cells[2])
	}
	w.Flush()
}
