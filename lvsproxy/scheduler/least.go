package scheduler

// looking is what schedulers are made of that look at every destination for each pick and remember nothing.
type looking struct{ loads []Load }

func (*looking) Init(Destinations)         {}
func (*looking) Added(Destinations, int)   {}
func (*looking) Removed(Destinations, int) {}
func (*looking) Updated(Destinations, int) {}

// look returns the loads of all destinations, until it is called again.
func (l *looking) look(d Destinations) []Load {
	l.loads = d.Loads(l.loads[:0])
	return l.loads
}

// overhead is IPVS's measure of what a destination has to do (ip_vs_dest_conn_overhead): an active connection counts as
// much as 256 inactive ones.
func (l Load) overhead() int { return l.Active<<8 + l.Inactive }

// leastConnection is IPVS's lc (ip_vs_lc.c): the destination with the least overhead, the first in the list of several.
type leastConnection struct{ looking }

func (*leastConnection) Name() string { return "lc" }

func (s *leastConnection) Next(d Destinations, _ Flow) int {
	best, least := None, 0
	for i, l := range s.look(d) {
		if l.Weight == 0 {
			continue
		}
		if load := l.overhead(); best == None || load < least {
			best, least = i, load
		}
	}
	return best
}

// usable reports whether a destination may be picked at all.
func usable(d Destinations, i int) bool { return d.Weight(i) > 0 && !d.Overloaded(i) }

// weightedLeastConnection is IPVS's wlc (ip_vs_wlc.c): the destination with the least overhead for its weight.
type weightedLeastConnection struct{ looking }

func (*weightedLeastConnection) Name() string { return "wlc" }

func (s *weightedLeastConnection) Next(d Destinations, _ Flow) int { return leastWeighted(s.look(d)) }

// leastWeighted returns the destination whose overhead divided by its weight is least, the first in the list of several.
func leastWeighted(loads []Load) int {
	best, least, of := None, 0, 0
	for i, l := range loads {
		if l.Weight == 0 {
			continue
		}
		if load := l.overhead(); best == None || least*l.Weight > load*of {
			best, least, of = i, load, l.Weight
		}
	}
	return best
}

// shortestExpectedDelay is IPVS's sed (ip_vs_sed.c): the destination that has the fewest active connections for its
// weight once this one is counted.
type shortestExpectedDelay struct{ looking }

func (*shortestExpectedDelay) Name() string { return "sed" }

func (s *shortestExpectedDelay) Next(d Destinations, _ Flow) int { return shortest(s.look(d)) }

func shortest(loads []Load) int {
	best, least, of := None, 0, 0
	for i, l := range loads {
		if l.Weight == 0 {
			continue
		}
		if best == None || least*l.Weight > (l.Active+1)*of {
			best, least, of = i, l.Active+1, l.Weight
		}
	}
	return best
}

// neverQueue is IPVS's nq (ip_vs_nq.c): the first idle destination, or else that of sed.
type neverQueue struct{ looking }

func (*neverQueue) Name() string { return "nq" }

func (s *neverQueue) Next(d Destinations, _ Flow) int {
	loads := s.look(d)
	for i, l := range loads {
		if l.Weight > 0 && l.Active == 0 {
			return i
		}
	}
	return shortest(loads)
}
