package main

import (
	"fmt"
	"strings"

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

// tabulate makes a table of each concurrency, with the ratio of each side's latency to that of each side that is a yardstick.
func tabulate(sheet *figures.Sheet, results []*result) {
	for _, r := range results {
		t := figures.Table{Title: fmt.Sprintf("clients: %d", r.clients), Labels: []string{"sessions in"}, Figures: []string{"pages/s", "p50 ms", "p99 ms"}}
		for _, y := range r.yardsticks() {
			t.Figures = append(t.Figures, "p50 : "+y.side.Name, "p99 : "+y.side.Name)
		}
		for _, f := range r.sides {
			cells := []any{f.latency.Rate, f.latency.P50, f.latency.P99}
			for _, y := range r.yardsticks() {
				p50 := f.latency.P50.Over(y.latency.P50)
				if target, has := targets[f.side.Name]; has && samePromise(f.side.Name, y.side.Name) {
					p50 = p50.Most(target)
				}
				cells = append(cells, p50, f.latency.P99.Over(y.latency.P99))
			}
			t.Add([]string{f.side.Name}, cells...)
		}
		sheet.Tables = append(sheet.Tables, t)
	}
}

// samePromise tells whether two stacks promise the same about the disk.
func samePromise(ours, yardstick string) bool {
	for _, promise := range []string{"always", "everysec"} {
		if strings.Contains(ours, promise) && strings.Contains(yardstick, promise) {
			return true
		}
	}
	return false
}

func (r *result) yardsticks() (yardsticks []*figuresOf) {
	for _, f := range r.sides {
		if f.side.yardstick() {
			yardsticks = append(yardsticks, f)
		}
	}
	return yardsticks
}
