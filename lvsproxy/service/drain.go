package service

import (
	"net/netip"
	"slices"
	"time"
)

// lingering is how long a server that was removed is kept in mind without connections: one that was picked just before
// may still open.
const lingering = time.Minute

// noteDrain remembers since when a server gets no new connections, and forgets it once it does again.
func (s *Service) noteDrain(server *Server) {
	switch {
	case s.retired.IsZero() && server.listed && server.weight > 0:
		server.received, server.drainSince = true, time.Time{}
	case server.received && server.drainSince.IsZero():
		server.drainSince = s.now()
	}
}

// leave keeps a server that was removed in mind for as long as it has connections.
func (s *Service) leave(server *Server) {
	s.noteDrain(server)
	if server.received {
		s.leaving = append(s.leaving, server)
	}
}

// comeBack returns a server that was removed and still is in mind, or nil. As in the kernel, which finds it in its trash,
// its connections and counts are its own again.
func (s *Service) comeBack(addr netip.AddrPort) *Server {
	i := slices.IndexFunc(s.leaving, func(server *Server) bool { return server.addr == addr })
	if i < 0 {
		return nil
	}
	server := s.leaving[i]
	s.leaving = slices.Delete(s.leaving, i, i+1)
	return server
}

// Retire tells that the service was removed: all its servers drain from now on.
func (s *Service) Retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.inOrder {
		if server.received && server.drainSince.IsZero() {
			server.drainSince = s.now()
		}
	}
	if s.retired.IsZero() {
		s.retired = s.now()
	}
}

// Gone reports whether a retired service has no connections left.
func (s *Service) Gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.retired.IsZero() && s.total.Load() == 0 && s.now().Sub(s.retired) >= lingering
}

// Overdue returns the servers that get no new connections, and still have some after Own.DrainTimeout. The deadline
// counts from when they got none; reloads do not move it.
func (s *Service) Overdue() []*Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	timeout := s.spec.Own.DrainTimeout
	if timeout == 0 && len(s.leaving) == 0 {
		return nil
	}
	now := s.now()
	s.leaving = slices.DeleteFunc(s.leaving, func(server *Server) bool {
		return server.total() == 0 && now.Sub(server.drainSince) >= lingering
	})
	if timeout == 0 {
		return nil
	}
	var overdue []*Server
	for _, servers := range [][]*Server{s.inOrder, s.leaving} {
		for _, server := range servers {
			if !server.drainSince.IsZero() && now.Sub(server.drainSince) >= timeout && server.total() > 0 {
				overdue = append(overdue, server)
			}
		}
	}
	return overdue
}

// drainEnds returns when the server's connections will be cut off, or the zero Time.
func (s *Server) drainEnds(timeout time.Duration) time.Time {
	if timeout == 0 || s.drainSince.IsZero() || s.total() == 0 {
		return time.Time{}
	}
	return s.drainSince.Add(timeout)
}
