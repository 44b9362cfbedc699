package service

import (
	"net/netip"

	"github.com/lvsession/lvsession/lvsproxy/check"
)

// SetHeld takes a real server out for a reason, such as maintenance, until it is called with no reason, and returns what
// changed. A held server is treated as one that is down, whatever its checks say; what they say meanwhile counts
// afterwards. A server that the service does not have is ignored.
func (s *Service) SetHeld(addr netip.AddrPort, reason string) []Event {
	defer s.changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.servers[addr]
	if server == nil || server.held == reason {
		return nil
	}
	before, weight := server.standing(), server.weight
	s.count(server, -1)
	server.held = reason
	s.count(server, +1)
	now := server.standing()
	if now == check.Up && before != check.Up {
		s.startSlowly(server)
	}
	s.place(server)
	var events []Event
	switch {
	case now == before || server.mark == Removed:
	case now == check.Down:
		events = append(events, s.event(ServerDown, server, weight, reason))
	case now == check.Up:
		events = append(events, s.event(ServerUp, server, weight, server.reason))
	}
	events = append(events, s.switchFallback()...)
	s.settle()
	return events
}

// standing is what decides where a server goes: what its checks say, unless it is held.
func (s *Server) standing() check.State {
	if s.held != "" {
		return check.Down
	}
	return s.state
}
