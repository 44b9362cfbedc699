package service

import (
	"fmt"
	"net/netip"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// Update makes the service follow a new Spec of the same identity, and returns what changed. Servers that stay keep
// their state, their place, their counts and their connections. A server that goes gets no new connection; those it has
// go on. The error is about the Spec, and the service is as before then.
func (s *Service) Update(v config.Virtual) ([]Event, error) {
	if v.ID != s.id {
		return nil, fmt.Errorf("virtual service %v cannot become %v", s.id, v.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.Scheduler != s.spec.Scheduler {
		sched, err := scheduler.New(v.Scheduler)
		if err != nil {
			return nil, fmt.Errorf("virtual service %s: %w", v.ID.Addr, err)
		}
		sched.Init(s.list())
		s.scheduler = sched
	}
	return s.apply(v), nil
}

// apply makes the table that of a Spec whose scheduler is in place.
func (s *Service) apply(v config.Virtual) (events []Event) {
	before := s.spec.Reals
	s.spec = v
	events = append(events, s.dropServers(before, v.Reals)...)
	for i, r := range v.Reals {
		events = append(events, s.applyReal(i, r)...)
	}
	events = append(events, s.applyFallback(v.Fallback)...)
	s.settle()
	return events
}

// dropServers removes the servers that are in before and not in reals.
func (s *Service) dropServers(before, reals []config.Real) (events []Event) {
	stays := make(map[netip.AddrPort]bool, len(reals))
	for _, r := range reals {
		stays[r.Addr] = true
	}
	for _, r := range before {
		if stays[r.Addr] {
			continue
		}
		s.unlist(s.servers[r.Addr])
		delete(s.servers, r.Addr)
		events = append(events, newEvent(ServerRemoved, s.id, r.Addr, "no longer configured"))
	}
	return events
}

func (s *Service) applyReal(order int, r config.Real) []Event {
	server, known := s.servers[r.Addr]
	if !known {
		server = &Server{addr: r.Addr, name: r.Addr.String()}
		s.servers[r.Addr] = server
	}
	changed := server.nominal != r.Weight || server.forward != r.Forward
	server.order, server.nominal, server.forward = order, r.Weight, r.Forward
	s.place(server)
	switch {
	case !known:
		return []Event{newEvent(ServerAdded, s.id, r.Addr, "configured")}
	case changed:
		return []Event{newEvent(ServerChanged, s.id, r.Addr, fmt.Sprintf("weight %d, %s", r.Weight, r.Forward))}
	}
	return nil
}

func (s *Service) applyFallback(f config.Fallback) []Event {
	if old := s.fallback; old != nil && (old.addr != f.Addr || old.forward != f.Forward) {
		s.unlist(old)
		s.fallback = nil
	}
	if s.fallback == nil && !f.IsZero() {
		s.fallback = &Server{addr: f.Addr, name: f.Addr.String(), fallback: true, forward: f.Forward, order: -1, nominal: 1, state: check.Up}
	}
	return s.switchFallback()
}

// Addrs returns the addresses of the real servers in the order of the Spec.
func (s *Service) Addrs() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]netip.AddrPort, len(s.spec.Reals))
	for i, r := range s.spec.Reals {
		addrs[i] = r.Addr
	}
	return addrs
}
