package config

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// realLine is a real= line whose addresses are not resolved yet. It may stand for a range of real servers.
type realLine struct {
	line        int
	first, last string // last is empty unless this is a range
	port        string // empty if there is none
	real        Real   // without its address
	ownCheck    bool   // has a request and a receive of its own
}

const host = `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]`

// The parts of a real= line. ldirectord looks for each in what the one before has left over, and ignores what it skips.
var (
	realAddress   = regexp.MustCompile(`(` + host + `)(?:->(` + host + `))?(?::([A-Za-z0-9_-]+))?\s+(.*)$`)
	realForward   = regexp.MustCompile(`([A-Za-z0-9_]+)(.*)$`)
	realWeight    = regexp.MustCompile(`\s+([0-9]+)(.*)$`)
	realCheck     = regexp.MustCompile(`\s+"(.*)"[, ]\s*"(.*)"(.*)$`)
	realThreshold = map[string]*regexp.Regexp{"l": regexp.MustCompile(`\s+l:([0-9]+)(.*)$`), "u": regexp.MustCompile(`\s+u:([0-9]+)(.*)$`)}
)

// MaxWeight is the largest weight that ipvsadm takes.
const MaxWeight = 1<<31 - 1

func (p *parser) realDirective(name, value string, ipv6 bool) {
	if !p.rightFamily(name, "real", ipv6) {
		return
	}
	rest := value
	address := p.realPart(realAddress, value, &rest)
	if address == nil {
		p.errorf("%q is no real server: expected ADDRESS[->ADDRESS]:PORT gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"]", value)
		return
	}
	flags := rest
	forward := p.realPart(realForward, value, &rest)
	if forward == nil || !slices.Contains([]Forward{Gate, Masq, IPIP}, Forward(forward[0])) {
		p.errorf("%q after the real server's address: expected gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"] [l:N] [u:N]", flags)
		return
	}
	r := realLine{line: p.line, first: address[0], last: address[1], port: address[2]}
	r.real = Real{Forward: Forward(forward[0]), Weight: 1}
	ok := true
	if weight := p.realPart(realWeight, value, &rest); weight != nil {
		ok = p.number("weight", weight[0], 0, MaxWeight, &r.real.Weight)
	}
	if check := p.realPart(realCheck, value, &rest); check != nil {
		r.ownCheck = true
		r.real.Request, r.real.Receive = rooted(check[0]), check[1]
		ok = p.pattern(p.line, r.real.Receive) && ok
	}
	for _, t := range []struct {
		letter string
		to     *int
	}{{"l", &r.real.Lower}, {"u", &r.real.Upper}} {
		if n := p.realPart(realThreshold[t.letter], value, &rest); n != nil {
			ok = p.number(t.letter, n[0], 0, maxThreshold, t.to) && ok
		}
	}
	if strings.TrimSpace(rest) != "" {
		p.errorf("%q after the real server's address: expected gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"] [l:N] [u:N]", flags)
		return
	}
	if ok {
		p.section.reals = append(p.section.reals, r)
	}
}

// realPart finds the next part of a real= line and leaves what follows it in rest. It returns what the part's groups
// matched but the last, or nil if there is no such part.
func (p *parser) realPart(part *regexp.Regexp, value string, rest *string) []string {
	m := part.FindStringSubmatchIndex(*rest)
	if m == nil {
		return nil
	}
	if skipped := strings.TrimSpace((*rest)[:m[0]]); skipped != "" {
		p.warnf("%q in a real server's line is ignored: %q", skipped, value)
	}
	groups := make([]string, len(m)/2-2)
	for i := range groups {
		if from, to := m[2*i+2], m[2*i+3]; from >= 0 {
			groups[i] = (*rest)[from:to]
		}
	}
	*rest = (*rest)[m[len(m)-2]:]
	return groups
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

// resolveReals turns a section's real= lines into real servers. Where two lines name the same one, the last counts, as
// it does in the table after ldirectord has started.
func (p *parser) resolveReals(s *section) {
	seen := map[netip.AddrPort]int{} // index in Reals
	for _, line := range s.reals {
		first, count, ok := p.resolveRange(s, line)
		if !ok {
			continue
		}
		if p.reals += count; p.reals > MaxReals {
			p.errorAt(line.line, "too many real servers: expected at most %d in a file", MaxReals)
			return
		}
		real, ok := p.resolveReal(s, line)
		if !ok {
			continue
		}
		for a := first; count > 0; a, count = a.Next(), count-1 {
			real.Addr = netip.AddrPortFrom(a, real.Addr.Port())
			p.addReal(s, real, line.line, seen)
		}
		p.checkRequest(s, line)
	}
}

// resolveReal completes all of a real server but its address.
func (p *parser) resolveReal(s *section, line realLine) (Real, bool) {
	r := line.real
	if !line.ownCheck {
		r.Request, r.Receive = s.request, s.receive
	}
	if line.ownCheck || s.virtual.Check.Service == "http_proxy" {
		r = absolute(r, s.virtual.Check.Service)
	}
	named, port, ok := p.realPort(s, line)
	if !ok {
		return r, false
	}
	r.Addr = netip.AddrPortFrom(netip.Addr{}, port)
	if named == 0 {
		named = services[s.virtual.Check.Service]
	}
	if named != port && s.virtual.Check.Port == 0 {
		r.CheckPort = named
	}
	return r, true
}

func (p *parser) addReal(s *section, r Real, line int, seen map[netip.AddrPort]int) {
	index := len(p.spec.Virtuals)
	i, again := seen[r.Addr]
	if again {
		p.warnAt(line, "real server %s again: this line counts, not line %d", r.Addr, p.places[place{index, i, "real"}])
		s.virtual.Reals[i] = r
	} else {
		i = len(s.virtual.Reals)
		seen[r.Addr] = i
		s.virtual.Reals = append(s.virtual.Reals, r)
	}
	p.places[place{index, i, "real"}] = line
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

// realPort returns the port that a line names, 0 for none, and the one of its real servers in the table: IPVS rewrites
// ports only with masq, and takes 0, which ldirectord gives it for none, for the virtual service's.
func (p *parser) realPort(s *section, line realLine) (named, port uint16, ok bool) {
	virtual := s.virtual.ID
	if line.port != "" && line.port != "0" {
		n, err := p.realService(line.port, virtual.Protocol)
		if err != nil {
			p.errorAt(line.line, "real server: %v", err)
			return 0, 0, false
		}
		named = n
	}
	if virtual.Protocol == FWM || line.real.Forward == Masq && named != 0 {
		return named, named, true
	}
	port = virtual.Addr.Port()
	if named != 0 && named != port {
		p.warnAt(line.line, "%s cannot change ports: port %d is used, not %d", line.real.Forward, port, named)
	}
	return named, port, true
}

// realService looks up the port of a real server. ldirectord takes the name of a service of either protocol.
func (p *parser) realService(name string, proto Protocol) (uint16, error) {
	n, err := p.port(name, proto)
	if err == nil || digits.FindString(name) == name {
		return n, err
	}
	other := UDP
	if proto == UDP {
		other = TCP
	}
	if n, err := p.port(name, other); err == nil {
		return n, nil
	}
	return 0, err
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

// line writes the real server as the value of a real= line, its check included.
func (r Real) line(mark bool) string {
	address := r.Addr.String()
	if r.CheckPort != 0 { // see resolveReal: only then does the line name another port than the table's, or none
		address = HostOf(r.Addr.Addr())
		if r.Forward != Masq && !mark {
			address += ":" + strconv.Itoa(int(r.CheckPort))
		}
	}
	text := fmt.Sprintf(`%s %s %d "%s", "%s"`, address, r.Forward, r.Weight, r.Request, r.Receive)
	if r.Lower > 0 {
		text += " l:" + strconv.Itoa(r.Lower)
	}
	if r.Upper > 0 {
		text += " u:" + strconv.Itoa(r.Upper)
	}
	return text
}
