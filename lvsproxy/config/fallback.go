package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// fallbackLine is a fallback= line whose names are not resolved yet.
type fallbackLine struct {
	host, port string // port is empty for the virtual service's own
	forward    Forward
}

var fallbackHost = regexp.MustCompile(`^(?:` + host + `)$`)

var fallbackPort = regexp.MustCompile(`^(.*?)(?::([A-Za-z0-9_-]+))?$`)

// fallbackDirective reads ADDRESS[:PORT] [METHOD]; without a method, ldirectord takes gate.
func (p *parser) fallbackDirective(name, value string, ipv6 bool) {
	if p.settings != &p.global && !p.rightFamily(name, "fallback", ipv6) {
		return
	}
	words := strings.Fields(value)
	f := fallbackLine{forward: Gate}
	switch n := len(words); n { // ldirectord takes the last two
	case 0:
		p.errorf("%s is empty: expected ADDRESS[:PORT] [gate|masq|ipip]", name)
		return
	case 1:
	default:
		p.dropped(name, value, strings.Join(words[n-2:], " "))
		f.forward = Forward(words[n-1])
		words = words[n-2:]
	}
	if !slices.Contains([]Forward{Gate, Masq, IPIP}, f.forward) {
		p.errorf("%q is no fallback server: expected ADDRESS[:PORT] [gate|masq|ipip]", value)
		return
	}
	m := fallbackPort.FindStringSubmatch(words[0])
	f.host, f.port = m[1], m[2]
	if !fallbackHost.MatchString(f.host) {
		p.errorf("%q is no fallback server: expected ADDRESS[:PORT] [gate|masq|ipip]", value)
		return
	}
	to := &p.settings.fallback
	if ipv6 {
		to = &p.settings.fallback6
	}
	*to = given[fallbackLine]{f, p.line}
}

// resolveFallback gives a section its own fallback, or the global one of its address family.
func (p *parser) resolveFallback(s *section) {
	f := pickGiven(s.settings.fallback, p.global.fallback)
	if s.ipv6 {
		f = pickGiven(s.settings.fallback6, p.global.fallback6)
	}
	if f.line == 0 {
		return
	}
	p.places[place{len(p.spec.Virtuals), -1, "fallback"}] = f.line
	addr, err := p.addr(f.value.host, s.ipv6)
	if err != nil {
		p.errorAt(f.line, "fallback server: %v", err)
		return
	}
	port := s.virtual.ID.Addr.Port()
	if f.value.port != "" && f.value.port != "0" { // ldirectord takes 0 for none too
		if port, err = p.port(f.value.port, s.virtual.ID.Protocol); err != nil {
			p.errorAt(f.line, "fallback server: %v", err)
			return
		}
	}
	fallback := Fallback{Addr: netip.AddrPortFrom(addr, port), Forward: f.value.forward}
	for i, r := range s.virtual.Reals {
		if r.Addr == fallback.Addr {
			line := p.places[place{len(p.spec.Virtuals), i, "real"}]
			p.errorAt(f.line, "fallback server %s is a real server too, at line %d: expected another", r.Addr, line)
			return
		}
	}
	s.virtual.Fallback = fallback
}

// pickGiven returns the first that was given.
func pickGiven[T any](values ...given[T]) (none given[T]) {
	for _, v := range values {
		if v.line != 0 {
			return v
		}
	}
	return none
}
