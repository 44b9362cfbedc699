package service

import (
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// Service is a live virtual service. All methods may be called concurrently.
type Service struct {
	id      config.VirtualID
	settled chan struct{} // closed once it is known where the first connection goes

	mu         sync.Mutex
	configured config.Virtual
	hand       Hand
	spec       config.Virtual // what both say together
	scheduler  scheduler.Scheduler
	table      []*Server // in IPVS's order; the fallback among them while it stands in
	servers    map[netip.AddrPort]*Server
	inOrder    []*Server // servers in the order of spec
	fallback   *Server   // nil if there is none
	live       int       // servers that are up, and unknown ones; not those removed by hand
	unknown    int
	starting   bool // some real server has not had its first result
	skip       []*Server
	stats      counters
	clock      func() time.Time // for tests; nil means time.Now
	templates  templates
	leaving    []*Server // removed, and still in mind
	retired    time.Time // when the service was removed
	growth     *time.Timer
	growing    bool        // growth is running
	queue      list.List   // of *Claim, those who wait, the first in front
	alarm      *time.Timer // wakes the queue when the first has waited for too long

	dirty   atomic.Bool // the table has changed, and the watcher does not know it yet
	watcher atomic.Pointer[func()]
	total   atomic.Int64 // connections of all servers
	waiting atomic.Int64 // those in the queue, and those who may be in a moment
}

// New returns the live service of a Spec. No real server is alive until [Service.SetState] says so.
func New(v config.Virtual) (*Service, error) {
	return Define(Definition{ID: v.ID, Configured: &v})
}

// Define returns the live service of a Spec and what was changed of it by hand. Servers that were added by hand are up.
func Define(d Definition) (*Service, error) {
	v := d.Base()
	s := &Service{id: v.ID, settled: make(chan struct{}), servers: map[netip.AddrPort]*Server{}, starting: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.follow(v, d.Hand.Clone(), "", ""); err != nil {
		return nil, err
	}
	return s, nil
}

// ID returns the service's identity.
func (s *Service) ID() config.VirtualID { return s.id }

// Settled is closed once a real server is alive, or each has had its first check. A dataplane waits for it before it
// picks for the first time, so that a director that has just started turns nobody away.
func (s *Service) Settled() <-chan struct{} { return s.settled }

// SetState takes what the health checks say about a real server, and returns what changed. A server that the service
// does not have is ignored: a check may end after its server is gone.
func (s *Service) SetState(addr netip.AddrPort, state check.State, reason string) []Event {
	defer s.changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.servers[addr]
	if server == nil || server.origin == ByHand || state == check.Unknown {
		return nil
	}
	server.reason = reason
	if server.state == state {
		return nil
	}
	before := server.weight
	s.count(server, -1)
	server.state = state
	s.count(server, +1)
	kind := ServerDown
	server.slowSince = time.Time{}
	if state == check.Up {
		kind = ServerUp
		s.startSlowly(server)
	}
	s.place(server)
	if server.held != "" {
		return nil
	}
	events := []Event{s.event(kind, server, before, reason)}
	events = append(events, s.switchFallback()...)
	s.settle()
	return events
}

// State returns what is known about a real server.
func (s *Service) State(addr netip.AddrPort) check.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if server := s.servers[addr]; server != nil {
		return server.state
	}
	return check.Unknown
}

// count counts a real server in live or unknown, or takes it from there.
func (s *Service) count(server *Server, change int) {
	switch {
	case server.mark == Removed:
	case server.standing() == check.Up:
		s.live += change
	case server.standing() == check.Unknown:
		s.unknown += change
	}
}

// place puts a real server where its state, the service's quiescent and what was done by hand say: into the table, to
// weight 0, or out.
func (s *Service) place(server *Server) {
	switch {
	case server.mark == Removed:
		s.unlist(server)
	case server.standing() == check.Up:
		s.enlist(server, s.weightNow(server))
	case s.spec.Quiescent:
		s.enlist(server, 0)
	default:
		s.unlist(server)
	}
	s.noteDrain(server)
}

// enlist gives a server a weight in the table, and a place if it has none.
func (s *Service) enlist(server *Server, weight int) {
	if !server.listed || server.weight != weight {
		s.dirty.Store(true)
	}
	if !server.listed {
		server.weight, server.listed = weight, true
		i := s.newPlace(server)
		s.table = slices.Insert(s.table, i, server)
		s.scheduler.Added(s.list(), i)
		return
	}
	if server.weight != weight {
		server.weight = weight
		s.scheduler.Updated(s.list(), slices.Index(s.table, server))
	}
}

// newPlace returns where a server goes: to the head, as in IPVS. While the service is starting, the first results come
// in any order, and the table is to be the one that results in the file's order would have given.
func (s *Service) newPlace(server *Server) int {
	if !s.starting {
		return 0
	}
	i := slices.IndexFunc(s.table, func(other *Server) bool { return other.order < server.order })
	if i < 0 {
		return len(s.table)
	}
	return i
}

func (s *Service) unlist(server *Server) {
	if !server.listed {
		return
	}
	s.dirty.Store(true)
	i := slices.Index(s.table, server)
	s.table = slices.Delete(s.table, i, i+1)
	server.listed, server.weight = false, 0
	s.scheduler.Removed(s.list(), i)
}

// switchFallback has the fallback server in the table exactly while no real server is alive.
func (s *Service) switchFallback() []Event {
	f := s.fallback
	switch {
	case f == nil:
		return nil
	case s.live > 0 && f.listed:
		s.unlist(f)
		return []Event{s.event(FallbackOff, f, 1, "a real server is alive")}
	case s.live == 0 && !f.listed:
		s.enlist(f, 1)
		return []Event{s.event(FallbackOn, f, 0, "no real server is alive")}
	}
	return nil
}

// settle ends the start once every server is known, and tells those who wait as soon as there is someone to pick.
func (s *Service) settle() {
	if s.unknown == 0 {
		s.starting = false
	}
	if s.unknown == 0 || s.live > 0 {
		select {
		case <-s.settled:
		default:
			close(s.settled)
		}
	}
}
