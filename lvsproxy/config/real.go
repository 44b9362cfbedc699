package config

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
)

// realLine is a real= line whose addresses are not resolved yet. It may stand for a range of real servers.
type realLine struct {
	line        int
	first, last string // last is empty unless this is a range
	port        string // empty if there is none
	real        Real   // without its address
	ownCheck    bool   // has a request and a receive of its own
}

const host = `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|[A-Za-z0-9.-]*[A-Za-z0-9.]|\[[0-9A-Fa-f:.]+\]`

var (
	realAddress = regexp.MustCompile(`^(` + host + `)(?:->(` + host + `))?(?::([A-Za-z0-9_-]+))?[ \t]+(.*)$`)
	realFlags   = regexp.MustCompile(`^(gate|masq|ipip)(?:[ \t]+([0-9]+))?(?:[ \t]+"(.*)"[, \t][ \t]*"(.*)")?` +
		`(?:[ \t]+l:([0-9]+))?(?:[ \t]+u:([0-9]+))?$`)
)

// MaxWeight is the largest weight of a real server, IPVS's own limit for ipvsadm.
const MaxWeight = 65535

func (p *parser) realDirective(name, value string, ipv6 bool) {
	if !p.rightFamily(name, "real", ipv6) {
		return
	}
	address := realAddress.FindStringSubmatch(value)
	if address == nil {
		p.errorf("%q is no real server: expected ADDRESS[->ADDRESS]:PORT gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"]", value)
		return
	}
	flags := realFlags.FindStringSubmatch(address[4])
	if flags == nil {
		p.errorf("%q after the real server's address: expected gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"] [l:N] [u:N]", address[4])
		return
	}
	r := realLine{line: p.line, first: address[1], last: address[2], port: address[3]}
	r.real = Real{Forward: Forward(flags[1]), Weight: 1}
	ok := flags[2] == "" || p.number("weight", flags[2], 0, MaxWeight, &r.real.Weight)
	ok = (flags[5] == "" || p.number("l", flags[5], 0, maxNumber, &r.real.Lower)) && ok
	ok = (flags[6] == "" || p.number("u", flags[6], 0, maxNumber, &r.real.Upper)) && ok
	if r.ownCheck = flags[3] != "" || flags[4] != ""; r.ownCheck {
		r.real.Request, r.real.Receive = rooted(flags[3]), flags[4]
		ok = p.pattern(p.line, r.real.Receive) && ok
	}
	if ok {
		p.section.reals = append(p.section.reals, r)
	}
}

// rightFamily reports whether a directive that comes in an IPv4 and an IPv6 form has the one of its section.
func (p *parser) rightFamily(name, base string, ipv6 bool) bool {
	switch {
	case ipv6 == p.section.ipv6:
		return true
	case ipv6:
		p.errorf("%s in a virtual section: expected %s, or virtual6", name, base)
	default:
		p.errorf("%s in a virtual6 section: expected %s6", name, base)
	}
	return false
}

// resolveReals turns a section's real= lines into real servers.
func (p *parser) resolveReals(s *section) {
	seen := map[netip.AddrPort]int{}
	for _, line := range s.reals {
		first, count, ok := p.resolveRange(s, line)
		if !ok {
			continue
		}
		if p.reals += count; p.reals > MaxReals {
			p.errorAt(line.line, "too many real servers: expected at most %d in a file", MaxReals)
			return
		}
		port, ok := p.realPort(s, line)
		if !ok {
			continue
		}
		for a := first; count > 0; a, count = a.Next(), count-1 {
			r := line.real
			r.Addr = netip.AddrPortFrom(a, port)
			if line.ownCheck {
				r = absolute(r, s.virtual.Check.Service)
			} else {
				r.Request, r.Receive = s.request, s.receive
			}
			if before, ok := seen[r.Addr]; ok {
				p.errorAt(line.line, "duplicate real server %s: the first is at line %d", r.Addr, before)
				continue
			}
			seen[r.Addr] = line.line
			p.places[place{len(p.spec.Virtuals), len(s.virtual.Reals), "real"}] = line.line
			s.virtual.Reals = append(s.virtual.Reals, r)
		}
		p.checkRequest(s, line)
	}
}

// checkRequest refuses what an HTTP check could never send.
func (p *parser) checkRequest(s *section, line realLine) {
	if service := s.virtual.Check.Service; service != "http" && service != "https" {
		return
	}
	request, at := s.request, s.lines["request"]
	address := "http://127.0.0.1" + request
	if line.ownCheck {
		request, at = line.real.Request, line.line
		address = absolute(line.real, s.virtual.Check.Service).Request
		if address == request {
			address = "http://127.0.0.1" + request
		}
	}
	u, err := url.Parse(address)
	if err == nil && u.Host == "" {
		err = &url.Error{Err: errors.New("no host")}
	}
	if err != nil && at != s.refusedRequest {
		p.errorAt(at, "request %q: expected a path that may stand in a URL: %v", request, errors.Unwrap(err))
		s.refusedRequest = at
	}
}

// resolveRange returns the first address of a line and how many there are.
func (p *parser) resolveRange(s *section, line realLine) (first netip.Addr, count int, ok bool) {
	first, err := p.addr(line.first, s.ipv6)
	if err != nil {
		p.errorAt(line.line, "real server: %v", err)
		return first, 0, false
	}
	if line.last == "" {
		return first, 1, true
	}
	last, err := p.addr(line.last, s.ipv6)
	switch {
	case err != nil:
		p.errorAt(line.line, "real server: %v", err)
		return first, 0, false
	case s.ipv6:
		p.errorAt(line.line, "a range of IPv6 addresses is not supported, by ldirectord neither: expected one address")
		return first, 0, false
	case last.Less(first):
		p.errorAt(line.line, "range %s->%s is the wrong way round: expected the lower address first", first, last)
		return first, 0, false
	}
	a, b := first.As4(), last.As4()
	n := uint64(binary.BigEndian.Uint32(b[:])) - uint64(binary.BigEndian.Uint32(a[:])) + 1
	if n > MaxRange {
		p.errorAt(line.line, "range %s->%s holds %d addresses: expected at most %d", first, last, n, MaxRange)
		return first, 0, false
	}
	return first, int(n), true
}

// realPort returns the port of a line's real servers. IPVS rewrites ports only with masq.
func (p *parser) realPort(s *section, line realLine) (uint16, bool) {
	virtual := s.virtual.ID
	var port uint16
	if line.port != "" && line.port != "0" {
		n, err := p.port(line.port, virtual.Protocol)
		if err != nil {
			p.errorAt(line.line, "real server: %v", err)
			return 0, false
		}
		port = n
	}
	if virtual.Protocol == FWM {
		return port, true
	}
	if line.real.Forward != Masq {
		if port != 0 && port != virtual.Addr.Port() {
			p.warnAt(line.line, "%s cannot change ports: port %d is used, not %d", line.real.Forward, virtual.Addr.Port(), port)
		}
		return virtual.Addr.Port(), true
	}
	if port == 0 {
		p.errorAt(line.line, "real server without a port: expected ADDRESS:PORT")
		return 0, false
	}
	return port, true
}

// absolute strips the slash that ldirectord puts before a real server's own request when that is a whole URL.
func absolute(r Real, service string) Real {
	scheme := service
	if service == "http_proxy" {
		scheme = "http"
	}
	if prefix := "/" + scheme + "://"; len(r.Request) > len(prefix) && r.Request[:len(prefix)] == prefix {
		r.Request = r.Request[1:]
	}
	return r
}

// String writes the real server as the value of a real= line, its check included.
func (r Real) String() string {
	b := []byte(r.Addr.String())
	b = append(b, ' ')
	b = append(b, r.Forward...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(r.Weight), 10)
	b = slices.Concat(b, []byte(` "`), []byte(r.Request), []byte(`", "`), []byte(r.Receive), []byte(`"`))
	if r.Lower > 0 {
		b = append(b, " l:"+strconv.Itoa(r.Lower)...)
	}
	if r.Upper > 0 {
		b = append(b, " u:"+strconv.Itoa(r.Upper)...)
	}
	return string(b)
}
