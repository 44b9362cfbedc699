package service

import "time"

// slowSteps is in how many steps the weight of a server grows that has come up.
const slowSteps = 10

// startSlowly has a server that came up begin with a tenth of its weight. While the director starts, nobody does: there
// would be nobody else to take the load.
func (s *Service) startSlowly(server *Server) {
	if s.spec.Own.SlowStart > 0 && !s.starting {
		server.slowSince = s.now()
	}
}

// weightNow returns the weight that a server that is up has now.
func (s *Service) weightNow(server *Server) int {
	full, over := server.settings.Weight, s.spec.Own.SlowStart
	if server.slowSince.IsZero() {
		return full
	}
	step := 0
	if over > 0 {
		step = int(s.now().Sub(server.slowSince) * slowSteps / over)
	}
	if over == 0 || step >= slowSteps {
		server.slowSince = time.Time{}
		return full
	}
	s.growSoon()
	return min(full, max(1, full*max(step, 1)/slowSteps))
}

// growSoon has the weights looked at again at the next step.
func (s *Service) growSoon() {
	if s.growing {
		return
	}
	s.growing = true
	wait := max(s.spec.Own.SlowStart/slowSteps, time.Millisecond)
	if s.growth == nil {
		s.growth = time.AfterFunc(wait, s.grow)
	} else {
		s.growth.Reset(wait)
	}
}

// grow gives servers that have come up the weight that they have by now.
func (s *Service) grow() {
	defer s.changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growing = false
	for _, server := range s.inOrder {
		if !server.slowSince.IsZero() {
			s.place(server)
		}
	}
}
