package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Spec is one check's identity and everything that its outcome depends on. It is written out without its secrets.
type Spec struct {
	Type  config.CheckType
	Every int // connect checks between two negotiate checks, for config.CheckCombined
	// Service is what a negotiate check speaks, one of [Services].
	Service string
	// Target is connected to, unless URL names another host. UDP tells that the virtual service is one of datagrams.
	Target netip.AddrPort
	UDP    bool
	// URL, Method and VirtualHost describe an HTTP check.
	URL, Method, VirtualHost string
	// Request and Receive are what other services are asked, and what the answer must match.
	Request, Receive string
	// Login, Passwd, Database and Secret are what services that know them are given.
	Login, Passwd, Database, Secret string
	// Count is how many packets a ping check sends at most.
	Count int
	// Command and Args are the program of an external check and what it is told.
	Command string
	Args    [4]string
	// Interval is the longest pause between two checks; the real one is up to a tenth shorter, so that checks spread.
	Interval time.Duration
	// ConnectTimeout bounds a connect or external check, and each packet of a ping check; NegotiateTimeout a negotiate
	// check as a whole.
	ConnectTimeout, NegotiateTimeout time.Duration
	// FailureCount and RiseCount are how many failures take a server out, and how many successes put it back, in a
	// row; both at least 1. The very first result counts at once.
	FailureCount, RiseCount int
}

// String says what is checked and how.
func (s Spec) String() string {
	how := string(s.Type)
	if s.Service != "" {
		how += " (" + s.Service + ")"
	}
	return how + " check of " + s.Target.String()
}

// GoString is String: a Spec printed for debugging must not show its secrets either.
func (s Spec) GoString() string { return s.String() }

// Types are the check types that this package can run: all of ldirectord's.
func Types() []config.CheckType {
	return []config.CheckType{
		config.CheckNegotiate, config.CheckConnect, config.CheckCombined, config.CheckPing,
		config.CheckExternal, config.CheckExternalPerl, config.CheckOn, config.CheckOff,
	}
}

// ForReal returns the check of a real server of a virtual service. What an outcome does not depend on is left zero, so
// that as many checks as possible are one. riseCount counts where the service has none of its own.
func ForReal(v config.Virtual, r config.Real, riseCount int) Spec {
	c := v.Check
	s := Spec{Type: c.Type, Target: target(c, r), Interval: c.Interval, FailureCount: max(c.FailureCount, 1), RiseCount: max(riseCount, 1)}
	if c.RiseCount > 0 {
		s.RiseCount = c.RiseCount
	}
	udp := v.ID.Protocol == config.UDP
	switch c.Type {
	case config.CheckOn, config.CheckOff:
		return s
	case config.CheckPing:
		return s.asPing(c)
	case config.CheckConnect:
		if udp {
			return s.asPing(c)
		}
		s.ConnectTimeout = c.ConnectTimeout
		return s
	case config.CheckExternal, config.CheckExternalPerl:
		s.Command, s.ConnectTimeout, s.Args = c.Command, c.ConnectTimeout, externalArgs(v, r)
		return s
	case config.CheckCombined:
		s.Every, s.ConnectTimeout = c.Every, c.ConnectTimeout
		if udp {
			s.Count = c.Count
		}
	}
	s.Service, s.NegotiateTimeout, s.UDP = c.Service, c.NegotiateTimeout, udp
	s.negotiate(c, r)
	return s
}

// target is where a check goes: to checkport, or else the port that the real server is checked at.
func target(c config.Check, r config.Real) netip.AddrPort {
	return netip.AddrPortFrom(r.Addr.Addr(), cmp.Or(c.Port, r.CheckPort, r.Addr.Port()))
}

func (s Spec) asPing(c config.Check) Spec {
	s.Type, s.Count, s.ConnectTimeout = config.CheckPing, c.Count, c.ConnectTimeout
	s.Target = netip.AddrPortFrom(s.Target.Addr(), 0)
	return s
}

// externalArgs are the arguments that ldirectord gives: the VIP or firewall mark, the virtual port, the RIP and its port.
// It writes IPv6 addresses in brackets.
func externalArgs(v config.Virtual, r config.Real) [4]string {
	vip, port := config.HostOf(v.ID.Addr.Addr()), v.ID.Addr.Port()
	if v.ID.Protocol == config.FWM {
		vip, port = strconv.FormatUint(uint64(v.ID.FWMark), 10), 0
	}
	return [4]string{vip, strconv.Itoa(int(port)), config.HostOf(r.Addr.Addr()), strconv.Itoa(int(r.Addr.Port()))}
}

// negotiate fills in what a service's negotiate check depends on, with ldirectord's defaults.
func (s *Spec) negotiate(c config.Check, r config.Real) {
	switch s.Service {
	case "http", "https", "http_proxy":
		s.askHTTP(c, r)
	case "ftp":
		s.Request, s.Receive = r.Request, r.Receive
		s.Login, s.Passwd = cmp.Or(c.Login, "anonymous"), cmp.Or(c.Passwd, ourselves())
	case "pop", "pops", "imap", "imaps":
		s.Login, s.Passwd = c.Login, c.Passwd
	case "ldap", "ldaps":
		s.Request, s.Receive, s.Login, s.Passwd = r.Request, r.Receive, c.Login, c.Passwd
		s.NegotiateTimeout = min(c.NegotiateTimeout, c.ConnectTimeout)
	case "radius":
		s.Login, s.Passwd, s.Secret, s.UDP = c.Login, c.Passwd, c.Secret, true
		s.NegotiateTimeout = min(c.NegotiateTimeout, c.ConnectTimeout)
	case "mysql", "pgsql":
		s.Request, s.Login, s.Passwd, s.Database = r.Request, c.Login, c.Passwd, c.Database
	case "dns", "simpletcp":
		s.Request, s.Receive = r.Request, r.Receive
	case "sip":
		s.Login = cmp.Or(c.Login, ourselves())
	}
}

func (s *Spec) askHTTP(c config.Check, r config.Real) {
	s.Method, s.VirtualHost, s.Receive = c.Method, c.VirtualHost, r.Receive
	s.URL = r.Request
	if path := strings.TrimLeft(r.Request, "/"); s.Service == "http_proxy" && strings.HasPrefix(path, "http://") {
		s.URL, s.VirtualHost = path, "" // the Host header is that of the URL
		return
	}
	if s.VirtualHost == "" { // ldirectord sends the address, and never a port
		s.VirtualHost = config.HostOf(r.Addr.Addr())
	}
	if r.Request == "" || r.Request[0] == '/' {
		s.URL = fmt.Sprintf("%s://%s%s", strings.TrimSuffix(s.Service, "_proxy"), s.Target, r.Request)
	}
}

// ourselves is how ldirectord names itself where a service wants an address: it takes the host's name from the
// environment first.
func ourselves() string {
	host := os.Getenv("HOSTNAME")
	if host == "" {
		host, _ = os.Hostname()
	}
	return "ldirectord@" + cmp.Or(host, "localhost")
}
