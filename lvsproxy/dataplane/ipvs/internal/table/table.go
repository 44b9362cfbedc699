// Package table compares IPVS tables: what is in the kernel with what is to be there. It calls no kernel.
package table

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Service is a virtual service as IPVS has it: what it is known by, and what can be edited.
type Service struct {
	ID        config.VirtualID
	Scheduler string
	// Flags are IP_VS_SVC_F_ONEPACKET and the scheduler's (linux/ip_vs.h). The director sets no others.
	Flags uint32
	// Timeout is that of persistence in whole seconds, and 0 without it; Netmask is how many leading bits count.
	Timeout time.Duration
	Netmask int
	// Engine is the persistence engine's name, such as "sip"; empty means none.
	Engine string
}

// Server is a real server as IPVS has it: what it is known by in its service, and what can be edited.
type Server struct {
	Addr         netip.AddrPort
	Forward      config.Forward
	Weight       int
	Upper, Lower int
}

// Entry is a service and its servers in IPVS's order, no two with the same Addr.
type Entry struct {
	Service Service
	Servers []Server
}

// Op is what a step does.
type Op int

// The operations. Those on services use Step.Service, those on servers Step.Service.ID and Step.Server.
const (
	AddService Op = iota
	EditService
	RemoveService
	AddServer
	EditServer
	RemoveServer
)

// Step is one command to the kernel.
type Step struct {
	Op      Op
	Service Service
	Server  Server
}

// Diff returns the fewest steps that lead from have to want. Entries of have that are neither in want nor ours, somebody
// else's, are left alone; IPVS drops a removed service's servers with it. Nothing is removed before all that is to be
// added has been, so that no service is without servers in between, and a server of which only the weight differs is
// edited. IPVS puts a new server before the others, so servers are added last first; those that stay keep their places,
// for moving one would cut off its connections.
func Diff(have, want []Entry, ours func(config.VirtualID) bool) []Step {
	var steps, removals []Step
	for _, w := range want {
		i := slices.IndexFunc(have, func(e Entry) bool { return e.Service.ID == w.Service.ID })
		if i < 0 {
			steps = append(steps, Step{Op: AddService, Service: w.Service})
			steps = append(steps, additions(w.Service, nil, w.Servers)...)
			continue
		}
		if have[i].Service != w.Service {
			steps = append(steps, Step{Op: EditService, Service: w.Service})
		}
		steps = append(steps, additions(w.Service, have[i].Servers, w.Servers)...)
		removals = append(removals, removed(w.Service, have[i].Servers, w.Servers)...)
	}
	for _, h := range have {
		wanted := slices.ContainsFunc(want, func(e Entry) bool { return e.Service.ID == h.Service.ID })
		if !wanted && ours(h.Service.ID) {
			removals = append(removals, Step{Op: RemoveService, Service: h.Service})
		}
	}
	return append(steps, removals...)
}

// additions returns the steps that add and edit servers of s.
func additions(s Service, have, want []Server) []Step {
	var steps []Step
	for _, w := range slices.Backward(want) {
		i := indexOf(have, w.Addr)
		switch {
		case i < 0:
			steps = append(steps, Step{AddServer, s, w})
		case have[i] != w:
			steps = append(steps, Step{EditServer, s, w})
		}
	}
	return steps
}

// removed returns the steps that remove the servers of s that are no longer wanted.
func removed(s Service, have, want []Server) []Step {
	var steps []Step
	for _, h := range have {
		if indexOf(want, h.Addr) < 0 {
			steps = append(steps, Step{RemoveServer, s, h})
		}
	}
	return steps
}

func indexOf(servers []Server, addr netip.AddrPort) int {
	return slices.IndexFunc(servers, func(s Server) bool { return s.Addr == addr })
}
