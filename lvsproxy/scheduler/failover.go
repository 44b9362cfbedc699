package scheduler

// failover is IPVS's fo (ip_vs_fo.c): the destination of the highest weight, the first in the list of several.
type failover struct{ stateless }

func (failover) Name() string { return "fo" }

func (failover) Next(d Destinations, _ Flow) int {
	best, highest := None, 0
	for i := range d.Len() {
		if w := d.Weight(i); w > highest && !d.Overloaded(i) {
			best, highest = i, w
		}
	}
	return best
}

// overflow is IPVS's ovf (ip_vs_ovf.c): the destination of the highest weight that has no more active connections than
// its weight, the first in the list of several.
type overflow struct{ stateless }

func (overflow) Name() string { return "ovf" }

func (overflow) Next(d Destinations, _ Flow) int {
	best, highest := None, 0
	for i := range d.Len() {
		w := d.Weight(i)
		if w <= highest || d.Overloaded(i) {
			continue
		}
		if active, _ := d.Conns(i); active <= w {
			best, highest = i, w
		}
	}
	return best
}
