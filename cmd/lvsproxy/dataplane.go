package main

import (
	"log/slog"
	"os"
	"strings"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/choice"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ebpf"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/ipvs"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/none"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// noDataplane as the dataplane means that nothing is carried, whatever the configuration says.
const noDataplane = "none"

// dataplanes are the values of --dataplane.
var dataplanes = []string{choice.Auto, "ebpf", "ipvs", "userspace", noDataplane}

// newDataplane returns what carries the services: each by what the configuration says, or else --dataplane. The kernel
// masquerades only where the real servers' answers come back through this machine, and shows them their clients'
// addresses; userspace does neither. So it is the default, and what is not the kernel's is a service's only because
// somebody has said so.
func (o options) newDataplane(log *slog.Logger, inherit func(config.VirtualID) []*os.File) service.Dataplane {
	if o.dataplane == noDataplane {
		return none.Dataplane{}
	}
	programs, module := ebpf.New(o.ebpf(log)), ipvs.New(ipvs.Options{Logger: log})
	return choice.New(choice.Options{
		Default: o.dataplane,
		Logger:  log,
		Candidates: []choice.Candidate{
			{Name: "ebpf", Dataplane: programs, Missing: programs.Missing, Kernel: true},
			{Name: "ipvs", Dataplane: module, Missing: module.Missing, Kernel: true},
			{Name: "userspace", Dataplane: userspace.New(userspace.Options{
				ConnectTimeout: o.connectTimeout, MaxConns: o.maxConns, Loops: o.loops, Inherit: inherit, Logger: log,
			})},
		},
	})
}

// ebpf returns the options of the ebpf dataplane.
func (o options) ebpf(log *slog.Logger) ebpf.Options {
	options := ebpf.Options{Pin: o.bpfPin, MaxConns: o.bpfMaxConns, MaxServers: o.bpfMaxServers, SloppyTCP: o.sloppyTCP, XDP: ebpf.XDP(o.xdp), Logger: log}
	options.TunnelSources, _ = prefixes(o.tunnelSources) // they were validated
	if o.interfaces != "" {
		options.Interfaces = strings.Split(o.interfaces, ",")
	}
	return options
}
