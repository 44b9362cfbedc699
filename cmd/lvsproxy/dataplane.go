package main

import (
	"errors"
	"log/slog"
	"os"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/choice"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/none"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/userspace"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// noDataplane as the dataplane means that nothing is carried, whatever the configuration says.
const noDataplane = "none"

// dataplanes are the values of --dataplane.
var dataplanes = []string{choice.Auto, "userspace", noDataplane}

// newDataplane returns what carries the services: each by what the configuration says, or else --dataplane. The kernel
// masquerades only where the real servers' answers come back through this machine, and shows them their clients'
// addresses; userspace does neither. So it is the default, and what is not the kernel's is a service's only because
// somebody has said so.
func (o options) newDataplane(log *slog.Logger, inherit func(config.VirtualID) []*os.File) service.Dataplane {
	if o.dataplane == noDataplane {
		return none.Dataplane{}
	}
	return choice.New(choice.Options{
		Default: o.dataplane,
		Logger:  log,
		Candidates: []choice.Candidate{
			absent("ebpf"),
			absent("ipvs"),
			{Name: "userspace", Dataplane: userspace.New(userspace.Options{
				ConnectTimeout: o.connectTimeout, MaxConns: o.maxConns, Loops: o.loops, Inherit: inherit, Logger: log,
			})},
		},
	})
}

// absent is a dataplane that this build does not have.
func absent(name string) choice.Candidate {
	return choice.Candidate{Name: name, Missing: func() error { return errors.New("not available in this build") }}
}
