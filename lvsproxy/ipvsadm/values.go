package ipvsadm

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// number reads a decimal number between low and high, or returns the message as the error.
func number(s string, low, high int, to *int, message string) *Exit {
	n, ok := strtol(s)
	if !ok || n < int64(low) || n > int64(high) {
		return fail("%s", message)
	}
	*to = int(n)
	return nil
}

// strtol reads all of s as C's strtol with base 10 does: with white space in front and a sign. It is false for what is no
// number, or too large.
func strtol(s string) (int64, bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if strings.Contains(s, "_") {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// maxTimeout is 31 days in seconds, and defaultPersistence the kernel's time-out of persistence.
const (
	maxTimeout         = 86400 * 31
	defaultPersistence = 360
)

func timeout(s string, low int, to *int) *Exit {
	if number(s, low, maxTimeout, to, "") != nil {
		return fail("invalid timeout value `%s' specified", s)
	}
	return nil
}

func (p *parser) persistent(arg *string) *Exit {
	if arg == nil {
		p.cmd.Service.Persistent = defaultPersistence
		return nil
	}
	return timeout(*arg, 1, &p.cmd.Service.Persistent)
}

func (p *parser) mask(value string) *Exit {
	if p.family != ipv6 {
		a, ok := p.ipv4(value)
		if !ok {
			return fail("illegal virtual server persistent mask specified")
		}
		b := a.As4()
		p.netmask = binary.BigEndian.Uint32(b[:])
		return nil
	}
	n := atoi(value)
	if n < 1 || n > 128 {
		return fail("illegal ipv6 netmask specified")
	}
	p.netmask = uint32(n)
	return nil
}

// atoi reads the digits in front, as C's atoi does.
func atoi(s string) int64 {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '+' || s[0] == '-')) {
		end++
	}
	n, _ := strconv.ParseInt(s[:end], 10, 64) // 0 for no digits, the limit for too many
	return n
}

func (p *parser) serviceAddress(long, value string) *Exit {
	s := &p.cmd.Service
	if long == "fwmark-service" {
		n, ok := strtol(value)
		if !ok || n <= 0 || n > math.MaxUint32 {
			return fail("invalid fwmark value `%s' specified", value)
		}
		s.FWMark, p.family = uint32(n), ipv4
		return nil
	}
	s.Protocol = Protocol(strings.TrimSuffix(long, "-service"))
	a, port, ok := p.address(value)
	if !ok {
		return fail("illegal virtual server address[:port] specified")
	}
	if a.Is6() {
		p.family, p.netmask = ipv6, 128
	} else {
		p.family = ipv4
	}
	s.Addr = netip.AddrPortFrom(a, uint16(max(port, 0)))
	return nil
}

// serverAddress reads -r. A port that is not given is that of the virtual service, if that came before.
func (p *parser) serverAddress(value string) *Exit {
	a, port, ok := p.address(value)
	if !ok {
		return fail("illegal real server address[:port] specified")
	}
	if port < 0 {
		port = int(p.cmd.Service.Addr.Port())
	}
	p.cmd.Server.Addr = netip.AddrPortFrom(a, uint16(port))
	return nil
}

func withPort(a netip.AddrPort, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), port)
}

// address reads HOST[:PORT] or [IPV6]:PORT or IPV6. The port is -1 if there is none; its name is looked up for the
// protocol of the service so far, which is TCP for a mark.
func (p *parser) address(s string) (a netip.Addr, port int, ok bool) {
	if strings.Trim(s, "0123456789") == "" {
		return a, 0, false
	}
	host, service, hasPort := s, "", false
	if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
		after := ""
		host, after, _ = strings.Cut(inner, "]")
		if service, hasPort = strings.CutPrefix(after, ":"); !hasPort {
			return a, 0, false
		}
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() && a.Zone() == "" {
		port, ok = p.port(service, hasPort)
		return a, port, ok
	}
	// As in ipvsadm, brackets round anything but IPv6 hide a port behind them.
	hasPort = false
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host, service, hasPort = host[:i], host[i+1:], true
	}
	if a, ok = p.ipv4(host); !ok {
		return a, 0, false
	}
	port, ok = p.port(service, hasPort)
	return a, port, ok
}

func (p *parser) port(s string, given bool) (int, bool) {
	if !given {
		return -1, true
	}
	if n, ok := strtol(s); ok && n >= 0 && n <= 65535 {
		return int(n), true
	}
	protocol := p.cmd.Service.Protocol
	if p.cmd.Service.FWMark != 0 {
		protocol = TCP
	}
	if s == "" || protocol == "" || p.resolver == nil {
		return 0, false
	}
	n, err := p.resolver.Port(s, config.Protocol(protocol))
	return int(n), err == nil
}

// ipv4 reads an address in any of inet_aton's forms, or looks up a host.
func (p *parser) ipv4(s string) (netip.Addr, bool) {
	if a, ok := aton(s); ok {
		return a, true
	}
	if s == "" || p.resolver == nil || strings.Contains(s, ":") {
		return netip.Addr{}, false
	}
	a, err := p.resolver.Addr(s, false)
	return a, err == nil
}

// aton is C's inet_aton: one to four numbers, decimal, octal or hexadecimal, the last of which fills what is left; white
// space and anything behind it may follow.
func aton(s string) (netip.Addr, bool) {
	if i := strings.IndexAny(s, " \t\n\v\f\r"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint32
	for i, part := range parts {
		n, ok := atonPart(part)
		last := i == len(parts)-1
		switch {
		case !ok, !last && n > 255, last && n > math.MaxUint32>>(8*i):
			return netip.Addr{}, false
		case last:
			value |= uint32(n)
		default:
			value |= uint32(n) << (24 - 8*i)
		}
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], value)
	return netip.AddrFrom4(b), true
}

func atonPart(s string) (uint64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	base, digits := 10, s
	switch {
	case strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X"):
		base, digits = 16, s[2:]
		if digits == "" {
			return 0, false
		}
	case len(s) > 1 && s[0] == '0':
		base, digits = 8, s[1:]
	}
	n, err := strconv.ParseUint(digits, base, 32)
	return n, err == nil
}
