package service

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/lvsession/lvsession/lvsproxy/check"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Snapshot is a virtual service at one moment.
type Snapshot struct {
	ID        config.VirtualID `json:"id"`
	Scheduler string           `json:"scheduler"`
	// Servers are those in the table, in IPVS's order: the one added last comes first.
	Servers []ServerSnapshot `json:"servers"`
	// Out are the configured real servers that are not in the table, in the order of the file.
	Out []ServerSnapshot `json:"out,omitempty"`
}

// ServerSnapshot is a real or fallback server at one moment.
type ServerSnapshot struct {
	Addr     netip.AddrPort `json:"addr"`
	Forward  config.Forward `json:"forward"`
	Weight   int            `json:"weight"` // in effect: 0 while a failed server is quiescent
	Fallback bool           `json:"fallback,omitempty"`
	// State and Reason are what the health checks said last.
	State  check.State `json:"state"`
	Reason string      `json:"reason,omitempty"`
	// ActiveConns are established; InactConns are being opened or closed.
	ActiveConns int64 `json:"active_conns"`
	InactConns  int64 `json:"inact_conns"`
	// Conns is how many connections were established to the server since it was configured, ConnectErrors how many
	// could not be.
	Conns         uint64 `json:"conns"`
	ConnectErrors uint64 `json:"connect_errors"`
	Traffic
}

// Snapshot returns the service as it is now.
func (s *Service) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := Snapshot{ID: s.id, Scheduler: s.spec.Scheduler, Servers: make([]ServerSnapshot, len(s.table))}
	for i, server := range s.table {
		snapshot.Servers[i] = server.snapshot()
	}
	for _, r := range s.spec.Reals {
		if server := s.servers[r.Addr]; !server.listed {
			snapshot.Out = append(snapshot.Out, server.snapshot())
		}
	}
	return snapshot
}

// snapshot is called with the service's lock held.
func (s *Server) snapshot() ServerSnapshot {
	return ServerSnapshot{
		Addr: s.addr, Forward: s.forward, Weight: s.weight, Fallback: s.fallback, State: s.state, Reason: s.reason,
		ActiveConns: s.active.Load(), InactConns: s.inactive.Load(),
		Conns: s.conns.Load(), ConnectErrors: s.connectErrors.Load(),
		Traffic: s.traffic.load(),
	}
}

// Sort puts services and servers into the order in which ipvsadm 1.31 lists them: by mark, address family, protocol,
// address and port.
func Sort(snapshots []Snapshot) {
	slices.SortFunc(snapshots, func(a, b Snapshot) int {
		return cmp.Or(
			cmp.Compare(a.ID.FWMark, b.ID.FWMark),
			cmp.Compare(a.ID.Addr.Addr().BitLen(), b.ID.Addr.Addr().BitLen()),
			cmp.Compare(a.ID.Protocol, b.ID.Protocol), // tcp is 6, udp 17
			a.ID.Addr.Compare(b.ID.Addr),
		)
	})
	for _, s := range snapshots {
		slices.SortFunc(s.Servers, func(a, b ServerSnapshot) int { return a.Addr.Compare(b.Addr) })
	}
}
