// Package none is the dataplane that carries nothing: the director has its table, its checks and its admin socket, and
// connections go wherever they go. It accepts all that IPVS accepts. It is for trying out a configuration, or commands of
// lvsadm, without touching a VIP.
package none

import (
	"context"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// Dataplane implements [service.Dataplane].
type Dataplane struct{}

// sctp is IPVS's third protocol, which ldirectord does not have.
const sctp config.Protocol = "sctp"

// Abilities says yes to everything that a connection could depend on.
func (Dataplane) Abilities() config.Abilities {
	return config.Abilities{
		Dataplane:  "none",
		Protocols:  []config.Protocol{config.TCP, config.UDP, sctp, config.FWM},
		Forwards:   []config.Forward{config.Masq, config.Gate, config.IPIP},
		Thresholds: true, AnyPort: true, Persistence: true, SchedFlags: true, OnePacket: true, ProxyIn: true, ProxyOut: true,
		Dataplanes: []string{"auto", "userspace", "ebpf", "ipvs"},
		MaxConns:   true, Queue: true, ConnectTimeout: true, IdleTimeout: true, DrainTimeout: true,
	}
}

// Open does nothing.
func (Dataplane) Open(context.Context, *service.Service) error { return nil }

// Close does nothing.
func (Dataplane) Close(*service.Service) {}

// Shutdown does nothing.
func (Dataplane) Shutdown(context.Context) int { return 0 }
