package main

import (
	"fmt"
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

// tabulate makes the table, with the ratio of each of ours to the two peers that do not give up.
func tabulate(results []*result) figures.Table {
	t := figures.Table{
		Labels:  []string{"held for", "side"},
		Figures: []string{"total ms", "mean wait ms", "longest : mean", "failed", "total : phpredis, 2 ms", "total : phpredis, 20 ms"},
	}
	for i := 0; i < len(results); {
		hold := results[i].hold
		first := i
		for ; i < len(results) && results[i].hold == hold; i++ {
			r := results[i]
			cells := []any{r.total, r.mean, r.unfair, fmt.Sprintf("%d of %d", r.failed, r.sent)}
			if !r.side.peer {
				for _, peer := range results[first : first+2] {
					cells = append(cells, r.total.Over(peer.total))
				}
			}
			t.Add([]string{hold.String(), r.side.name}, cells...)
		}
	}
	return t
}
