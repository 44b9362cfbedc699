package config

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// ldirectord ignores what follows. It also takes "10.0.0.1", without a port, for firewall mark 10; we do not.
var (
	hostPort  = regexp.MustCompile(`^([0-9A-Za-z._+-]+):([0-9A-Za-z_-]+)(.*)$`)
	host6Port = regexp.MustCompile(`^\[([0-9A-Fa-f:.]+)\]:([0-9A-Za-z_-]+)(.*)$`)
	fwMark    = regexp.MustCompile(`^([0-9]+)(\s.*)?$`)
)

// beginSection opens a virtual section. ldirectord's defaults for it are in read_config.
func (p *parser) beginSection(value string, ipv6 bool) {
	s := &section{line: p.line, ipv6: ipv6, request: "/", lines: map[string]int{}}
	s.virtual = Virtual{Scheduler: DefaultScheduler, Check: Check{Type: CheckNegotiate, Method: "GET", Command: DefaultCheckCommand}}
	p.section = s
	rest := ""
	switch {
	case !ipv6 && host6Port.MatchString(value):
		p.errorf("%q is an IPv6 address: expected virtual6 instead of virtual", value)
		s.broken = true
	case ipv6 && host6Port.MatchString(value):
		m := host6Port.FindStringSubmatch(value)
		s.host, s.port, rest = m[1], m[2], m[3]
	case hostPort.MatchString(value):
		m := hostPort.FindStringSubmatch(value)
		s.host, s.port, rest = m[1], m[2], m[3]
	case fwMark.MatchString(value):
		p.beginFWMark(value)
		return
	default:
		p.errorf("%q is no virtual service: expected ADDRESS:PORT or a firewall mark", value)
		s.broken = true
	}
	p.dropped("virtual service", value, strings.TrimSuffix(value, rest))
	s.virtual.ID.Protocol = TCP
	if s.port == "53" || s.port == "domain" {
		s.virtual.ID.Protocol = UDP
	}
}

func (p *parser) beginFWMark(value string) {
	s := p.section
	text := digits.FindString(value)
	p.dropped("virtual service", value, text)
	mark, err := strconv.ParseUint(text, 10, 32)
	if err != nil || mark == 0 {
		p.errorf("%q is no firewall mark: expected a number from 1 to %d", value, uint32(1<<32-1))
		s.broken = true
	}
	s.service = "none"
	s.virtual.ID = VirtualID{Protocol: FWM, FWMark: uint32(mark), IPv6: s.ipv6}
}

// endSection closes the open virtual section, if there is one.
func (p *parser) endSection() {
	if s := p.section; s != nil && !s.broken {
		p.sections = append(p.sections, s)
	}
	p.section = nil
}

// finish makes the Spec. It comes after the last line, because global directives count wherever they stand.
func (p *parser) finish() {
	p.endSection()
	p.spec.CheckInterval, p.spec.CleanStop = DefaultCheckInterval, true
	if g := p.global.checkInterval; g.line != 0 {
		p.spec.CheckInterval = g.value
		p.places[place{-1, -1, "checkinterval"}] = g.line
	}
	if g := p.global.cleanStop; g.line != 0 {
		p.spec.CleanStop = g.value
		p.places[place{-1, -1, "cleanstop"}] = g.line
	}
	for _, s := range p.sections {
		p.finishSection(s)
	}
	if g := p.global.checkCount; g.line != 0 && !p.pings {
		p.warnAt(g.line, "%s", onlyPings)
	}
	p.warnings.sort()
}

func (p *parser) finishSection(s *section) {
	v := &s.virtual
	if v.ID.Protocol != FWM && !p.resolveVirtual(s) {
		return
	}
	if first, ok := p.seen[v.ID]; ok {
		p.errorAt(s.line, "duplicate virtual service: the first is at line %d", first)
		return
	}
	p.seen[v.ID] = s.line

	v.Check.Service = s.service
	if s.service == "" {
		v.Check.Service = serviceOfPort(v.ID.Addr.Port())
	}
	index := len(p.spec.Virtuals)
	p.places[place{index, -1, "virtual"}] = s.line
	for name, line := range s.lines {
		p.places[place{index, -1, name}] = line
	}
	p.applySettings(s)
	p.finishTable(s)
	p.resolveReals(s)
	p.resolveFallback(s)
	if v.Check.Method == "HEAD" && s.receive != "" {
		p.warnAt(s.lines["httpmethod"], "an answer to HEAD has no body for receive to match: expected GET, or no receive")
	}
	p.spec.Virtuals = append(p.spec.Virtuals, *v)
}

// finishTable completes what only the table of virtual services has to do with: persistence, flags, one-packet
// scheduling.
func (p *parser) finishTable(s *section) {
	v := &s.virtual
	switch netmask := s.netmask; {
	case v.Persistence.Timeout == 0 && netmask.line != 0:
		p.warnAt(netmask.line, "netmask counts only together with persistent")
	case v.Persistence.Timeout == 0:
	case netmask.line != 0:
		v.Persistence.Netmask = netmask.value
	case s.ipv6:
		v.Persistence.Netmask = 128
	default:
		v.Persistence.Netmask = 32
	}
	if v.ID.Protocol != FWM && v.ID.Addr.Port() == 0 && v.Persistence.Timeout == 0 {
		p.errorAt(s.line, "virtual service of port 0, which means every port: expected persistent=SECONDS in it, or a port from 1 to 65535")
	}
	if v.OnePacket = s.onePacket.value && v.ID.Protocol == UDP; s.onePacket.value && !v.OnePacket {
		p.warnAt(s.onePacket.line, "ops counts only with protocol=udp")
	}
	flags, err := SchedFlags(v.Scheduler, s.schedFlags)
	if err != nil {
		p.errorAt(s.lines["schedflags"], "schedflags: %v", err)
	}
	v.SchedFlags = flags
}

func (p *parser) resolveVirtual(s *section) bool {
	addr, err := p.addr(s.host, s.ipv6)
	if err != nil {
		p.errorAt(s.line, "virtual service: %v", err)
		return false
	}
	port, err := uint16(0), error(nil)
	if s.port != "0" {
		port, err = p.port(s.port, s.virtual.ID.Protocol)
	}
	if err != nil {
		p.errorAt(s.line, "virtual service: %v", err)
		return false
	}
	s.virtual.ID.Addr = netip.AddrPortFrom(addr, port)
	return true
}

// addr reads an address or resolves a host name.
func (p *parser) addr(host string, ipv6 bool) (netip.Addr, error) {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		if a.Zone() != "" || a.Unmap().Is6() != ipv6 {
			return netip.Addr{}, familyError(host, ipv6)
		}
		return a.Unmap(), nil
	}
	if looksNumeric(host) {
		return netip.Addr{}, familyError(host, ipv6)
	}
	a, err := p.resolver.Addr(host, ipv6)
	if err != nil {
		return netip.Addr{}, &badName{host, "a host name that resolves or an address", err}
	}
	return a, nil
}

// port reads a port or looks up a service name.
func (p *parser) port(text string, proto Protocol) (uint16, error) {
	if digits.FindString(text) == text {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return 0, &badName{text, "a port from 1 to 65535", nil}
		}
		return uint16(n), nil
	}
	if proto == FWM {
		proto = TCP
	}
	n, err := p.resolver.Port(text, proto)
	if err != nil {
		return 0, &badName{text, "a port or a service name of /etc/services", err}
	}
	return n, nil
}

// looksNumeric tells what cannot be a host name, so that a mistyped address is not looked up.
func looksNumeric(host string) bool {
	return strings.Contains(host, ":") || strings.Trim(host, "0123456789.") == ""
}

func familyError(host string, ipv6 bool) error {
	if ipv6 {
		return &badName{host, "an IPv6 address", nil}
	}
	return &badName{host, "an IPv4 address", nil}
}

// badName is a host or a port that means nothing.
type badName struct {
	name, expected string
	cause          error
}

func (e *badName) Error() string {
	s := strconv.Quote(e.name) + ": expected " + e.expected
	if e.cause != nil {
		s += " (" + e.cause.Error() + ")"
	}
	return s
}

func (e *badName) Unwrap() error { return e.cause }

// ServiceOf returns what the negotiate check of a virtual service speaks where the file does not say: what its port
// implies, else none.
func ServiceOf(id VirtualID) string {
	if id.Protocol == FWM {
		return "none"
	}
	return serviceOfPort(id.Addr.Port())
}
