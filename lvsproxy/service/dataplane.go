package service

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Dataplane carries the connections of virtual services to the real servers that they pick.
type Dataplane interface {
	// Abilities returns what the dataplane can do. It fills in what is the dataplane's: name, protocols, forwarding
	// methods, Local and Thresholds. [AbilitiesOf] adds to them.
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

// Conn is a connection, or what persistence remembers of a client, as "ipvsadm -L -c" lists it.
type Conn struct {
	Protocol config.Protocol `json:"protocol"`
	// State is IPVS's word for the state, such as ESTABLISHED or FIN_WAIT.
	State string `json:"state"`
	// Expires is how long it lasts if nothing more moves; 0 means without an end.
	Expires time.Duration `json:"expires"`
	// Client, Virtual and Server are the two ends and what lies between. A template of persistence has port 0 in
	// Client.
	Client  netip.AddrPort `json:"client"`
	Virtual netip.AddrPort `json:"virtual"`
	Server  netip.AddrPort `json:"server"`
}

// Conns is what a [Dataplane] may be able to do besides: say which connections it has.
type Conns interface {
	// Conns calls yield for each connection of a service, until yield returns false.
	Conns(s *Service, yield func(Conn) bool)
}

// Ender is what a [Dataplane] may be able to do besides: end what goes on to a server that has drained for long enough.
type Ender interface {
	// End cuts off the connections of a service to a server and returns how many there were.
	End(s *Service, server *Server) int
}

// Counter is what a [Dataplane] must be able to do besides if it counts by itself: Count calls [Service.SetCounts] for each
// server of a service. It is called every [EstimateInterval], and before the service is shown. It must not call the
// director.
type Counter interface {
	Count(s *Service)
}

// Chooser is what a [Dataplane] that consists of several may be able to do besides: say which of them carries a service.
type Chooser interface {
	// Choose says which dataplane is to carry a service that is as v says. It opens nothing.
	Choose(v config.Virtual) Choice
	// Carrier says which dataplane carries an open service, and is the zero Choice if none does.
	Carrier(s *Service) Choice
}

// Choice is one of a Chooser's dataplanes, and Why it is that one, in words for an operator.
type Choice struct {
	Dataplane Dataplane
	Name      string
	Why       string
	// Instead is what to say where it turns out that the dataplane cannot carry the service; it may be empty.
	Instead string
}

// Leaver is what a [Dataplane] may be able to do besides if its services live in the kernel: Leave has Shutdown leave
// them as they are, because another process carries them on.
type Leaver interface {
	Leave()
}

// SyncDaemon is one of IPVS's connection synchronisation daemons, see "ipvsadm --start-daemon". What is 0 of a daemon
// that is to be started has the kernel's default.
type SyncDaemon struct {
	State     string     `json:"state"` // master or backup
	Interface string     `json:"interface"`
	SyncID    int        `json:"sync_id"`
	MaxLen    int        `json:"max_len,omitempty"`
	Group     netip.Addr `json:"group,omitzero"`
	Port      int        `json:"port,omitempty"`
	TTL       int        `json:"ttl,omitempty"`
}

// Syncer is what a [Dataplane] may be able to do besides: synchronise connections with another director.
type Syncer interface {
	StartSync(d SyncDaemon) error
	// StopSync stops the daemon of a state.
	StopSync(state string) error
	SyncDaemons() ([]SyncDaemon, error)
}

// Dropper is what a [Dataplane] may be able to do besides: say how many packets it has dropped, by reason, since it began.
// The reasons are few, and the same at each call.
type Dropper interface {
	Drops() map[string]uint64
}

// AbilitiesOf returns what a dataplane can do, also by what it is besides.
func AbilitiesOf(d Dataplane) config.Abilities {
	a := d.Abilities()
	_, a.DrainTimeout = d.(Ender)
	return a
}

// Timeouts are how long connections last on which nothing moves, by state, as "ipvsadm --set" takes them.
type Timeouts struct {
	TCP    time.Duration `json:"tcp"`
	TCPFin time.Duration `json:"tcp_fin"`
	UDP    time.Duration `json:"udp"`
}

// DefaultTimeouts are the kernel's.
var DefaultTimeouts = Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}

// Or returns t with what is 0 in it taken from o.
func (t Timeouts) Or(o Timeouts) Timeouts {
	return Timeouts{cmp.Or(t.TCP, o.TCP), cmp.Or(t.TCPFin, o.TCPFin), cmp.Or(t.UDP, o.UDP)}
}

// TimeoutSetter is what a [Dataplane] may be able to do besides: obey time-outs. One that cannot has none.
type TimeoutSetter interface {
	SetTimeouts(t Timeouts) error
}

// TimeoutGetter is what a [TimeoutSetter] may be able to do besides: say which time-outs are in force, where others can
// set them too. ok is false if it has none.
type TimeoutGetter interface {
	Timeouts() (t Timeouts, ok bool)
}
