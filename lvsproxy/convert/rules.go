package convert

import (
	"net/netip"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
	"github.com/lvsession/lvsession/lvsproxy/service"
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
		virtual := ipvsadm.ServiceWith(v.ID, service.SettingsOf(v))
		rules = append(rules, ipvsadm.Command{Verb: ipvsadm.AddService, Service: virtual})
		add := func(server ipvsadm.Server) {
			rules = append(rules, ipvsadm.Command{Verb: ipvsadm.AddServer, Service: virtual.Identity(), Server: server})
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

// serverOf returns a server as IPVS takes it: its port is the virtual service's unless the method is masq.
func serverOf(v config.Virtual, r config.Real) ipvsadm.Server {
	addr := r.Addr
	if v.ID.Protocol != config.FWM && r.Forward != config.Masq {
		addr = netip.AddrPortFrom(addr.Addr(), v.ID.Addr.Port())
	}
	return ipvsadm.ServerWith(addr, service.ServerSettingsOf(r))
}
