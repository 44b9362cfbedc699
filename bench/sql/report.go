package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// result is what was measured of one mix at one concurrency.
type result struct {
	mix             mix
	clients         int
	reference, ours figures.Latency // visits a second
}

// tabulate prints a table: medians over the rounds, with the least and the most, and the ratios of the medians.
func tabulate(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nvisit\tclients\t\tvisits/s\tp50 ms\tp99 ms")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%d\treference\t%v\t%v\t%v\n", r.mix.what, r.clients, r.reference.Rate, r.reference.P50, r.reference.P99)
		fmt.Fprintf(w, "\t\tours\t%v\t%v\t%v\n", r.ours.Rate, r.ours.P50, r.ours.P99)
		rate := r.ours.Rate.Median() / r.reference.Rate.Median()
		p50 := r.ours.P50.Median() / r.reference.P50.Median()
		p99 := r.ours.P99.Median() / r.reference.P99.Median()
		cells := [3]string{fmt.Sprintf("%.2f ×", rate), fmt.Sprintf("%.2f ×", p50), fmt.Sprintf("%.2f ×", p99)}
		if r.clients == 1 {
			cells[1] = figures.AtMost(p50, 1.1)
		} else {
			cells[0] = figures.AtLeast(rate, r.mix.rate)
			if r.mix.p99 > 0 {
				cells[2] = figures.AtMost(p99, r.mix.p99)
			}
		}
		fmt.Fprintf(w, "\t\tratio\t%s\t%s\t%s\n", cells[0], cells[1], cells[2])
	}
	w.Flush()
}
