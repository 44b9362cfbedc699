package config

import (
	"net/netip"
	"regexp"
)

// fallbackLine is a fallback= line whose names are not resolved yet.
type fallbackLine struct {
	line       int
	host, port string // port is empty for the virtual service's own
	forward    Forward
}

var fallbackValue = regexp.MustCompile(`^(` + host + `)(?::([A-Za-z0-9_-]+))?(?:[ \t]+(gate|masq|ipip))?$`)

// parseFallback reads ADDRESS[:PORT] [METHOD]; without a method, ldirectord takes gate. It returns nil on an error.
func (p *parser) parseFallback(value string) *fallbackLine {
	m := fallbackValue.FindStringSubmatch(value)
	if m == nil {
		p.errorf("%q is no fallback server: expected ADDRESS[:PORT] [gate|masq|ipip]", value)
		return nil
	}
	f := &fallbackLine{line: p.line, host: m[1], port: m[2], forward: Gate}
	if m[3] != "" {
		f.forward = Forward(m[3])
	}
	return f
}

func (p *parser) virtualFallback(name, value string, ipv6 bool) {
	if !p.rightFamily(name, "fallback", ipv6) {
		return
	}
	to := &p.section.settings.fallback
	if ipv6 {
		to = &p.section.settings.fallback6
	}
	*to = p.parseFallback(value)
}

// resolveFallback gives a section its own fallback, or the global one of its address family.
func (p *parser) resolveFallback(s *section) {
	f := s.settings.fallback
	if f == nil {
		f = p.global.fallback
	}
	if s.ipv6 {
		if f = s.settings.fallback6; f == nil {
			f = p.global.fallback6
		}
	}
	if f == nil {
		return
	}
	p.places[place{len(p.spec.Virtuals), -1, "fallback"}] = f.line
	addr, err := p.addr(f.host, s.ipv6)
	if err != nil {
		p.errorAt(f.line, "fallback server: %v", err)
		return
	}
	port := s.virtual.ID.Addr.Port()
	if f.port != "" && f.port != "0" { // ldirectord takes 0 for none too
		if port, err = p.port(f.port, s.virtual.ID.Protocol); err != nil {
			p.errorAt(f.line, "fallback server: %v", err)
			return
		}
	}
	fallback := Fallback{Addr: netip.AddrPortFrom(addr, port), Forward: f.forward}
	for i, r := range s.virtual.Reals {
		if r.Addr == fallback.Addr {
			line := p.places[place{len(p.spec.Virtuals), i, "real"}]
			p.errorAt(f.line, "fallback server %s is a real server too, at line %d: expected another", r.Addr, line)
			return
		}
	}
	s.virtual.Fallback = fallback
}
