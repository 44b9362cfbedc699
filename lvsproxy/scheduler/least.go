package scheduler

// stateless is what schedulers are made of that look at every destination for each pick and remember nothing.
type stateless struct{}

func (stateless) Init(Destinations)         {}
func (stateless) Added(Destinations, int)   {}
func (stateless) Removed(Destinations, int) {}
func (stateless) Updated(Destinations, int) {}

// overhead is IPVS's measure of what a destination has to do (ip_vs_dest_conn_overhead): an active connection counts as
// much as 256 inactive ones.
func overhead(d Destinations, i int) int {
	active, inactive := d.Conns(i)
	return active<<8 + inactive
}

// leastConnection is IPVS's lc (ip_vs_lc.c): the destination with the least overhead, the first in the list of several.
type leastConnection struct{ stateless }

func (leastConnection) Name() string { return "lc" }

func (leastConnection) Next(d Destinations, _ Flow) int {
	best, least := None, 0
	for i := range d.Len() {
		if !usable(d, i) {
			continue
		}
		if load := overhead(d, i); best == None || load < least {
			best, least = i, load
		}
	}
	return best
}

// usable reports whether a destination may be picked at all.
func usable(d Destinations, i int) bool { return d.Weight(i) > 0 && !d.Overloaded(i) }

// weightedLeastConnection is IPVS's wlc (ip_vs_wlc.c): the destination with the least overhead for its weight.
type weightedLeastConnection struct{ stateless }

func (weightedLeastConnection) Name() string { return "wlc" }

func (weightedLeastConnection) Next(d Destinations, _ Flow) int { return leastWeighted(d) }

// leastWeighted returns the destination whose overhead divided by its weight is least, the first in the list of several.
func leastWeighted(d Destinations) int {
	best, least, of := None, 0, 0
	for i := range d.Len() {
		w := d.Weight(i)
		if w <= 0 || d.Overloaded(i) {
			continue
		}
		if load := overhead(d, i); best == None || least*w > load*of {
			best, least, of = i, load, w
		}
	}
	return best
}

// shortestExpectedDelay is IPVS's sed (ip_vs_sed.c): the destination that has the fewest active connections for its
// weight once this one is counted.
type shortestExpectedDelay struct{ stateless }

func (shortestExpectedDelay) Name() string { return "sed" }

func (shortestExpectedDelay) Next(d Destinations, _ Flow) int { return shortest(d, false) }

// neverQueue is IPVS's nq (ip_vs_nq.c): the first idle destination, or else that of sed.
type neverQueue struct{ stateless }

func (neverQueue) Name() string { return "nq" }

func (neverQueue) Next(d Destinations, _ Flow) int { return shortest(d, true) }

func shortest(d Destinations, idleFirst bool) int {
	best, least, of := None, 0, 0
	for i := range d.Len() {
		w := d.Weight(i)
		if w <= 0 || d.Overloaded(i) {
			continue
		}
		active, _ := d.Conns(i)
		if idleFirst && active == 0 {
			return i
		}
		if best == None || least*w > (active+1)*of {
			best, least, of = i, active+1, w
		}
	}
	return best
}
