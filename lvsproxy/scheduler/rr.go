package scheduler

// roundRobin is IPVS's rr (ip_vs_rr.c): the next destination of weight above 0 after the last one picked. A change of
// weight moves nothing; removing the destination picked last moves the place back by one.
type roundRobin struct {
	last cursor
}

func (*roundRobin) Name() string                    { return "rr" }
func (s *roundRobin) Init(Destinations)             { s.last = head }
func (s *roundRobin) Added(_ Destinations, i int)   { s.last.added(i) }
func (s *roundRobin) Removed(_ Destinations, i int) { s.last.removed(i) }
func (*roundRobin) Updated(Destinations, int)       {}

func (s *roundRobin) Next(d Destinations, _ Flow) int {
	n := d.Len()
	for step := 1; step <= n; step++ {
		i := int(s.last) + step
		if i >= n {
			i -= n
		}
		if d.Weight(i) > 0 && !d.Overloaded(i) {
			s.last = cursor(i)
			return i
		}
	}
	return None
}

// Period implements [Cyclic]: each destination of weight above 0 has its turn.
func (*roundRobin) Period(d Destinations) int {
	n := 0
	for i := range d.Len() {
		if d.Weight(i) > 0 {
			n++
		}
	}
	return n
}

// Clone implements [Cyclic].
func (s *roundRobin) Clone() Cyclic {
	clone := *s
	return &clone
}
