package main

import (
	"fmt"
	"io"
	"text/tabwriter"

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

// tabulate prints medians over the rounds, with the least and the most, and for each of ours the ratios to each peer.
func tabulate(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nvisit\tclients\tside\tvisits/s\tp50 ms\tp99 ms\tserver CPU µs/visit")
	for _, r := range results {
		what, clients := r.mix.what, fmt.Sprint(r.clients)
		for _, f := range r.sides {
			l := f.latency
			fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%v\t%v\t%v\n", what, clients, f.side.name, l.Rate, l.P50, l.P99, f.processor)
			what, clients = "", ""
		}
		for _, f := range r.sides {
			for _, peer := range r.sides {
				if !f.side.peer && peer.side.peer {
					compare(w, f, peer)
				}
			}
		}
	}
	w.Flush()
}

func compare(w io.Writer, ours, peer *figuresOf) {
	ratio := func(a, b figures.Samples) string { return fmt.Sprintf("%.2f ×", a.Median()/b.Median()) }
	fmt.Fprintf(w, "\t\t%s : %s\t%s\t%s\t%s\t%s\n", ours.side.name, peer.side.name,
		ratio(ours.latency.Rate, peer.latency.Rate), ratio(ours.latency.P50, peer.latency.P50),
		ratio(ours.latency.P99, peer.latency.P99), ratio(ours.processor, peer.processor))
}
