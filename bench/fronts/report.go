package main

import (
	"fmt"

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
	side           *side
	rate, p50, p99 figures.Samples // units of work a second, and milliseconds
	processor      figures.Samples // of all that takes part, microseconds a request or milliseconds a gigabyte
	failed         int
}

// added is what a side costs beyond what the same round cost without it.
func (f *figuresOf) added(direct *figuresOf) (s figures.Samples) {
	for i := range min(len(f.processor), len(direct.processor)) {
		s.Add(f.processor[i] - direct.processor[i])
	}
	return s
}

func (r *result) of(side string) *figuresOf {
	for _, f := range r.sides {
		if f.side.name == side {
			return f
		}
	}
	return &figuresOf{}
}

// tabulate makes the table, with the ratios of ours to the others.
func tabulate(results []*result) figures.Table {
	t := figures.Table{
		Labels:  []string{"load", "connections", "side"},
		Figures: []string{"per second", "Gbit/s", "p50 ms", "p99 ms", "CPU, µs each (GB: ms)", "more than direct", "more than no hop", "failed"},
	}
	for _, r := range results {
		labels := func(side string) []string { return []string{r.load.what, fmt.Sprint(r.conns), side} }
		for _, f := range r.sides {
			var bits, toDirect, toNoHop any
			if r.load.bytes {
				bits = figures.Number(f.rate.Median() * 8)
			}
			if f.side.name != nohop {
				toNoHop = f.added(r.of(nohop))
				if f.side.name != direct {
					toDirect = f.added(r.of(direct))
				}
			}
			t.Add(labels(f.side.name), f.rate, bits, f.p50, f.p99, f.processor, toDirect, toNoHop, f.failed)
		}
		for _, f := range r.sides {
			for _, peer := range r.sides {
				if f.side.ours && peer.side.name != nohop && (!peer.side.ours || f.side.name == gate && peer.side.name == masq) {
					t.Add(labels(f.side.name+" : "+peer.side.name), r.compare(f, peer)...)
				}
			}
		}
	}
	return t
}

// The aims: how the rate of ours may stand to that without a director, what ours adds in CPU time to what others add, and
// all that it takes to all that others take.
var (
	leastRate     = map[[2]string]float64{{masq, direct}: 0.95}
	mostAdded     = map[[2]string]float64{{masq, nft}: 0.5, {masq, haproxy}: 0.1, {userspace, haproxy}: 1}
	mostProcessor = map[[2]string]float64{{gate, masq}: 1}
)

func (r *result) compare(ours, peer *figuresOf) []any {
	pair := [2]string{ours.side.name, peer.side.name}
	rate, processor := ours.rate.Over(peer.rate), ours.processor.Over(peer.processor)
	if r.load.visits {
		return []any{rate, nil, ours.p50.Over(peer.p50), ours.p99.Over(peer.p99)}
	}
	if aim, ok := leastRate[pair]; ok {
		rate = rate.Least(aim)
	}
	if aim, ok := mostProcessor[pair]; ok {
		processor = processor.Most(aim)
	}
	cells := []any{rate, nil, ours.p50.Over(peer.p50), ours.p99.Over(peer.p99), processor, nil}
	if peer.side.name != direct {
		if added, ok := r.added(direct, ours, peer); ok {
			if aim, ok := mostAdded[pair]; ok {
				added = added.Most(aim)
			}
			cells[5] = added
		}
	}
	if added, ok := r.added(nohop, ours, peer); ok {
		return append(cells, added)
	}
	return append(cells, nil)
}

// added returns the ratio of what two sides add to a third. There is none to what adds nothing.
func (r *result) added(to string, ours, peer *figuresOf) (figures.Ratio, bool) {
	others := peer.added(r.of(to))
	return ours.added(r.of(to)).Over(others), others.Median() > 0
}
