package service

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Settings are what ipvsadm sets of a virtual service.
type Settings struct {
	Scheduler string `json:"scheduler"`
	// SchedFlags are as in [config.Virtual].
	SchedFlags  string             `json:"sched_flags,omitempty"`
	Persistence config.Persistence `json:"persistence"`
	OnePacket   bool               `json:"one_packet,omitempty"`
}

// ServerSettings are what ipvsadm sets of a real server.
type ServerSettings struct {
	Forward config.Forward `json:"forward"`
	Weight  int            `json:"weight"`
	// Lower and Upper are the connection thresholds; 0 means none.
	Lower  int    `json:"lower,omitempty"`
	Upper  int    `json:"upper,omitempty"`
	Tunnel Tunnel `json:"tunnel,omitzero"`
}

// Tunnel says how packets of a server with [config.IPIP] are wrapped.
type Tunnel struct {
	// Type is ipip, gue or gre; empty means ipip.
	Type string `json:"type,omitempty"`
	// Port is where gue goes.
	Port uint16 `json:"port,omitempty"`
	// Flags is ipvsadm's word for the checksum: nocsum, csum or remcsum; empty means nocsum.
	Flags string `json:"flags,omitempty"`
}

// Hand is what was changed by hand of one virtual service, on top of its configuration. It outlives reloads. The zero
// value changes nothing.
type Hand struct {
	// Added tells that the service was made by hand: it is there also where no configuration has it.
	Added bool `json:"added,omitempty"`
	// Removed tells that a configured service was removed by hand.
	Removed bool `json:"removed,omitempty"`
	// Settings stand for those of the configuration; nil leaves those.
	Settings *Settings `json:"settings,omitempty"`
	// Servers holds every real server that is not as the configuration says.
	Servers map[netip.AddrPort]HandServer `json:"servers,omitempty"`
}

// HandServer is what was changed by hand of one real server.
type HandServer struct {
	// Added tells that the server was put in by hand: it is there also where no configuration has it. Nothing checks it
	// then: it counts as up.
	Added bool `json:"added,omitempty"`
	// Removed tells that a configured server was removed by hand. Its checks go on, and change nothing.
	Removed bool `json:"removed,omitempty"`
	// Settings stand for those of the configuration unless the server is Removed.
	Settings ServerSettings `json:"settings,omitzero"`
}

// IsZero reports whether nothing was changed.
func (h Hand) IsZero() bool {
	return !h.Added && !h.Removed && h.Settings == nil && len(h.Servers) == 0
}

// Clone returns a copy that shares nothing.
func (h Hand) Clone() Hand {
	if h.Settings != nil {
		settings := *h.Settings
		h.Settings = &settings
	}
	h.Servers = maps.Clone(h.Servers)
	return h
}

// SettingsOf returns what a configuration sets of a service.
func SettingsOf(v config.Virtual) Settings {
	return Settings{Scheduler: v.Scheduler, SchedFlags: v.SchedFlags, Persistence: v.Persistence, OnePacket: v.OnePacket}
}

// ServerSettingsOf returns what a configuration sets of a real server.
func ServerSettingsOf(r config.Real) ServerSettings {
	return ServerSettings{Forward: r.Forward, Weight: r.Weight, Lower: r.Lower, Upper: r.Upper}
}

// Over returns the Spec that results from a configuration and the changes by hand. Of a service that no configuration
// has, v is its identity alone.
func (h Hand) Over(v config.Virtual) config.Virtual {
	if s := h.Settings; s != nil {
		v.Scheduler, v.SchedFlags, v.Persistence, v.OnePacket = s.Scheduler, s.SchedFlags, s.Persistence, s.OnePacket
	}
	if len(h.Servers) == 0 {
		return v
	}
	reals := make([]config.Real, 0, len(v.Reals)+len(h.Servers))
	configured := make(map[netip.AddrPort]bool, len(v.Reals))
	for _, r := range v.Reals {
		configured[r.Addr] = true
		if e, ok := h.Servers[r.Addr]; ok && !e.Removed {
			r = e.Settings.over(r)
		}
		reals = append(reals, r)
	}
	for _, addr := range h.added() {
		if !configured[addr] {
			reals = append(reals, h.Servers[addr].Settings.over(config.Real{Addr: addr}))
		}
	}
	v.Reals = reals
	return v
}

func (s ServerSettings) over(r config.Real) config.Real {
	r.Forward, r.Weight, r.Lower, r.Upper = s.Forward, s.Weight, s.Lower, s.Upper
	return r
}

// added returns the servers put in by hand, sorted.
func (h Hand) added() []netip.AddrPort {
	var addrs []netip.AddrPort
	for addr, e := range h.Servers {
		if e.Added {
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	return addrs
}

// Origin says who put something into the table.
type Origin string

// The origins.
const (
	Configured Origin = "configuration"
	ByHand     Origin = "hand"
)

// Mark says what was done by hand to something that may also be configured.
type Mark string

// The marks. What was added by hand is Edited too.
const (
	Untouched Mark = ""
	Edited    Mark = "edited"  // its settings are those given by hand
	Removed   Mark = "removed" // out of the table until it is added again by hand
)

func (h Hand) mark(addr netip.AddrPort) Mark {
	e, ok := h.Servers[addr]
	switch {
	case !ok:
		return Untouched
	case e.Removed:
		return Removed
	}
	return Edited
}
