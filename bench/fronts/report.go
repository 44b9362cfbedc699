package main

import (
	"fmt"
	"io"
	"text/tabwriter"

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

// tabulate prints medians over the rounds, with the least and the most, and the ratios of ours to each peer.
func tabulate(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nload\tconnections\tside\tper second\tp99 ms\tfront's CPU, µs each\tfailed")
	for _, r := range results {
		what, conns := r.load.what, fmt.Sprint(r.conns)
		for _, f := range r.sides {
			rate := f.rate.String()
			if r.load.name == "bodies" {
				rate += fmt.Sprintf(", %s Gbit/s", figures.Number(f.rate.Median()*bodySize*8/1e9))
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%v\t%v\t%d\n", what, conns, f.side.name, rate, f.p99, f.processor, f.failed)
			what, conns = "", ""
		}
		for _, f := range r.sides {
			for _, peer := range r.sides {
				if f.side.ours && !peer.side.ours {
					compare(w, f, peer)
				}
			}
		}
	}
	w.Flush()
}

// aim is how our CPU time for a unit of work may stand to HAProxy's: no more.
const aim = 1

func compare(w io.Writer, ours, peer *figuresOf) {
	ratio := func(a, b figures.Samples) string {
		if b.Median() == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f ×", a.Median()/b.Median())
	}
	processor := ratio(ours.processor, peer.processor)
	if peer.side.name == "HAProxy" && processor != "" {
		processor = figures.AtMost(ours.processor.Median()/peer.processor.Median(), aim)
	}
	fmt.Fprintf(w, "\t\t%s : %s\t%s\t%s\t%s\t\n", ours.side.name, peer.side.name, ratio(ours.rate, peer.rate), ratio(ours.p99, peer.p99), processor)
}
