package service

import (
	"context"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Dataplane carries the connections of virtual services to the real servers that they pick.
type Dataplane interface {
	// Abilities returns what the dataplane can do. It fills in what is the dataplane's: name, protocols, forwarding
	// methods, Local and Thresholds.
	Abilities() config.Abilities
	// Open begins to take connections for a service. An error means that nothing was begun, for example because the
	// VIP is not an address of this machine.
	Open(ctx context.Context, s *Service) error
	// Close takes no further connections for a service; those it has go on.
	Close(s *Service)
	// Shutdown closes all services, waits until their connections have ended, and ends those that are left when ctx
	// does. It returns how many those were.
	Shutdown(ctx context.Context) (ended int)
}
