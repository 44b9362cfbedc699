package ipvsadm

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Verb is what a command line asks for, by its long option.
type Verb string

// The verbs of ipvsadm.
const (
	AddService    Verb = "add-service"
	EditService   Verb = "edit-service"
	DeleteService Verb = "delete-service"
	Flush         Verb = "clear"
	List          Verb = "list"
	AddServer     Verb = "add-server"
	DeleteServer  Verb = "delete-server"
	EditServer    Verb = "edit-server"
	SetTimeouts   Verb = "set"
	StartDaemon   Verb = "start-daemon"
	StopDaemon    Verb = "stop-daemon"
	Restore       Verb = "restore"
	Save          Verb = "save"
	Zero          Verb = "zero"
)

// Command is a command line that was understood. The zero value of a part means that it was not given, or has no meaning
// for the Verb.
type Command struct {
	Verb    Verb    `json:"verb"`
	Service Service `json:"service,omitzero"`
	Server  Server  `json:"server,omitzero"`
	// Timeouts are those of --set.
	Timeouts Timeouts `json:"timeouts,omitzero"`
	// Daemon is the one of --start-daemon and --stop-daemon.
	Daemon Daemon `json:"daemon,omitzero"`
	// Show is how to list, for List and Save.
	Show Show `json:"show,omitzero"`
}

// Protocol of a virtual service. A firewall-mark service has none.
type Protocol string

// The protocols of ipvsadm.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

// Service is a virtual service: its identity, and for AddService and EditService all the rest.
type Service struct {
	Protocol Protocol       `json:"protocol,omitempty"`
	Addr     netip.AddrPort `json:"addr,omitzero"`
	// FWMark is the firewall mark of a service that has neither protocol nor address, else 0. IPv6 is the -6 that
	// goes with it.
	FWMark uint32 `json:"fwmark,omitempty"`
	IPv6   bool   `json:"ipv6,omitempty"`

	Scheduler string `json:"scheduler,omitempty"`
	// SchedFlags are those of -b as ipvsadm prints them: sorted, without doubles, separated by commas.
	SchedFlags string `json:"sched_flags,omitempty"`
	// Persistent is the time-out of -p in seconds; 0 means no persistence.
	Persistent int `json:"persistent,omitempty"`
	// Netmask is -M: for IPv4 a mask, such as 255.255.255.0, as a number; for IPv6 a length. ipvsadm has it without -p
	// too, where it is 255.255.255.255 or 128 unless given.
	Netmask uint32 `json:"netmask,omitempty"`
	// Engine is the persistence engine of --pe.
	Engine string `json:"pe,omitempty"`
	// OnePacket is --ops.
	OnePacket bool `json:"ops,omitempty"`
}

// HostMask is the IPv4 Netmask that tells all addresses apart.
const HostMask = 1<<32 - 1

// Is6 reports whether the service is one of IPv6.
func (s Service) Is6() bool { return s.IPv6 || s.Addr.Addr().Is6() }

// PrefixLen returns the Netmask as a number of leading bits, and false if it is none: ipvsadm takes masks with holes.
func (s Service) PrefixLen() (int, bool) {
	if s.Is6() {
		return int(s.Netmask), true
	}
	n := bits.LeadingZeros32(^s.Netmask)
	return n, bits.OnesCount32(s.Netmask) == n
}

// maskOf returns an IPv4 netmask as text.
func maskOf(mask uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], mask)
	return netip.AddrFrom4(b).String()
}

// Forward is a forwarding method.
type Forward string

// The forwarding methods, by ipvsadm's long options.
const (
	Gate Forward = "gatewaying"
	IPIP Forward = "ipip"
	Masq Forward = "masquerading"
)

// Server is a real server of a Service.
type Server struct {
	Addr    netip.AddrPort `json:"addr,omitzero"`
	Forward Forward        `json:"forward,omitempty"`
	Weight  int            `json:"weight"`
	// Upper and Lower are the thresholds of -x and -y; 0 means none.
	Upper int `json:"u_threshold,omitempty"`
	Lower int `json:"l_threshold,omitempty"`
	// Tunnel says how IPIP encapsulates.
	Tunnel Tunnel `json:"tunnel,omitzero"`
}

// Tunnel is how a server of method [IPIP] gets its packets. The zero value means plain IPIP.
type Tunnel struct {
	// Type is ipip, gue or gre; empty means ipip.
	Type string `json:"type,omitempty"`
	// Port is the destination port of gue.
	Port uint16 `json:"port,omitempty"`
	// Checksum is nocsum, csum or remcsum; empty means nocsum.
	Checksum string `json:"checksum,omitempty"`
}

// Timeouts of connections, in seconds. In --set, 0 leaves one as it is.
type Timeouts struct {
	TCP    int `json:"tcp"`
	TCPFin int `json:"tcpfin"`
	UDP    int `json:"udp"`
}

// Daemon is a connection synchronisation daemon.
type Daemon struct {
	// State is master or backup.
	State     string     `json:"state"`
	Interface string     `json:"mcast_interface,omitempty"`
	SyncID    int        `json:"syncid"`
	MaxLen    int        `json:"sync_maxlen,omitempty"`
	Group     netip.Addr `json:"mcast_group,omitzero"`
	Port      int        `json:"mcast_port,omitempty"`
	TTL       int        `json:"mcast_ttl,omitempty"`
}

// Show is what and how List and Save print. Several of the fields may be set: ipvsadm lets one win.
type Show struct {
	Numeric         bool `json:"numeric,omitempty"`
	Connections     bool `json:"connection,omitempty"`
	Service         bool `json:"service,omitempty"` // only the Command's Service
	Timeouts        bool `json:"timeout,omitempty"`
	Daemon          bool `json:"daemon,omitempty"`
	Stats           bool `json:"stats,omitempty"`
	Rate            bool `json:"rate,omitempty"`
	Thresholds      bool `json:"thresholds,omitempty"`
	PersistentConns bool `json:"persistent_conn,omitempty"`
	NoSort          bool `json:"nosort,omitempty"`
	Exact           bool `json:"exact,omitempty"`
	TunnelInfo      bool `json:"tun_info,omitempty"`
}

// Modifies reports whether the command changes something: the table, its counters, the time-outs or the daemons.
func (c Command) Modifies() bool {
	switch c.Verb {
	case List, Save, Restore:
		return false
	}
	return true
}
