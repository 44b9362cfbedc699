package convert

import (
	"cmp"
	"net/netip"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// State is what is known about the real servers of a table that is written without checking them.
type State int

// The states that [Rules] can assume.
const (
	// Up is every real server alive.
	Up State = iota
	// Down is none alive: real servers of quiescent services have weight 0, others are not in the table, and the
	// fallback is.
	Down
)

// Rules returns the commands that make the table, each service with its servers. A fallback that ldirectord would add
// comes first, with weight 1: IPVS lists what came last first.
func Rules(s config.Spec, state State) []ipvsadm.Command {
	var rules []ipvsadm.Command
	for _, v := range s.Virtuals {
		service := serviceOf(v)
		rules = append(rules, ipvsadm.Command{Verb: ipvsadm.AddService, Service: service})
		add := func(server ipvsadm.Server) {
			rules = append(rules, ipvsadm.Command{Verb: ipvsadm.AddServer, Service: identity(service), Server: server})
		}
		down := state == Down && v.Check.Type != config.CheckOn || v.Check.Type == config.CheckOff
		if !v.Fallback.IsZero() && (down || len(v.Reals) == 0) {
			add(serverOf(v, config.Real{Addr: v.Fallback.Addr, Forward: v.Fallback.Forward, Weight: 1}))
		}
		for _, r := range v.Reals {
			switch {
			case !down:
				add(serverOf(v, r))
			case v.Quiescent:
				r.Weight = 0
				add(serverOf(v, r))
			}
		}
	}
	return rules
}

func serviceOf(v config.Virtual) ipvsadm.Service {
	s := ipvsadm.Service{
		Addr: v.ID.Addr, FWMark: v.ID.FWMark, IPv6: v.ID.IPv6,
		Scheduler: v.Scheduler, SchedFlags: v.SchedFlags, OnePacket: v.OnePacket,
		Persistent: int(v.Persistence.Timeout.Seconds()),
	}
	if v.ID.Protocol != config.FWM {
		s.Protocol = ipvsadm.Protocol(v.ID.Protocol)
	}
	switch bits := v.Persistence.Netmask; {
	case s.Is6():
		s.Netmask = uint32(cmp.Or(bits, 128))
	case s.Persistent == 0:
		s.Netmask = ipvsadm.HostMask
	default:
		s.Netmask = uint32(uint64(ipvsadm.HostMask) << (32 - bits))
	}
	return s
}

// identity leaves of a service what names it.
func identity(s ipvsadm.Service) ipvsadm.Service {
	return ipvsadm.Service{Protocol: s.Protocol, Addr: s.Addr, FWMark: s.FWMark, IPv6: s.IPv6}
}

// forwards are the methods in both tongues.
var forwards = map[config.Forward]ipvsadm.Forward{config.Gate: ipvsadm.Gate, config.Masq: ipvsadm.Masq, config.IPIP: ipvsadm.IPIP}

// serverOf returns a server as IPVS takes it: its port is the virtual service's unless the method is masq.
func serverOf(v config.Virtual, r config.Real) ipvsadm.Server {
	addr := r.Addr
	if v.ID.Protocol != config.FWM && r.Forward != config.Masq {
		addr = netip.AddrPortFrom(addr.Addr(), v.ID.Addr.Port())
	}
	return ipvsadm.Server{Addr: addr, Forward: forwards[r.Forward], Weight: r.Weight, Upper: r.Upper, Lower: r.Lower}
}
