package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// result is what was measured at one concurrency.
type result struct {
	clients int
	sides   []*figuresOf
}

type figuresOf struct {
	side    *side
	latency figures.Latency
}

// tabulate prints medians over the rounds, with the least and the most, and the ratio of each side's latency to that of
// each side that is a yardstick.
func tabulate(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range results {
		fmt.Fprintf(w, "\n%d clients\tpages/s\tp50 ms\tp99 ms", r.clients)
		for _, y := range r.yardsticks() {
			fmt.Fprintf(w, "\tp50, p99 : %s", y.side.name)
		}
		fmt.Fprintln(w)
		for _, f := range r.sides {
			fmt.Fprintf(w, "%s\t%v\t%v\t%v", f.side.name, f.latency.Rate, f.latency.P50, f.latency.P99)
			for _, y := range r.yardsticks() {
				fmt.Fprintf(w, "\t%.2f ×, %.2f ×", f.latency.P50.Median()/y.latency.P50.Median(), f.latency.P99.Median()/y.latency.P99.Median())
			}
			fmt.Fprintln(w)
		}
	}
	w.Flush()
	fmt.Fprintln(out)
	for _, r := range results {
		for _, y := range r.yardsticks() {
			for _, f := range r.sides {
				if f.side.target != 0 {
					ratio := f.latency.P50.Median() / y.latency.P50.Median()
					fmt.Fprintf(out, "%d clients, median of %s : %s: %s\n", r.clients, f.side.name, y.side.name, figures.AtMost(ratio, f.side.target))
				}
			}
		}
	}
}

func (r *result) yardsticks() (yardsticks []*figuresOf) {
	for _, f := range r.sides {
		if f.side.yardstick {
			yardsticks = append(yardsticks, f)
		}
	}
	return yardsticks
}
