package scheduler

// failover is IPVS's fo (ip_vs_fo.c): the destination of the highest weight, the first in the list of several.
type failover struct{ looking }

func (*failover) Name() string { return "fo" }

func (s *failover) Next(d Destinations, _ Flow) int {
	best, highest := None, 0
	for i, l := range s.look(d) {
		if l.Weight > highest {
			best, highest = i, l.Weight
		}
	}
	return best
}

// overflow is IPVS's ovf (ip_vs_ovf.c): the destination of the highest weight that has no more active connections than
// its weight, the first in the list of several.
type overflow struct{ looking }

func (*overflow) Name() string { return "ovf" }

func (s *overflow) Next(d Destinations, _ Flow) int {
	best, highest := None, 0
	for i, l := range s.look(d) {
		if l.Weight > highest && l.Active <= l.Weight {
			best, highest = i, l.Weight
		}
	}
	return best
}
