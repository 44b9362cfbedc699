package service

import (
	"net/netip"
	"slices"
)

// A dataplane either asks the service for a server by each connection, and tells the server what becomes of it. Or it has
// a copy of the table elsewhere, in the kernel: then it learns by Watch that the table has changed, reads it by Snapshot,
// and says by SetCounts what it has counted.

// Watch has changed called after each change of what a pick depends on: the servers in the table, their weights and
// settings, thresholds, the scheduler, persistence. It is called without the service's lock, possibly by several
// goroutines at once, and must return at once. There is one watcher: a dataplane sets it in Open, and then reads the
// table for the first time.
func (s *Service) Watch(changed func()) {
	s.dirty.Store(false)
	s.watcher.Store(&changed)
}

// changed is called without the lock after what may have changed the table.
func (s *Service) changed() {
	s.freed()
	if watcher := s.watcher.Load(); watcher != nil && s.dirty.Swap(false) {
		(*watcher)()
	}
}

// Counts is what a dataplane that counts by itself says of a server: the connections that it has, the clients that
// persistence remembers, and what was counted since the dataplane first had the server.
type Counts struct {
	Active, Inactive, Persistent int64
	Conns                        uint64
	Traffic
}

// SetCounts takes what a dataplane has counted of a server, also of one that was removed and still has connections. Counts
// that are less than the last ones began anew. A server that the service does not have is ignored.
func (s *Service) SetCounts(addr netip.AddrPort, c Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.find(addr)
	if server == nil {
		return
	}
	s.total.Add(c.Active + c.Inactive - server.total())
	server.active.Store(c.Active)
	server.inactive.Store(c.Inactive)
	server.templates = int(c.Persistent)
	conns, traffic := c.since(server.counts)
	server.stats.conns.Add(conns)
	s.stats.conns.Add(conns)
	server.Carried(traffic)
	server.counts = c
}

// find returns the server at an address, whatever it is to the service, or nil.
func (s *Service) find(addr netip.AddrPort) *Server {
	if server := s.servers[addr]; server != nil {
		return server
	}
	if f := s.fallback; f != nil && f.addr == addr {
		return f
	}
	if i := slices.IndexFunc(s.leaving, func(server *Server) bool { return server.addr == addr }); i >= 0 {
		return s.leaving[i]
	}
	return nil
}

// since returns what was counted after before.
func (c Counts) since(before Counts) (conns uint64, t Traffic) {
	return grown(c.Conns, before.Conns), Traffic{
		InPackets: grown(c.InPackets, before.InPackets), OutPackets: grown(c.OutPackets, before.OutPackets),
		InBytes: grown(c.InBytes, before.InBytes), OutBytes: grown(c.OutBytes, before.OutBytes),
	}
}

// grown returns by how much a count has grown; one that is less than before began anew.
func grown(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}
