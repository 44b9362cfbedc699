// Package table compares IPVS tables: what is in the kernel with what is to be there. It calls no kernel.
package table

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
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
	// Tunnel is what ipip goes through, its defaults ("ipip", "nocsum") as "". It is zero with other methods.
	Tunnel service.Tunnel
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

// names are the operations' in messages.
var names = [...]string{
	AddService: "adding a service", EditService: "editing a service", RemoveService: "removing a service",
	AddServer: "adding a real server", EditServer: "editing a real server", RemoveServer: "removing a real server",
}

// Step is one command to the kernel.
type Step struct {
	Op      Op
	Service Service
	Server  Server
}

// String says what a step does, for messages.
func (s Step) String() string {
	if s.Op < AddServer {
		return fmt.Sprintf("%s, %s", names[s.Op], s.Service.ID.Name())
	}
	return fmt.Sprintf("%s, %s of %s", names[s.Op], s.Server.Addr, s.Service.ID.Name())
}

// Diff returns the fewest steps that lead from have to want. Entries of have that are neither in want nor ours, somebody
// else's, are left alone; IPVS drops a removed service's servers with it. Nothing is removed before all that is to be
// added has been, so that no service is without servers in between, and a server of which only the weight differs is
// edited. IPVS puts a new server before the others, so servers are added last first; those that stay keep their places,
// for moving one would cut off its connections.
func Diff(have, want []Entry, ours func(config.VirtualID) bool) []Step {
	var steps, removals []Step
	had := make(map[config.VirtualID]Entry, len(have))
	for _, h := range have {
		had[h.Service.ID] = h
	}
	wanted := make(map[config.VirtualID]bool, len(want))
	for _, w := range want {
		wanted[w.Service.ID] = true
		h, there := had[w.Service.ID]
		switch {
		case !there:
			steps = append(steps, Step{Op: AddService, Service: w.Service})
		case h.Service != w.Service:
			steps = append(steps, Step{Op: EditService, Service: w.Service})
		}
		steps = append(steps, additions(w.Service, h.Servers, w.Servers)...)
		removals = append(removals, removed(w.Service, h.Servers, w.Servers)...)
	}
	for _, h := range have {
		if id := h.Service.ID; !wanted[id] && ours(id) {
			removals = append(removals, Step{Op: RemoveService, Service: h.Service})
		}
	}
	return append(steps, removals...)
}

// byAddr returns servers by what they are known by.
func byAddr(servers []Server) map[netip.AddrPort]Server {
	by := make(map[netip.AddrPort]Server, len(servers))
	for _, s := range servers {
		by[s.Addr] = s
	}
	return by
}

// additions returns the steps that add and edit servers of s.
func additions(s Service, have, want []Server) []Step {
	var steps []Step
	had := byAddr(have)
	for _, w := range slices.Backward(want) {
		h, there := had[w.Addr]
		switch {
		case !there:
			steps = append(steps, Step{AddServer, s, w})
		case h != w:
			steps = append(steps, Step{EditServer, s, w})
		}
	}
	return steps
}

// removed returns the steps that remove the servers of s that are no longer wanted.
func removed(s Service, have, want []Server) []Step {
	var steps []Step
	wanted := byAddr(want)
	for _, h := range have {
		if _, stays := wanted[h.Addr]; !stays {
			steps = append(steps, Step{RemoveServer, s, h})
		}
	}
	return steps
}
