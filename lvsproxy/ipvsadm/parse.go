package ipvsadm

import (
	"net/netip"
	"strings"

	"github.com/lvsession/lvsession/lvsproxy/config"
)

// Parse reads the arguments of a command line that called ipvsadm by the name in program. No arguments mean List. Names
// of hosts and services are looked up in r. The error is an [*Exit].
func Parse(program string, args []string, r config.Resolver) (Command, error) {
	if len(args) == 0 {
		return Command{Verb: List}, nil
	}
	return parse(program, args, r)
}

func parse(program string, args []string, r config.Resolver) (Command, error) {
	p := &parser{
		program: program, resolver: r, scanner: scanner{options: options, args: args},
		given: map[string]bool{}, netmask: HostMask,
	}
	p.cmd.Server.Weight = 1
	for _, step := range []func() *Exit{p.verb, p.options, p.arguments, p.schedFlags, p.finish} {
		if exit := step(); exit != nil {
			return Command{}, exit
		}
	}
	p.forget()
	return p.cmd, nil
}

// forget empties the parts of the Command that have no meaning for its Verb.
func (p *parser) forget() {
	if v := p.cmd.Verb; v != AddServer && v != EditServer {
		p.cmd.Server.Weight = 0
	}
	if p.cmd.Verb != List {
		p.cmd.Show.Service = false
	}
}

// parser is a command line being read.
type parser struct {
	program  string
	resolver config.Resolver
	scanner  scanner
	given    map[string]bool // kinds of options so far
	cmd      Command
	// netmask of the service. An address of IPv6 that comes after -M sets it anew.
	netmask uint32
	flags   string // of -b
	family  family // of the service so far
}

// family is an address family, as far as it is known.
type family int

const (
	unknownFamily family = iota
	ipv4
	ipv6
)

// verb reads the command, which must be the first option.
func (p *parser) verb() *Exit {
	o, arg, problem := p.scanner.scan()
	if problem != "" || o == nil {
		return TryHelp(p.program)
	}
	switch o.long {
	case "help":
		return &Exit{Stdout: Usage(p.program)}
	case "version":
		return &Exit{Stdout: Version}
	case "start-daemon":
		if *arg != "master" && *arg != "backup" {
			return fail("illegal start-daemon parameter specified")
		}
		p.cmd.Daemon.State = *arg
	case "stop-daemon":
		if *arg != "master" && *arg != "backup" {
			return fail("illegal start_daemon specified")
		}
		p.cmd.Daemon.State = *arg
	}
	p.cmd.Verb = Verb(o.long)
	if _, ok := verbs[p.cmd.Verb]; !ok {
		return TryHelp(p.program)
	}
	return nil
}

// options reads all options after the command.
func (p *parser) options() *Exit {
	for {
		o, arg, problem := p.scanner.scan()
		switch {
		case problem != "":
			return &Exit{Code: ExitRefused, Stderr: p.scanner.last() + ": " + problem + "\n", Line: true}
		case o == nil:
			return nil
		}
		if exit := p.option(o, arg); exit != nil {
			return exit
		}
	}
}

func (p *parser) option(o *option, arg *string) *Exit {
	if _, ok := verbs[Verb(o.long)]; ok || o.long == "help" || o.long == "version" {
		return fail("invalid option `%s'", p.scanner.last())
	}
	if kind := kindOf(o.long); kind != "" {
		if p.given[kind] {
			return fail("multiple '%s' options specified", kind)
		}
		p.given[kind] = true
	}
	value := ""
	if arg != nil {
		value = *arg
	}
	if set := p.cmd.Show.field(o.long); set != nil {
		*set = true
		return nil
	}
	switch o.long {
	case "tcp-service", "udp-service", "sctp-service", "fwmark-service":
		p.cmd.Show.Service = true
		return p.serviceAddress(o.long, value)
	case "real-server":
		return p.serverAddress(value)
	case "masquerading", "ipip", "gatewaying":
		p.cmd.Server.Forward = Forward(o.long)
		return nil
	case "persistent":
		return p.persistent(arg)
	}
	return p.attribute(o.long, value)
}

// field returns the place of an option that needs nothing but remembering, or nil.
func (s *Show) field(long string) *bool {
	switch long {
	case "numeric":
		return &s.Numeric
	case "connection":
		return &s.Connections
	case "timeout":
		return &s.Timeouts
	case "daemon":
		return &s.Daemon
	case "stats":
		return &s.Stats
	case "rate":
		return &s.Rate
	case "thresholds":
		return &s.Thresholds
	case "persistent-conn":
		return &s.PersistentConns
	case "nosort":
		return &s.NoSort
	case "exact":
		return &s.Exact
	case "tun-info":
		return &s.TunnelInfo
	}
	return nil
}

// attribute takes an option that says something about the service, the server or the daemon that the command is about.
func (p *parser) attribute(long, value string) *Exit {
	s, r := &p.cmd.Service, &p.cmd.Server
	switch long {
	case "scheduler":
		s.Scheduler = truncate(value, maxSchedulerName)
	case "netmask":
		return p.mask(value)
	case "pe":
		s.Engine = truncate(value, maxEngineName)
	case "ops":
		s.OnePacket = true
	case "sched-flags":
		p.flags = truncate(value, maxSchedFlags)
	case "ipv6":
		if s.FWMark == 0 {
			return fail("-6 used before -f\n")
		}
		s.IPv6, p.family, p.netmask = true, ipv6, 128
	case "weight":
		return number(value, 0, maxInt32, &r.Weight, "illegal weight specified")
	case "u-threshold":
		return number(value, 0, maxInt32, &r.Upper, "illegal u_threshold specified")
	case "l-threshold":
		return number(value, 0, maxInt32, &r.Lower, "illegal l_threshold specified")
	case "tun-type":
		if _, ok := tunnels[value]; !ok {
			return fail("illegal tunnel type specified")
		}
		r.Tunnel.Type = value
	case "tun-port":
		var port int
		exit := number(value, 1, 65535, &port, "illegal tunnel port specified")
		r.Tunnel.Port = uint16(port)
		return exit
	case "tun-nocsum", "tun-csum", "tun-remcsum":
		r.Tunnel.Checksum = strings.TrimPrefix(long, "tun-")
	}
	return p.daemon(long, value)
}

// Sizes of the kernel's fields, without their final NUL.
const (
	maxSchedulerName = 15
	maxEngineName    = 16
	maxSchedFlags    = 127
	maxInterfaceName = 15
	maxInt32         = 1<<31 - 1
)

func truncate(s string, n int) string { return s[:min(len(s), n)] }

func (p *parser) daemon(long, value string) *Exit {
	d := &p.cmd.Daemon
	switch long {
	case "mcast-interface":
		d.Interface = truncate(value, maxInterfaceName)
	case "syncid":
		return number(value, 0, 255, &d.SyncID, "illegal syncid specified")
	case "mcast-group":
		return p.group(value)
	case "mcast-port":
		return number(value, 1, 65535, &d.Port, "illegal mcast-port specified")
	case "mcast-ttl":
		return number(value, 1, 255, &d.TTL, "illegal mcast-ttl specified")
	case "sync-maxlen":
		return number(value, 1, 65535-20-8, &d.MaxLen, "illegal sync-maxlen specified")
	}
	return nil
}

func (p *parser) group(value string) *Exit {
	name := "IPv4"
	if strings.Contains(value, ":") {
		name = "IPv6"
	}
	a, err := netip.ParseAddr(value)
	if err != nil || a.Zone() != "" || a.Is6() != (name == "IPv6") || !a.IsMulticast() {
		return fail("invalid %s mcast-group `%s'", name, value)
	}
	p.cmd.Daemon.Group = a
	return nil
}

// arguments takes what is no option: the values of --set.
func (p *parser) arguments() *Exit {
	rest := p.scanner.leftover
	if p.cmd.Verb == SetTimeouts {
		if len(rest) < 3 {
			return fail("--set option requires 3 timeout values")
		}
		t := &p.cmd.Timeouts
		for i, to := range []*int{&t.TCP, &t.TCPFin, &t.UDP} {
			if exit := timeout(rest[i], 0, to); exit != nil {
				return exit
			}
		}
		rest = rest[3:]
	}
	if len(rest) > 0 {
		return fail("unexpected argument %s", rest[0])
	}
	return nil
}
