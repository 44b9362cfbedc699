package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// result is what was measured of one mix at one concurrency.
type result struct {
	mix             mix
	clients         int
	reference, ours figures
}

// figures are one side's, one sample a round.
type figures struct{ rate, p50, p99 samples } // visits a second; ms

func (f *figures) add(o outcome) {
	f.rate = append(f.rate, float64(o.latency.TotalCount())/o.seconds)
	f.p50 = append(f.p50, float64(o.latency.ValueAtQuantile(50))/1000)
	f.p99 = append(f.p99, float64(o.latency.ValueAtQuantile(99))/1000)
}

// samples are the values of one figure, one a round.
type samples []float64

func (s samples) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (s samples) String() string {
	return fmt.Sprintf("%s (%s–%s)", number(s.median()), number(slices.Min(s)), number(slices.Max(s)))
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// target compares a ratio with what it should be at least, or at most.
func target(ratio, bound float64, most bool) string {
	word, met := "≥", ratio >= bound
	if most {
		word, met = "≤", ratio <= bound
	}
	verdict := "missed"
	if met {
		verdict = "met"
	}
	return fmt.Sprintf("%.2f × (target %s %.2f: %s)", ratio, word, bound, verdict)
}

// tabulate prints a table: medians over the rounds, with the least and the most, and the ratios of the medians.
func tabulate(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nvisit\tclients\t\tvisits/s\tp50 ms\tp99 ms")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%d\treference\t%v\t%v\t%v\n", r.mix.what, r.clients, r.reference.rate, r.reference.p50, r.reference.p99)
		fmt.Fprintf(w, "\t\tours\t%v\t%v\t%v\n", r.ours.rate, r.ours.p50, r.ours.p99)
		rate := r.ours.rate.median() / r.reference.rate.median()
		p50 := r.ours.p50.median() / r.reference.p50.median()
		p99 := r.ours.p99.median() / r.reference.p99.median()
		cells := [3]string{fmt.Sprintf("%.2f ×", rate), fmt.Sprintf("%.2f ×", p50), fmt.Sprintf("%.2f ×", p99)}
		if r.clients == 1 {
			cells[1] = target(p50, 1.1, true)
		} else {
			cells[0] = target(rate, r.mix.rate, false)
			if r.mix.p99 > 0 {
				cells[2] = target(p99, r.mix.p99, true)
			}
		}
		fmt.Fprintf(w, "\t\tratio\t%s\t%s\t%s\n", cells[0], cells[1], cells[2])
	}
	w.Flush()
}
