package service

import (
	"net/netip"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Snapshot is a virtual service at one moment.
type Snapshot struct {
	ID config.VirtualID `json:"id"`
	// Scheduler and what follows are the settings in force, as in [Settings].
	Scheduler   string             `json:"scheduler"`
	SchedFlags  string             `json:"sched_flags,omitempty"`
	Persistence config.Persistence `json:"persistence"`
	OnePacket   bool               `json:"one_packet,omitempty"`
	Origin      Origin             `json:"origin"`
	// Mark tells that the settings are not the configuration's.
	Mark Mark `json:"mark,omitempty"`
	// Conns is how many connections were established, and what they carried, since the last zero; Rates is what happens
	// in a second.
	Conns uint64 `json:"conns"`
	Traffic
	Rates Rates `json:"rates"`
	// Servers are those in the table, in IPVS's order: the one added last comes first.
	Servers []ServerSnapshot `json:"servers"`
	// Out are the real servers that are not in the table, because their checks fail or they were removed by hand, in the
	// order of the file.
	Out []ServerSnapshot `json:"out,omitempty"`
	// Dataplane carries the service, where there are several, and DataplaneWhy says why that one. The director adds both.
	Dataplane    string `json:"dataplane,omitempty"`
	DataplaneWhy string `json:"dataplane_why,omitempty"`
	// Leaving are servers that were removed from the service, and still have connections.
	Leaving []ServerSnapshot `json:"leaving,omitempty"`
}

// ServerSnapshot is a real or fallback server at one moment.
type ServerSnapshot struct {
	Addr     netip.AddrPort `json:"addr"`
	Forward  config.Forward `json:"forward"`
	Weight   int            `json:"weight"` // in effect: 0 while a failed server is quiescent
	Lower    int            `json:"lower,omitempty"`
	Upper    int            `json:"upper,omitempty"`
	Tunnel   Tunnel         `json:"tunnel,omitzero"`
	Fallback bool           `json:"fallback,omitempty"`
	Origin   Origin         `json:"origin"`
	Mark     Mark           `json:"mark,omitempty"`
	// State and Reason are what the health checks said last. Nothing checks a server whose Origin is [ByHand].
	State  check.State `json:"state"`
	Reason string      `json:"reason,omitempty"`
	// ActiveConns are established; InactConns are being opened or closed. PersistConns are the clients that persistence
	// remembers.
	ActiveConns  int64 `json:"active_conns"`
	InactConns   int64 `json:"inact_conns"`
	PersistConns int64 `json:"persist_conns"`
	// Conns is how many connections were established to the server, and what they carried, since it was configured or
	// since the last zero. ConnectErrors is how many could not be.
	Conns         uint64 `json:"conns"`
	ConnectErrors uint64 `json:"connect_errors"`
	Traffic
	Rates Rates `json:"rates"`
	// DrainEnds is when the connections of a server that gets no new ones will be cut off; zero if they will not.
	DrainEnds time.Time `json:"drain_ends,omitzero"`
}

// Snapshot returns the service as it is now.
func (s *Service) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &s.spec
	snapshot := Snapshot{
		ID: s.id, Scheduler: v.Scheduler, SchedFlags: v.SchedFlags, Persistence: v.Persistence, OnePacket: v.OnePacket,
		Origin: Configured, Rates: s.stats.perSecond(), Servers: make([]ServerSnapshot, len(s.table)),
	}
	if s.hand.Added {
		snapshot.Origin = ByHand
	}
	if s.hand.Settings != nil {
		snapshot.Mark = Edited
	}
	snapshot.Conns, snapshot.Traffic = s.stats.sinceZero()
	s.templates.expire(s.now(), len(s.templates.clients))
	for i, server := range s.table {
		snapshot.Servers[i] = server.snapshot()
	}
	for _, server := range s.inOrder {
		if !server.listed {
			snapshot.Out = append(snapshot.Out, server.snapshot())
		}
	}
	for _, server := range s.leaving {
		if server.total() > 0 {
			snapshot.Leaving = append(snapshot.Leaving, server.snapshot())
		}
	}
	return snapshot
}

// snapshot is called with the service's lock held.
func (s *Server) snapshot() ServerSnapshot {
	snapshot := ServerSnapshot{
		Addr: s.addr, Forward: s.settings.Forward, Weight: s.weight, Lower: s.settings.Lower, Upper: s.settings.Upper,
		Tunnel: s.settings.Tunnel, Fallback: s.fallback, Origin: s.origin, Mark: s.mark, State: s.state, Reason: s.reason,
		ActiveConns: s.active.Load(), InactConns: s.inactive.Load(), PersistConns: int64(s.templates),
		ConnectErrors: s.connectErrors.Load(), Rates: s.stats.perSecond(), DrainEnds: s.drainEnds(s.service.spec.Own.DrainTimeout),
	}
	if s.held != "" {
		snapshot.State, snapshot.Reason = check.Down, s.held
	}
	snapshot.Conns, snapshot.Traffic = s.stats.sinceZero()
	return snapshot
}
