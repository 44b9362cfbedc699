package service

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/scheduler"
)

// Update makes the service follow a new Spec of the same identity, and returns what changed. What was changed by hand
// stays so. Servers that stay keep their state, their place, their counts and their connections. A server that goes gets
// no new connection; those it has go on. The error is about the Spec, and the service is as before then.
func (s *Service) Update(v config.Virtual) ([]Event, error) {
	defer s.changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.follow(v, s.hand, "configured", "no longer configured")
}

// SetHand makes the service what its Spec and these changes by hand say, and returns what changed. It is like
// [Service.Update] else. edited are servers that were given a weight, be it the one that they had: the kernel tells its
// scheduler then too, and wrr begins anew.
func (s *Service) SetHand(h Hand, edited ...netip.AddrPort) ([]Event, error) {
	defer s.changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	events, err := s.follow(s.configured, h.Clone(), "by hand", "by hand")
	for _, addr := range edited {
		if i := slices.IndexFunc(s.table, func(server *Server) bool { return server.addr == addr }); i >= 0 && err == nil {
			s.scheduler.Updated(s.list(), i)
		}
	}
	return events, err
}

// follow is called with the lock held. coming and going are the reasons of events.
func (s *Service) follow(v config.Virtual, h Hand, coming, going string) ([]Event, error) {
	if v.ID != s.id {
		return nil, fmt.Errorf("virtual service %v cannot become %v", s.id, v.ID)
	}
	spec := h.Over(v)
	if s.scheduler == nil || spec.Scheduler != s.spec.Scheduler || spec.SchedFlags != s.spec.SchedFlags {
		flags, err := scheduler.ParseFlags(spec.SchedFlags)
		if err != nil {
			return nil, fmt.Errorf("virtual service %s: %w", v.ID.Addr, err)
		}
		sched, err := scheduler.NewWith(spec.Scheduler, flags)
		if err != nil {
			return nil, fmt.Errorf("virtual service %s: %w", v.ID.Addr, err)
		}
		sched.Init(s.list())
		s.scheduler = sched
	}
	configured := make(map[netip.AddrPort]bool, len(v.Reals))
	for _, r := range v.Reals {
		configured[r.Addr] = true
	}
	s.configured, s.hand, s.spec = v, h, spec
	s.dirty.Store(true)
	s.templates.configure(spec.Persistence)
	events := s.dropServers(spec.Reals, going)
	s.inOrder = make([]*Server, 0, len(spec.Reals))
	for _, r := range spec.Reals {
		events = append(events, s.applyReal(r, configured[r.Addr], coming)...)
	}
	events = append(events, s.applyFallback(spec.Fallback)...)
	s.settle()
	return events, nil
}

// dropServers removes the servers that are not in reals.
func (s *Service) dropServers(reals []config.Real, reason string) (events []Event) {
	stays := make(map[netip.AddrPort]bool, len(reals))
	for _, r := range reals {
		stays[r.Addr] = true
	}
	for _, server := range s.inOrder {
		if stays[server.addr] {
			continue
		}
		before := server.weight
		s.unlist(server)
		s.count(server, -1)
		delete(s.servers, server.addr)
		s.leave(server)
		events = append(events, s.event(ServerRemoved, server, before, reason))
	}
	return events
}

// applyReal gives a server what the Spec says of it. It is called for one after the other in the order of the Spec.
func (s *Service) applyReal(r config.Real, configured bool, reason string) []Event {
	server, known := s.servers[r.Addr]
	if known {
		s.count(server, -1)
	} else {
		if server = s.comeBack(r.Addr); server == nil {
			server = &Server{service: s, addr: r.Addr, name: r.Addr.String()}
		}
		server.state, server.mark, server.reason, server.slowSince = check.Unknown, Untouched, "", time.Time{}
		s.servers[r.Addr] = server
	}
	before, mark, weight := server.settings, server.mark, server.weight
	server.settings, server.mark = ServerSettingsOf(r), s.hand.mark(r.Addr)
	server.settings.Tunnel = s.hand.Servers[r.Addr].Settings.Tunnel
	server.limit.set(server, r.Lower, r.Upper)
	server.origin = Configured
	if !configured {
		server.origin, server.state, server.reason = ByHand, check.Up, "added by hand"
	}
	server.order = len(s.inOrder)
	s.inOrder = append(s.inOrder, server)
	s.count(server, +1)
	if server.state == check.Up && mark == Removed && server.mark != Removed {
		s.startSlowly(server)
	}
	s.place(server)
	switch {
	case !known || mark == Removed && server.mark != Removed:
		return []Event{s.event(ServerAdded, server, weight, reason)}
	case mark != Removed && server.mark == Removed:
		return []Event{s.event(ServerRemoved, server, weight, reason)}
	case before != server.settings:
		return []Event{s.event(ServerChanged, server, weight, fmt.Sprintf("weight %d, %s", r.Weight, r.Forward))}
	}
	return nil
}

func (s *Service) applyFallback(f config.Fallback) []Event {
	if old := s.fallback; old != nil && (old.addr != f.Addr || old.settings.Forward != f.Forward) {
		s.unlist(old)
		s.fallback = nil
	}
	if s.fallback == nil && !f.IsZero() {
		s.fallback = &Server{
			service: s, addr: f.Addr, name: f.Addr.String(), fallback: true, order: -1, origin: Configured,
			settings: ServerSettings{Forward: f.Forward, Weight: 1}, state: check.Up,
		}
	}
	return s.switchFallback()
}
