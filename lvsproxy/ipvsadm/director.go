package ipvsadm

import (
	"math/bits"
	"net/netip"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// The words of ipvsadm and of the director for the same things.

// ServiceOf returns a service of a director's table as ipvsadm's command line has it.
func ServiceOf(v service.Snapshot) Service {
	return ServiceWith(v.ID, service.Settings{Scheduler: v.Scheduler, SchedFlags: v.SchedFlags, Persistence: v.Persistence, OnePacket: v.OnePacket})
}

// ServiceWith returns a service with these settings as ipvsadm's command line has it.
func ServiceWith(id config.VirtualID, settings service.Settings) Service {
	s := Service{Addr: id.Addr, FWMark: id.FWMark, IPv6: id.IPv6}
	if id.Protocol != config.FWM {
		s.Protocol, s.IPv6 = Protocol(id.Protocol), false
	}
	s.Scheduler, s.SchedFlags, s.OnePacket = settings.Scheduler, settings.SchedFlags, settings.OnePacket
	s.Persistent = int(settings.Persistence.Timeout / time.Second)
	s.Netmask = netmask(settings.Persistence, s.Is6())
	return s
}

// netmask is that of a service without persistence too, where it means nothing.
func netmask(p config.Persistence, six bool) uint32 {
	switch {
	case six && p.Timeout == 0:
		return 128
	case six:
		return uint32(p.Netmask)
	case p.Timeout == 0:
		return HostMask
	}
	return bits.Reverse32(1<<p.Netmask - 1)
}

// Identity returns the service without its settings.
func (s Service) Identity() Service {
	return Service{Protocol: s.Protocol, Addr: s.Addr, FWMark: s.FWMark, IPv6: s.IPv6}
}

// ServerOf returns a server of a director's table as ipvsadm's command line has it.
func ServerOf(r service.ServerSnapshot) Server {
	return ServerWith(r.Addr, service.ServerSettings{Forward: r.Forward, Weight: r.Weight, Lower: r.Lower, Upper: r.Upper, Tunnel: r.Tunnel})
}

// ServerWith returns a server with these settings as ipvsadm's command line has it.
func ServerWith(addr netip.AddrPort, settings service.ServerSettings) Server {
	s := Server{Addr: addr, Forward: Gate, Weight: settings.Weight, Upper: settings.Upper, Lower: settings.Lower}
	switch settings.Forward {
	case config.Masq:
		s.Forward = Masq
	case config.IPIP:
		s.Forward = IPIP
		s.Tunnel = Tunnel{Type: settings.Tunnel.Type, Port: settings.Tunnel.Port, Checksum: settings.Tunnel.Flags}
	}
	return s
}

// ID returns what the director knows the service by.
func (s Service) ID() config.VirtualID {
	if s.FWMark != 0 {
		return config.VirtualID{Protocol: config.FWM, FWMark: s.FWMark, IPv6: s.IPv6}
	}
	return config.VirtualID{Protocol: config.Protocol(s.Protocol), Addr: s.Addr}
}

// IsAll reports whether the service is the one that -Z without a service names: all of them.
func (s Service) IsAll() bool {
	a := s.Addr
	return s.FWMark == 0 && (!a.IsValid() || a.Addr().IsUnspecified() && a.Port() == 0)
}

// Settings returns what the director sets of the service, and false if it can only be set in the kernel: a netmask with
// holes, or a persistence engine.
func (s Service) Settings() (service.Settings, bool) {
	settings := service.Settings{Scheduler: s.Scheduler, SchedFlags: s.SchedFlags, OnePacket: s.OnePacket}
	ok := s.Engine == ""
	if s.Persistent != 0 {
		n, prefix := s.PrefixLen()
		settings.Persistence = config.Persistence{Timeout: time.Duration(s.Persistent) * time.Second, Netmask: n}
		ok = ok && prefix
	}
	return settings, ok
}

// Settings returns what the director sets of the server.
func (r Server) Settings() service.ServerSettings {
	forward := map[Forward]config.Forward{Masq: config.Masq, IPIP: config.IPIP, Gate: config.Gate}[r.Forward]
	return service.ServerSettings{
		Forward: forward, Weight: r.Weight, Lower: r.Lower, Upper: r.Upper,
		Tunnel: service.Tunnel{Type: r.Tunnel.Type, Port: r.Tunnel.Port, Flags: r.Tunnel.Checksum},
	}
}

// Settings returns the time-outs as the director sets them.
func (t Timeouts) Settings() service.Timeouts {
	return service.Timeouts{TCP: time.Duration(t.TCP) * time.Second, TCPFin: time.Duration(t.TCPFin) * time.Second, UDP: time.Duration(t.UDP) * time.Second}
}

// TimeoutsOf returns a director's time-outs in whole seconds.
func TimeoutsOf(t service.Timeouts) Timeouts {
	return Timeouts{TCP: int(t.TCP / time.Second), TCPFin: int(t.TCPFin / time.Second), UDP: int(t.UDP / time.Second)}
}

// Settings returns the daemon as the director starts it.
func (d Daemon) Settings() service.SyncDaemon {
	return service.SyncDaemon{State: d.State, Interface: d.Interface, SyncID: d.SyncID, MaxLen: d.MaxLen, Group: d.Group, Port: d.Port, TTL: d.TTL}
}

// DaemonOf returns a daemon that the director has.
func DaemonOf(d service.SyncDaemon) Daemon {
	return Daemon{State: d.State, Interface: d.Interface, SyncID: d.SyncID, MaxLen: d.MaxLen, Group: d.Group, Port: d.Port, TTL: d.TTL}
}

// Find returns the service of a table that a command names, or nil.
func Find(table []service.Snapshot, s Service) *service.Snapshot {
	id := s.ID()
	for i := range table {
		if sameID(table[i].ID, id) {
			return &table[i]
		}
	}
	return nil
}

func sameID(a, b config.VirtualID) bool {
	return a == b || a.Protocol == b.Protocol && a.FWMark == 0 && b.FWMark == 0 && a.Addr == b.Addr && a.Addr != netip.AddrPort{}
}
