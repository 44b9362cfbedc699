package ipvsadm

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// Names turns numbers into the names that ipvsadm prints without -n.
type Names interface {
	// Host returns the name of an address, or "".
	Host(a netip.Addr) string
	// Service returns the name of a port, or "".
	Service(port uint16, p Protocol) string
}

// hostPort writes an address and a port as ipvsadm does: with names unless names is nil, and in at most 59 bytes.
func hostPort(a netip.AddrPort, p Protocol, names Names) string {
	host, port := a.Addr().String(), strconv.Itoa(int(a.Port()))
	if names != nil {
		if name := names.Host(a.Addr()); name != "" {
			host = name
		}
		if name := names.Service(a.Port(), p); name != "" {
			port = name
		}
	}
	if a.Addr().Is6() {
		host = "[" + host + "]"
	}
	return truncate(host+":"+port, 59)
}

// words returns the option that names the service, and its argument. A mark is a signed number, as in ipvsadm.
func (s Service) words(names Names) []string {
	if s.FWMark == 0 {
		short := map[Protocol]string{TCP: "-t", UDP: "-u", SCTP: "--sctp-service"}[s.Protocol]
		return []string{short, hostPort(s.Addr, s.Protocol, names)}
	}
	words := []string{"-f", strconv.Itoa(int(int32(s.FWMark)))}
	if s.IPv6 {
		words = append(words, "-6")
	}
	return words
}

// Rule returns an AddService or AddServer as the line that -S prints for it, without the newline. Like ipvsadm it leaves
// thresholds out; see [Command.Args] for all there is. names is nil for -n.
func (c Command) Rule(names Names) string {
	line := strings.Join(c.words(names), " ")
	if flags := c.Service.SchedFlags; c.Verb == AddService && flags != "" {
		line = strings.TrimSuffix(line, flags) + shownFlags(flags, c.Service.Scheduler)
	}
	return line
}

// shownFlags leaves out what ipvsadm does not print: flag-3 of a scheduler that has names for the other two.
func shownFlags(flags, scheduler string) string {
	if scheduler != "sh" && scheduler != "mh" {
		return flags
	}
	return strings.TrimSuffix(strings.TrimSuffix(flags, "flag-3"), ",")
}

func (c Command) words(names Names) []string {
	if c.Verb == AddServer {
		words := append([]string{"-a"}, c.Service.words(names)...)
		words = append(words, "-r", hostPort(c.Server.Addr, c.Service.Protocol, names))
		return append(words, c.Server.options()...)
	}
	words := append([]string{"-A"}, c.Service.words(names)...)
	words = append(words, "-s", c.Service.Scheduler)
	return append(words, c.Service.options()...)
}

// options returns what -S prints of a service besides its identity and scheduler.
func (s Service) options() (words []string) {
	if s.Persistent != 0 {
		words = append(words, "-p", strconv.Itoa(s.Persistent))
		if mask := s.mask(); mask != "" {
			words = append(words, "-M", mask)
		}
	}
	if s.Engine != "" {
		words = append(words, "--pe", s.Engine)
	}
	if s.OnePacket {
		words = append(words, "-o")
	}
	if s.SchedFlags != "" {
		words = append(words, "-b", s.SchedFlags)
	}
	return words
}

// mask returns the netmask, or "" if it tells all addresses apart.
func (s Service) mask() string {
	switch {
	case s.Is6() && s.Netmask != 128:
		return strconv.Itoa(int(s.Netmask))
	case !s.Is6() && s.Netmask != HostMask:
		return maskOf(s.Netmask)
	}
	return ""
}

// options returns what -S prints of a server besides its address.
func (r Server) options() []string {
	method := map[Forward]string{Masq: "-m", IPIP: "-i", Gate: "-g"}[r.Forward]
	words := []string{method, "-w", strconv.Itoa(r.Weight)}
	if r.Forward == IPIP {
		words = append(words, r.Tunnel.options()...)
	}
	return words
}

func (t Tunnel) options() []string {
	checksum := "--tun-nocsum"
	if t.Checksum != "" {
		checksum = "--tun-" + t.Checksum
	}
	switch t.Type {
	case "gue":
		return []string{"--tun-type", "gue", "--tun-port", strconv.Itoa(int(t.Port)), checksum}
	case "gre":
		return []string{"--tun-type", "gre", checksum}
	}
	return []string{"--tun-type", "ipip"}
}

// Args returns the arguments of an AddService or AddServer that say all that the Command does, in numbers: those of its
// Rule, and what that leaves out.
func (c Command) Args() []string {
	args := c.words(nil)
	if c.Service.FWMark != 0 { // a mark above 2^31 is negative in a Rule
		args[2] = strconv.FormatUint(uint64(c.Service.FWMark), 10)
	}
	if c.Verb == AddServer {
		if c.Server.Upper != 0 {
			args = append(args, "-x", strconv.Itoa(c.Server.Upper))
		}
		if c.Server.Lower != 0 {
			args = append(args, "-y", strconv.Itoa(c.Server.Lower))
		}
	}
	return args
}

// WriteRules writes commands as -S does: one Rule a line.
func WriteRules(w io.Writer, commands []Command, names Names) error {
	for _, c := range commands {
		if _, err := fmt.Fprintln(w, c.Rule(names)); err != nil {
			return err
		}
	}
	return nil
}

// WriteArgs writes commands as WriteRules does for -n, but with what -S leaves out, such as thresholds.
func WriteArgs(w io.Writer, commands []Command) error {
	for _, c := range commands {
		if _, err := fmt.Fprintln(w, strings.Join(c.Args(), " ")); err != nil {
			return err
		}
	}
	return nil
}
