package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/lvsession/lvsession/bench/internal/figures"
)

// result is what was measured of one side with one hold.
type result struct {
	side        *side
	hold        time.Duration
	total, mean figures.Samples // ms
	unfair      figures.Samples // longest wait over the mean one
	failed      int
	sent        int
}

func (r *result) add(o outcome) {
	var sum, longest time.Duration
	for _, w := range o.waits {
		sum += w
		longest = max(longest, w)
	}
	mean := float64(sum) / float64(len(o.waits))
	r.total.Add(o.total.Seconds() * 1000)
	r.mean.Add(mean / 1e6)
	r.unfair.Add(float64(longest) / mean)
	r.failed += o.failed
	r.sent += len(r.side.clients)
}

// tabulate prints medians over the rounds, with the least and the most, and each of ours over the peers.
func tabulate(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nheld for\tside\ttotal ms\tmean wait ms\tlongest : mean\tfailed\ttotal over phpredis's, 2 ms\t20 ms")
	for i := 0; i < len(results); {
		hold := results[i].hold
		first := i
		for ; i < len(results) && results[i].hold == hold; i++ {
			r := results[i]
			fmt.Fprintf(w, "%v\t%s\t%v\t%v\t%v\t%d of %d", hold, r.side.name, r.total, r.mean, r.unfair, r.failed, r.sent)
			if !r.side.peer {
				for _, peer := range results[first : first+2] {
					fmt.Fprintf(w, "\t%.2f ×", r.total.Median()/peer.total.Median())
				}
			}
			fmt.Fprintln(w)
		}
	}
	w.Flush()
}
