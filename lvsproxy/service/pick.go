package service

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// Pick returns the server for a new connection, or nil if there is none. It passes over the servers in tried: those that
// could not be reached for this connection. When no other is left, the fallback server is tried even though the health
// checks have not called for it yet. Pick does not keep the slice.
//
// A client that persistence remembers gets its server. Pick knows nothing of the service's own limit, nor of its queue:
// see [Service.Take].
func (s *Service) Pick(flow scheduler.Flow, tried []*Server) *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	server, _ := s.pick(flow, tried)
	return server
}

// pick also returns what persistence remembers the client by, if it does.
func (s *Service) pick(flow scheduler.Flow, tried []*Server) (*Server, *template) {
	if s.spec.Persistence.Timeout == 0 {
		return s.schedule(flow, tried), nil
	}
	now := s.now()
	client := s.templates.network(flow.Client.Addr())
	t := s.templates.find(client, now)
	if t != nil && t.server.takes(tried) {
		s.templates.use(t, now)
		return t.server, t
	}
	server := s.schedule(flow, tried)
	if server == nil || !server.listed {
		return server, nil // a fallback that is only tried is not to be kept to
	}
	if t == nil {
		t = s.templates.add(client, server, now)
	} else {
		s.templates.redirect(t, server, now)
	}
	return server, t
}

// schedule asks the scheduler.
func (s *Service) schedule(flow scheduler.Flow, tried []*Server) *Server {
	s.skip = tried
	i := s.scheduler.Next(s.list(), flow)
	s.skip = nil
	if i != scheduler.None {
		return s.table[i]
	}
	if f := s.fallback; len(tried) > 0 && f != nil && !slices.Contains(tried, f) {
		return f
	}
	return nil
}

// takes reports whether a server may get a connection now, beyond what its scheduler thinks.
func (s *Server) takes(tried []*Server) bool {
	return s.listed && s.weight > 0 && !s.overloaded.Load() && !slices.Contains(tried, s)
}

// destinations is a Service as its scheduler sees it.
type destinations Service

func (s *Service) list() *destinations { return (*destinations)(s) }

func (d *destinations) Len() int         { return len(d.table) }
func (d *destinations) Weight(i int) int { return d.table[i].weight }
func (d *destinations) Overloaded(i int) bool {
	server := d.table[i]
	return server.overloaded.Load() || len(d.skip) > 0 && slices.Contains(d.skip, server)
}
func (d *destinations) Addr(i int) netip.AddrPort { return d.table[i].addr }

func (d *destinations) Loads(to []scheduler.Load) []scheduler.Load {
	for _, server := range d.table {
		load := scheduler.Load{Active: int(server.active.Load()), Inactive: int(server.inactive.Load())}
		if !server.overloaded.Load() && (len(d.skip) == 0 || !slices.Contains(d.skip, server)) {
			load.Weight = server.weight
		}
		to = append(to, load)
	}
	return to
}

func (d *destinations) Conns(i int) (active, inactive int) {
	return int(d.table[i].active.Load()), int(d.table[i].inactive.Load())
}

// now is the time that persistence, drains and queues go by.
func (s *Service) now() time.Time {
	if s.clock != nil {
		return s.clock()
	}
	return time.Now()
}
