package service

import "sync"

// limit is a server's connection thresholds at work, with the hysteresis of the kernel (ip_vs_bind_dest and
// ip_vs_unbind_dest): a server that has upper connections or more is overloaded until it has fewer than lower, or fewer
// than three quarters of upper where lower is 0.
type limit struct {
	mu           sync.Mutex
	lower, upper int64
}

// set gives a server other thresholds, and judges it by them at once, where the upper one is another.
func (l *limit) set(s *Server, lower, upper int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int64(upper) != l.upper {
		s.overloaded.Store(upper != 0 && s.total() >= int64(upper))
	}
	l.lower, l.upper = int64(lower), int64(upper)
	s.limited.Store(upper != 0)
}

func (l *limit) opened(s *Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.upper != 0 && s.total() >= l.upper {
		s.overloaded.Store(true)
	}
}

func (l *limit) ended(s *Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := s.total()
	if l.lower != 0 && total < l.lower || l.lower == 0 && total*4 < l.upper*3 {
		s.overloaded.Store(false)
	}
}

// total returns how many connections the server has, in whatever state.
func (s *Server) total() int64 { return s.active.Load() + s.inactive.Load() }

// opened counts a connection that begins, and ended one that has ended.
func (s *Server) opened() {
	s.service.total.Add(1)
	if s.limited.Load() {
		s.limit.opened(s)
	}
}

func (s *Server) ended() {
	s.service.total.Add(-1)
	if s.limited.Load() {
		s.limit.ended(s)
	}
	s.service.freed()
}
