package config

import (
	"net/netip"
	"slices"
	"time"
)

// Spec is what an ldirectord.cf says. It holds no trace of where in the file it was said, so that two Specs are equal if
// and only if they mean the same.
type Spec struct {
	// AutoReload asks to read the file again whenever it changes.
	AutoReload bool
	// CheckInterval is the pause between two checks of a real server, and between two looks at the file.
	CheckInterval time.Duration
	// Virtuals are the virtual services in the order of the file.
	Virtuals []Virtual
}

// Equal reports whether both mean the same.
func (s Spec) Equal(o Spec) bool {
	return s.AutoReload == o.AutoReload && s.CheckInterval == o.CheckInterval &&
		slices.EqualFunc(s.Virtuals, o.Virtuals, Virtual.Equal)
}

// Virtual is one virtual service.
type Virtual struct {
	// ID is what the service is known by.
	ID VirtualID
	// Scheduler is the name of the scheduler, in lower case.
	Scheduler string
	// Quiescent keeps a failed real server in the table with weight 0 instead of removing it.
	Quiescent bool
	// Check says how real servers are checked.
	Check Check
	// Fallback stands in while no real server is alive. The zero value means none.
	Fallback Fallback
	// ServiceName and Comment are for people.
	ServiceName, Comment string
	// Reals are the real servers in the order of the file, no two with the same Addr.
	Reals []Real
}

// Equal reports whether both mean the same.
func (v Virtual) Equal(o Virtual) bool {
	reals, others := v.Reals, o.Reals
	return v.ID == o.ID && v.Scheduler == o.Scheduler && v.Quiescent == o.Quiescent && v.Check == o.Check &&
		v.Fallback == o.Fallback && v.ServiceName == o.ServiceName && v.Comment == o.Comment && slices.Equal(reals, others)
}

// VirtualID is a virtual service's identity: no two services of a Spec share it.
type VirtualID struct {
	Protocol Protocol
	// Addr is the VIP and port of a TCP or UDP service.
	Addr netip.AddrPort
	// FWMark is the mark of a firewall-mark service, else 0.
	FWMark uint32
	// IPv6 tells a firewall-mark service declared by virtual6.
	IPv6 bool
}

// Protocol is what a virtual service balances.
type Protocol string

// The protocols of ldirectord.
const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
	FWM Protocol = "fwm"
)

// Forward is a forwarding method.
type Forward string

// The forwarding methods of ldirectord.
const (
	Masq Forward = "masq" // NAT
	Gate Forward = "gate" // direct routing
	IPIP Forward = "ipip" // tunnel
)

// Real is one real server of a virtual service.
type Real struct {
	// Addr is the RIP and port. With gate and ipip the port is the virtual service's, because IPVS cannot change it.
	Addr    netip.AddrPort
	Forward Forward
	// Weight is at least 0; a server of weight 0 gets no new connection.
	Weight int
	// Request and Receive are what the negotiate check of this server sends and expects: its own, or the virtual
	// service's. Request is a path with a leading slash, or an absolute URL.
	Request, Receive string
	// Lower and Upper are IPVS's connection thresholds; 0 means none.
	Lower, Upper int
}

// Fallback is the server that stands in while no real server is alive.
type Fallback struct {
	Addr    netip.AddrPort
	Forward Forward
}

// IsZero reports whether there is no fallback.
func (f Fallback) IsZero() bool { return f == Fallback{} }

// Check says how the real servers of a virtual service are checked.
type Check struct {
	Type CheckType
	// Every is, for [CheckCombined], how many connect checks come between two negotiate checks.
	Every int
	// Service is what the negotiate check speaks, such as "http"; "none" means that it always succeeds.
	Service string
	// Port to check; 0 means the real server's.
	Port uint16
	// Method is the HTTP method, GET or HEAD.
	Method string
	// VirtualHost is the Host header of an HTTP check; empty means the real server's address.
	VirtualHost string
	// Interval is the pause between two checks.
	Interval time.Duration
	// ConnectTimeout bounds a connect check, NegotiateTimeout a negotiate check as a whole.
	ConnectTimeout, NegotiateTimeout time.Duration
	// FailureCount is how many checks in a row must fail before the server counts as failed, at least 1.
	FailureCount int
}

// CheckType is ldirectord's checktype.
type CheckType string

// The check types of ldirectord. A number N as checktype is CheckCombined with [Check].Every = N.
const (
	CheckNegotiate    CheckType = "negotiate"
	CheckConnect      CheckType = "connect"
	CheckCombined     CheckType = "combined"
	CheckPing         CheckType = "ping"
	CheckExternal     CheckType = "external"
	CheckExternalPerl CheckType = "external-perl"
	CheckOn           CheckType = "on"
	CheckOff          CheckType = "off"
)

// Defaults of ldirectord 4.12, from set_defaults and ld_setup of its source. Its manual page gives "yes" for quiescent;
// its code says no, and so do we.
const (
	DefaultCheckInterval    = 10 * time.Second
	DefaultCheckTimeout     = 5 * time.Second
	DefaultNegotiateTimeout = 30 * time.Second
	DefaultFailureCount     = 1
	DefaultScheduler        = "wrr"
)
