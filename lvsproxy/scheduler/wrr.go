package scheduler

// weightedRoundRobin is IPVS's wrr (ip_vs_wrr.c). It walks the list again and again, each time with a lower weight
// required: from the highest weight down to 1 in steps of the weights' greatest common divisor. Any change to the list
// or to a weight begins the walk anew at the head, but keeps the required weight as far as it still makes sense.
type weightedRoundRobin struct {
	last     cursor
	required int // weight that a destination must have in the present walk (the kernel's cw)
	highest  int // where required starts (mw)
	step     int // by how much it falls with each walk (di)
}

func (*weightedRoundRobin) Name() string { return "wrr" }

func (s *weightedRoundRobin) Init(d Destinations) {
	s.last = head
	s.measure(d)
	s.required = s.highest
}

func (s *weightedRoundRobin) Added(d Destinations, _ int)   { s.changed(d) }
func (s *weightedRoundRobin) Removed(d Destinations, _ int) { s.changed(d) }
func (s *weightedRoundRobin) Updated(d Destinations, _ int) { s.changed(d) }

func (s *weightedRoundRobin) changed(d Destinations) {
	s.last = head
	s.measure(d)
	switch {
	case s.required > s.highest || s.required == 0:
		s.required = s.highest
	case s.step > 1:
		s.required = s.required/s.step*s.step + 1
	}
}

// measure sets step and highest. The kernel lowers the highest by step-1, so that the last walk requires exactly 1.
func (s *weightedRoundRobin) measure(d Destinations) {
	divisor, most := 0, 0
	for i := range d.Len() {
		if w := d.Weight(i); w > 0 {
			divisor = gcd(w, divisor)
			most = max(most, w)
		}
	}
	s.step = max(divisor, 1)
	s.highest = most - (s.step - 1)
}

func (s *weightedRoundRobin) Next(d Destinations, _ Flow) int {
	if s.highest == 0 {
		return None
	}
	var (
		i         = int(s.last)
		stop      = None // where to give up, once the last walk has come round
		restarted = false
		lastWalk  = false
	)
	for {
		for i++; i < d.Len(); i++ {
			if !d.Overloaded(i) && d.Weight(i) >= s.required {
				s.last = cursor(i)
				return i
			}
			if i == stop {
				s.last = cursor(i)
				return None
			}
		}
		i = head
		s.required -= s.step
		if s.required <= 0 {
			s.required = s.highest
			if lastWalk || s.last == head {
				s.last = head
				return None
			}
			restarted = true
		}
		lastWalk = s.required <= s.step
		if lastWalk && restarted && s.last != head {
			stop = int(s.last)
		}
	}
}

// Period implements [Cyclic]: the sum of the weights, divided by what they have in common.
func (*weightedRoundRobin) Period(d Destinations) int {
	sum, divisor := 0, 0
	for i := range d.Len() {
		sum += d.Weight(i)
		divisor = gcd(d.Weight(i), divisor)
	}
	return sum / max(divisor, 1)
}

// Clone implements [Cyclic].
func (s *weightedRoundRobin) Clone() Cyclic {
	clone := *s
	return &clone
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
