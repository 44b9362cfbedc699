package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Spec is what an ldirectord.cf says. It holds no trace of where in the file it was said, so that two Specs are equal if
// and only if they mean the same.
type Spec struct {
	// AutoReload asks to read the file again whenever it changes.
	AutoReload bool
	// CheckInterval is the pause between two checks of a real server, and between two looks at the file.
	CheckInterval time.Duration
	// Callback is a program that is run with the file's path when the file was loaded again because it had changed.
	Callback string
	// Execute are further configuration files, each of which gets a director of its own.
	Execute []string
	// CleanStop empties the table when the director ends.
	CleanStop bool
	// MaintenanceDir holds a file for each real server that is to be quiescent or out, whatever its checks say.
	MaintenanceDir string
	// LogFile is where the log goes besides standard error; empty, a path, or a syslog facility.
	LogFile string
	// Virtuals are the virtual services in the order of the file.
	Virtuals []Virtual
}

// Equal reports whether both mean the same.
func (s Spec) Equal(o Spec) bool {
	return s.AutoReload == o.AutoReload && s.CheckInterval == o.CheckInterval && s.Callback == o.Callback &&
		s.CleanStop == o.CleanStop && s.MaintenanceDir == o.MaintenanceDir && s.LogFile == o.LogFile &&
		slices.Equal(s.Execute, o.Execute) && slices.EqualFunc(s.Virtuals, o.Virtuals, Virtual.Equal)
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
	// FallbackCommand is a program that is run when no real server is left, and when one is back.
	FallbackCommand string
	// Persistence sends a client that comes back to the server that it had. The zero value means none.
	Persistence Persistence
	// SchedFlags are the scheduler's flags as ipvsadm's -b takes them, sorted and joined by commas, such as
	// "sh-fallback,sh-port".
	SchedFlags string
	// OnePacket schedules each datagram of a UDP service for itself.
	OnePacket bool
	// CleanStop removes the service from the table when the director ends.
	CleanStop bool
	// Alert says whom to tell of changes.
	Alert Alert
	// MonitorFile is a file to which the state of the service's servers is appended.
	MonitorFile string
	// Own are the directives that ldirectord does not have.
	Own Own
	// ServiceName and Comment are for people.
	ServiceName, Comment string
	// Reals are the real servers in the order of the file, no two with the same Addr.
	Reals []Real
}

// Equal reports whether both mean the same.
func (v Virtual) Equal(o Virtual) bool {
	reals, others := v.Reals, o.Reals
	v.Reals, o.Reals = nil, nil
	return reflect.DeepEqual(v, o) && slices.Equal(reals, others)
}

// Persistence is how long and for whom a client goes to the same server.
type Persistence struct {
	// Timeout is how long after a client's last connection ended it is remembered, in whole seconds; 0 means no
	// persistence.
	Timeout time.Duration
	// Netmask is how many leading bits of a client's address count: 0 to 32 for IPv4, 1 to 128 for IPv6.
	Netmask int
}

// Alert says whom to tell when a server's state changes.
type Alert struct {
	// To are the addresses of emailalert, joined by commas; empty means no mail.
	To string
	// From is the sender; empty means the mail system's default.
	From string
	// SMTP is the host to deliver mail to; empty means the local sendmail.
	SMTP string
	// Every is the pause after which a server that is still down is told of again; 0 means never.
	Every time.Duration
	// Statuses are those of emailalertstatus, sorted and joined by commas.
	Statuses string
	// Webhook is an address that gets each change as JSON by POST; empty means none.
	Webhook string
}

// Own holds what ldirectord has no directives for. Its zero value is what ldirectord does.
type Own struct {
	// Dataplane carries the service: auto, userspace, ebpf or ipvs; empty leaves it to the command line.
	Dataplane string
	// SlowStart is the time in which the weight of a server that has come up grows to its full value; 0 means at once.
	SlowStart time.Duration
	// MaxConns bounds the service's connections; further ones wait in its queue. 0 means no bound of its own.
	MaxConns int
	// Queue bounds how many connections wait for a server below its threshold, and QueueTimeout for how long; a
	// connection beyond either is refused. 0 means that none waits.
	Queue        int
	QueueTimeout time.Duration
	// ProxyIn tells that clients begin with a PROXY protocol header (v1 or v2), and ProxyOut is the version, 1 or 2, of
	// the one that real servers get; 0 means none.
	ProxyIn  bool
	ProxyOut int
	// ConnectTimeout bounds one attempt to reach a real server; 0 leaves it to the command line. IdleTimeout ends a
	// connection on which nothing moved for that long; 0 means never for TCP and five minutes for UDP.
	ConnectTimeout, IdleTimeout time.Duration
	// DrainTimeout is how long the connections of a server that was removed, or is quiescent, may go on; 0 means for
	// ever.
	DrainTimeout time.Duration
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

// Target is what ldirectord calls the service: its address and port, or its firewall mark.
func (id VirtualID) Target() string {
	if id.Protocol == FWM {
		return strconv.FormatUint(uint64(id.FWMark), 10)
	}
	return id.Addr.String()
}

// Name is the service's identity as text: its protocol and address, or its firewall mark and, for IPv6, that.
func (id VirtualID) Name() string {
	switch {
	case id.Protocol != FWM:
		return fmt.Sprintf("%s %s", id.Protocol, id.Addr)
	case id.IPv6:
		return fmt.Sprintf("fwm6 %d", id.FWMark)
	}
	return fmt.Sprintf("fwm %d", id.FWMark)
}

// HostOf writes an address as ldirectord does, IPv6 in brackets.
func HostOf(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
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
	// CheckPort is the port that checks of this server go to unless [Check].Port says otherwise, where that is not the
	// port of Addr, else 0. ldirectord checks the port that the line names, and else that of the service it checks, even
	// where IPVS sends connections to the virtual service's.
	CheckPort uint16
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
	// FailureCount is how many checks in a row must fail before the server counts as failed, and RiseCount how many must
	// succeed before it is back; each at least 1, or 0 for RiseCount to leave it to the command line.
	FailureCount, RiseCount int
	// Count is how many packets a ping check sends at most.
	Count int
	// Command is the program of an external check.
	Command string
	// Login, Passwd, Database and Secret are what negotiate checks of some services authenticate with and ask.
	Login, Passwd, Database, Secret string
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
	DefaultCheckCount       = 1
	DefaultCheckCommand     = "/bin/true"
	DefaultScheduler        = "wrr"
)
